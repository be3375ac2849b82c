import re

import pytest
import yaml
from conftest import ROOT

from tfbert import __version__

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*.md")]


def test_the_code_blocks_run_one_after_the_other(monkeypatch):
    monkeypatch.chdir(ROOT)
    notes = (ROOT / "theory_notes.md").read_text()
    blocks, names = re.findall(r"```python\n(.*?)```", notes, re.DOTALL), {}
    assert len(blocks) >= 6
    for block in blocks:
        exec(compile(block, "theory_notes.md", "exec"), names)


def test_the_files_that_are_pointed_at_exist():
    assert {"README.md", "SECURITY.md", "CHANGELOG.md", "questions.md"} <= {page.name for page in PAGES}
    for page in PAGES:
        for target, place in re.findall(r"\]\(([^)#]*)(#[^)]+)?\)", page.read_text()):
            if "://" not in target:
                path = page.parent / target if target else page
                assert path.exists(), f"{page} points at {target}"
                assert not place or place[1:] in places_in(path), f"{page} points at {target}{place}"


def places_in(path):
    """The anchors that GitHub gives the headings of a page."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_one_version_everywhere():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == __version__


@pytest.mark.parametrize("path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem)
def test_an_issue_asks_for_the_command_and_the_first_lines(path):
    form = yaml.safe_load(path.read_text())
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    assert form["name"] and form["description"] and {"command", "lines"} <= {part["id"] for part in fields}
    assert all(part["attributes"]["label"] for part in fields)
