"""Wrong labels are found, and said: by probabilities, by the encoder's vectors, in a whole run."""

import csv
import re

import numpy as np
import pytest
from conftest import reviews
from test_siblings import fit, metrics_of, write

import train
from tfbert.data.columns import PLACE
from tfbert.report.suspects import as_given_and_suggested, suspects, suspects_of_several
from tfbert.training.features import fit as fit_regression
from tfbert.training.features import folds_of, regression


def test_suspects_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9], [0.05, 0.95], [0.45, 0.55]])
    labels = np.array([0, 0, 1, 1, 0, 0])
    rows, better = suspects(probabilities, labels)
    assert rows.tolist() == [4] and better.tolist() == [1]
    rows, _ = suspects(probabilities, 1 - labels)
    assert rows.tolist() == [0, 3]  # 9 times as likely; 4 times is not enough
    rows, better = suspects(np.array([[0.02, 0.4, 0.3, 0.28], [0.02, 0.3, 0.5, 0.18]]), np.array([0, 0]))
    assert rows.tolist() == [1] and better.tolist() == [2]  # of many labels one must be likely


def test_a_label_without_texts_fits_nothing():
    rows, better = suspects(np.array([[0.9, 0.1, 0.0], [0.1, 0.9, 0.0]]), np.array([1, 0]))
    assert set(better.tolist()) <= {0, 1} and len(rows) == 2


def test_of_a_label_that_a_model_has_not_seen_it_says_nothing():
    rows, _ = suspects(np.array([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0]]), np.array([2, 1]))
    assert rows.tolist() == [1]
    rng = np.random.default_rng(0)
    labels, vectors = np.arange(60) % 3, rng.normal(size=(60, 8)).astype(np.float32)
    kernel, _, _, held_out = fit_regression(vectors, labels, 5, seed=1)  # the last two labels have no text
    assert held_out.shape == (60, 5) and kernel.shape == (8, 5) and not held_out[:, 3:].any()


def test_most_flipped_labels_are_among_the_suspects():
    rng = np.random.default_rng(0)
    right = rng.integers(0, 4, 800)
    vectors = (rng.normal(size=(4, 16))[right] + rng.normal(0, 0.5, (800, 16))).astype(np.float32)
    flipped, labels = rng.choice(800, 40, replace=False), right.copy()
    labels[flipped] = (labels[flipped] + rng.integers(1, 4, 40)) % 4
    _, held_out = regression(vectors, labels, 1, balanced=False)
    rows, better = suspects(held_out, labels)
    found = set(rows.tolist()) & set(flipped.tolist())
    assert len(found) >= 32 and len(found) / len(rows) > 0.8
    assert (better == right[rows]).mean() > 0.9


def test_where_labels_can_hardly_be_told_few_texts_are_suspects():
    rng = np.random.default_rng(0)
    labels, vectors = rng.integers(0, 3, 900), rng.normal(size=(900, 16)).astype(np.float32)
    vectors[:, 0] += 0.5 * labels
    _, held_out = regression(vectors, labels, 1, balanced=False)
    assert (held_out.argmax(axis=1) != labels).mean() > 0.4
    assert len(suspects(held_out, labels)[0]) < 0.05 * len(labels)


def test_of_several_labels_the_likeliest_wrong_decision_of_each_text():
    rng = np.random.default_rng(0)
    right = (rng.random((400, 3)) < [0.5, 0.2, 0.0]).astype(np.float32)  # nobody has the last label
    said = np.clip(np.abs(right - 0.1) + rng.normal(0, 0.003, right.shape), 0, 1)
    labels, wrong = right.copy(), rng.choice(400, 20, replace=False)
    places = np.append(1, rng.integers(0, 2, 19))
    labels[wrong, places] = 1 - labels[wrong, places]
    said[wrong, places] = np.abs(right[wrong, places] - 0.05)  # surer than of the others
    said[wrong[0], 1] = 0.99 - 0.98 * labels[wrong[0], 1]
    rows, others = suspects_of_several(said, labels)
    found = dict(zip(rows.tolist(), others.tolist()))
    assert found == dict(zip(wrong.tolist(), places.tolist())) and len(rows) == 20
    assert rows[0] == wrong[0]
    row = as_given_and_suggested(said[wrong[1]], labels[wrong[1]], places[1], ["joy", "fear", "love"])
    assert row["probability"] > 0.8 and row["probability"] + row["probability_of_label"] == pytest.approx(1, abs=1e-4)
    assert row["label"] != row["suggested"]


