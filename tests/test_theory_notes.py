import re

import keras
import numpy as np
import pytest
import yaml
from conftest import FIXTURES, ROOT

from tfbert import __version__
from tfbert.model.configs import read_config
from tfbert.model.folders import load_classifier
from tfbert.training.settings import TrainSettings
from tfbert.training.step import compile_classifier

NOTES = (ROOT / "theory_notes.md").read_text()
*BLOCKS, HUNDRED_LINES = re.findall(r"```python\n(.*?)```", NOTES, re.DOTALL)
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]


def test_the_code_blocks_run_one_after_the_other(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    names = {}
    assert len(BLOCKS) >= 6
    for block in BLOCKS:
        exec(compile(block, "theory_notes.md", "exec"), names)
    worked = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(worked) == 3 and "\n".join(worked) in NOTES


@pytest.mark.parametrize("name", ["one_sentence", "stuck"])
def test_the_tables_are_those_of_the_results(name):
    """All of them, as the benchmark wrote them."""
    tables = re.findall(r"(?:^\|.*\n)+", (ROOT / "benchmarks" / "results" / f"{name}.md").read_text(), re.MULTILINE)
    assert tables and all(table in NOTES for table in tables)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="they take TensorFlow's gradients")
def test_the_hundred_lines_are_the_package(monkeypatch):
    monkeypatch.chdir(ROOT)
    names = {}
    exec(compile(HUNDRED_LINES, "theory_notes.md", "exec"), names)
    assert len(HUNDRED_LINES.splitlines()) <= 100 and "tfbert" not in HUNDRED_LINES

    folder = FIXTURES / "tiny_bert"
    without_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0}
    model, _ = load_classifier(folder, read_config(folder) | without_dropout)
    ids, is_piece = names["read"](names["texts"])
    assert len(ids) == 20 and not is_piece.all()
    batch = {"input_ids": ids.astype(np.int32), "attention_mask": is_piece.astype(np.int32)}
    np.testing.assert_allclose(names["first_logits"], model(batch), atol=1e-5)

    compile_classifier(model, TrainSettings(learning_rate=0.005, warmup_ratio=0.0), 10, xla=False)
    losses = []
    for _ in range(10):
        model.reset_metrics()
        losses.append(float(model.train_step((batch, np.array(names["labels"], np.int32)))["loss"]))
    losses.append(float(model.compute_loss(None, np.array(names["labels"]), model(batch))))
    np.testing.assert_allclose(names["losses"], losses, atol=1e-4)
    assert losses[-1] < 0.7 * losses[0]
    printed = re.search(r"\n    (0\.\d{3}(?:, 0\.\d{3}){10})\n", NOTES)[1]
    np.testing.assert_allclose(names["losses"], [float(loss) for loss in printed.split(", ")], atol=2e-3)


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
