import json

import numpy as np
import pytest
from conftest import reviews
from test_siblings import fit
from test_splits import TOPICS, load, write

from tfbert.common.errors import UserError
from tfbert.data.duplicates import repeats, words_of


def test_what_stands_more_than_once_is_counted():
    texts = ["Good film!", "good  FILM", "Good film!", "bad film", "!!!", "???", "never seen"]
    found = repeats(texts, [1, 0, 1, 0, 1, 0, 1], ["Good film!", "Bad, film.", "new", "new", "!!!"])
    assert (found.exact, found.near) == (1, 1)
    assert (found.in_test, found.nearly_in_test) == (2, 1)
    assert found.contradictions == [("Good film!", {1: 2, 0: 1})]
    assert found.in_words("texts") == [
        "2 texts stand both in train and in test, and 1 more with the same words",
        "1 of the texts to train on repeats another's text, and 1 more its words",
        "1 text stands with different labels, in 3 rows",
    ]
    assert repeats(["a", "b"], [0, 1], ["c"]).in_words("texts") == []
    assert repeats(["a", "A"], [0, 0], ["a."]).in_words("texts") == [
        "1 text to test on has the words of one to train on",
        "1 of the texts to train on repeats another's words",
    ]


def test_several_labels_contradict_each_other_where_the_sets_differ():
    labels = np.array([[1, 0], [1, 1], [0, 1]], np.float32)
    assert repeats(["a", "a", "b"], labels, []).contradictions == [("a", {(1, 0): 1, (1, 1): 1})]


def test_a_contradiction_may_stand_in_any_parts():
    others = [(["x", "c"], [1, 0]), (["C.", "x"], [1, 0])]
    assert repeats(["a", "b"], [0, 1], ["C.", "x"], others).contradictions == [
        ("x", {1: 1, 0: 1}),
        ("C.", {0: 1, 1: 1}),
    ]


@pytest.mark.parametrize(
    "text, words", [("Don't_stop -- NOW", "don t stop now"), ("好 电影。", "好 电影"), (":-)", ":-)")]
)
def test_words_of(text, words):
    assert words_of(text) == words


def grouped(path, sizes):
    rows = [[f"text {n} of {size}", TOPICS[n % 3], f"film {number}"]
            for number, size in enumerate(sizes) for n in range(size)]  # fmt: skip
    return write(path, [["text", "label", "film"], *rows])


def test_rows_of_a_group_stay_on_one_side_of_every_split(tmp_path):
    path = grouped(tmp_path / "own.csv", [1, 2, 3, 7] * 30)
    splits = load(train_file=path, group_column="film")
    groups = [set(part["group"]) for part in (splits.train, splits.validation, splits.test)]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    assert sum(map(len, (splits.train, splits.validation, splits.test))) == 390
    assert 60 <= len(splits.test) <= 90 and 30 <= len(splits.validation) <= 80
    again = load(train_file=path, group_column="film", seed=7)
    assert set(again.test["group"]) != groups[2]


def test_groups_that_are_too_large_are_refused_and_lacking_ones_stand_alone(tmp_path):
    with pytest.raises(UserError, match="--group_column: 2 groups of 120 rows are too large for 24 rows"):
        load(train_file=grouped(tmp_path / "own.csv", [60, 60]), group_column="film")
    rows = [[f"text {n}", TOPICS[n % 3], ""] for n in range(100)]
    path = write(tmp_path / "lacking.csv", [["text", "label", "film"], *rows])
    assert len(load(train_file=path, group_column="film").test) == 20
    with pytest.raises(UserError, match="no column 'director'.*--group_column"):
        load(train_file=path, group_column="director")


def test_a_group_is_the_same_with_blanks_around_it_and_as_a_number(tmp_path):
    names = ["7", " 7", "7 ", 7.0]
    rows = [{"text": f"text {n}", "label": TOPICS[n % 3], "film": names[n % 4] if n < 40 else n} for n in range(200)]
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    splits = load(train_file=str(path), group_column="film")
    assert sum("7" in part["group"] for part in (splits.train, splits.validation, splits.test)) == 1


def test_groups_on_both_sides_of_the_users_own_split_are_told(tmp_path):
    train, test = (grouped(tmp_path / f"{name}.csv", [3] * 20) for name in ("train", "test"))
    notes = load(train_file=train, test_file=test, group_column="film").notes
    assert any("groups of film stand in train and in --test_file" in note for note in notes)


def test_texts_that_choose_and_test_are_told(tmp_path):
    rows = [[f"text {n}", TOPICS[n % 3]] for n in range(120)]
    train, held = (write(tmp_path / f"{name}.csv", [["text", "label"], *part])
                   for name, part in (("train", rows[:90]), ("held", rows[90:])))  # fmt: skip
    notes = load(train_file=train, validation_file=held, test_file=held).notes
    assert any(note.startswith("30 texts stand both in --validation_file and in test") for note in notes)
    assert not any("--validation_file" in note for note in load(train_file=train, test_file=held).notes)


@pytest.mark.usefixtures("no_pictures")
def test_a_test_of_texts_that_were_learnt_from_is_called_one(untrained, tmp_path, capsys):
    texts, labels = reviews(100, 3)
    texts = [f"{text} {number}" for number, text in enumerate(texts)]
    path = write(
        tmp_path / "own.csv", [("text", "label"), *((text, "ab"[label]) for text, label in zip(texts, labels))]
    )
    fit(untrained, tmp_path / "output", "--train_file", path, "--test_file", path, "--method", "features")
    report = (tmp_path / "output" / "training_report.md").read_text()
    assert "80% of the test texts have the words of one that it learnt from" in " ".join(
        capsys.readouterr().out.split()
    )
    assert "80% of the test texts have the words of one" in report and "never read" not in report


@pytest.mark.usefixtures("no_pictures")
def test_copies_in_other_letters_are_no_new_texts_either(untrained, tmp_path, capsys):
    texts, labels = reviews(100, 3)
    rows = [(f"{text} {number}", "ab"[label]) for number, (text, label) in enumerate(zip(texts, labels))]
    train = write(tmp_path / "train.csv", [("text", "label"), *rows])
    test = write(tmp_path / "test.csv", [("text", "label"), *((f"{text.upper()}!", label) for text, label in rows)])
    fit(untrained, tmp_path / "output", "--train_file", train, "--test_file", test, "--method", "features")
    assert "80% of the test texts have the words of one" in " ".join(capsys.readouterr().out.split())
    assert "never read" not in (tmp_path / "output" / "training_report.md").read_text()