@pytest.mark.parametrize(
    "labels, groups, there",
    [
        ([0] * 20 + [1] * 20, None, True),
        ([0] * 20 + [1] * 20 + [2], None, True),
        ([0] * 20 + [1] * 3, None, True),  # the rare one has its place in some folds
        ([0] * 20 + [1] * 20, ["a", "b", "c", "d"] * 10, False),
        ([0] * 20 + [1] * 20, list("abcdefgh") * 5, True),
        ([0] * 20 + [1] * 20, ["one"] * 20 + list("abcdefghij") * 2, False),  # a fold would learn one label alone
    ],
)
def test_folds(labels, groups, there):
    groups = None if groups is None else np.array(groups)
    folds = folds_of(np.array(labels), 1, groups)
    assert bool(folds) == there
    if there:
        held_out = np.sort(np.concatenate([rows for _, rows in folds]))
        assert held_out.tolist() == list(range(len(labels)))
    if there and groups is not None:
        assert not any(set(groups[one]) & set(groups[other]) for one, other in folds)


def with_wrong_labels(path, groups=False):
    """A file of 400 reviews, 20 of them with the other label; returns their texts."""
    texts, labels = reviews(400, 3)
    texts = [f"{text} {number}" for number, text in enumerate(texts)]
    wrong = set(range(0, 400, 20))
    names = ["praise" if label != (number in wrong) else "blame" for number, label in enumerate(labels)]
    rows = [[text, name, f"film {number // 4}"] for number, (text, name) in enumerate(zip(texts, names))]
    rows += [[texts[1], "blame", "film 0"], [texts[1], "praise", "film 0"], [texts[1].upper(), "blame", "film 0"]]
    write(path, ["text", "label", "film"], rows)
    return {texts[number] for number in wrong}


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("flags", [["--method", "features"], ["--head", "regression"], ["--head", "random"]])
def test_a_run_says_which_rows_are_probably_mislabelled(trained, tmp_path, capsys, flags):
    wrong = with_wrong_labels(tmp_path / "own.csv")
    output = tmp_path / "output"
    more = "--num_train_epochs 4 --learning_rate 0.001 --pooling mean --max_seq_length 32".split()
    more = [] if "features" in flags else more
    arguments = ["--train_file", str(tmp_path / "own.csv"), "--group_column", "film", "--output_dir", str(output),
                 "--model_name_or_path", str(trained), *flags, *more]  # fmt: skip
    assert train.main(arguments) is None
    with open(output / "suspects.csv", newline="") as file:
        said = list(csv.DictReader(file))
    found = {row["text"] for row in said} & wrong
    assert len(found) >= 13 and len(said) < 40 and all(row["label"] != row["suggested"] for row in said)
    assert {row["part"] for row in said if row["text"] in wrong} >= {"train", "test"}
    lines = (tmp_path / "own.csv").read_text().splitlines()
    for row in said:
        name, line = row["place"].split(", line ")
        assert name == "own.csv" and lines[int(line) - 1].startswith(row["text"])
    with open(output / "predictions.csv", newline="") as file:
        tested = list(csv.DictReader(file))
    right = [row["label"] == row["predicted"] for row in tested]
    assert np.mean(right) == pytest.approx(metrics_of(output)["accuracy"])
    assert all(lines[int(row["place"].split("line ")[1]) - 1].startswith(row["text"]) for row in tested)
    assert {row["text"] for row in said if row["part"] == "test"} <= {row["text"] for row in tested}
    report, printed = (output / "training_report.md").read_text(), capsys.readouterr().out
    assert re.search(r"\| own.csv, line \d+ \| (praise|blame) \| (praise|blame) \| \d+\.\d% \|", report)
    assert "## What may be wrong with the data" in report and "confident learning" in report
    assert f"{len(said)} of " in printed and "may be mislabelled" in printed
    assert metrics_of(output)["settings"]["group_column"] == "film"


@pytest.mark.usefixtures("no_pictures")
def test_a_column_of_the_name_of_ours_is_the_users(untrained, tmp_path):
    texts, labels = reviews(100, 3)
    path = write(tmp_path / "own.csv", ["text", PLACE], [[text, "ab"[label]] for text, label in zip(texts, labels)])
    fit(untrained, tmp_path / "output", "--train_file", path, "--label_column", PLACE, "--method", "features")
    assert set(metrics_of(tmp_path / "output")["per_class"]) == {"a", "b"}
    assert "own.csv, line" not in (tmp_path / "output" / "training_report.md").read_text()
    assert (tmp_path / "output" / "predictions.csv").read_text().startswith("label,predicted,probability,text")


@pytest.mark.usefixtures("no_pictures")
def test_contradictions_stand_in_the_report_without_texts_where_these_are_secret(untrained, tmp_path):
    texts, labels = reviews(200, 3)
    rows = [[text, "praise" if label else "blame"] for text, label in zip(texts, labels)]
    rows += [["the same words", ["praise", "blame", "praise"][n % 3]] for n in range(90)]
    path = write(tmp_path / "own.csv", ["text", "label"], rows)
    for words, shown in (("25", True), ("0", False)):
        output = tmp_path / words
        fit(untrained, output, "--train_file", path, "--method", "features", "--excerpt_words", words)
        report = (output / "training_report.md").read_text()
        assert ("the same words |" in report) == shown == (output / "suspects.csv").exists()
        assert "1 text stands with different labels, in 90 rows" in report and "repeat another's text" in report
