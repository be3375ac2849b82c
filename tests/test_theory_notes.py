import re

from conftest import ROOT


def test_the_code_blocks_run_one_after_the_other(monkeypatch):
    monkeypatch.chdir(ROOT)
    notes = (ROOT / "theory_notes.md").read_text()
    blocks, names = re.findall(r"```python\n(.*?)```", notes, re.DOTALL), {}
    assert len(blocks) >= 6
    for block in blocks:
        exec(compile(block, "theory_notes.md", "exec"), names)


def test_the_files_that_are_pointed_at_exist():
    pages = ["theory_notes.md", "README.md", "CONTRIBUTING.md", "benchmarks/README.md", "benchmarks/RECIPES.md"]
    for page in [*pages, *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]:
        text = (ROOT / page).read_text()
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            if "://" not in target:
                assert ((ROOT / page).parent / target).exists(), f"{page} points at {target}"
