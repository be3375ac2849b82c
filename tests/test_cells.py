"""Labels as they stand in cells, rows that lack something, splits whose labels are secret, unknown words."""

import json
import os
import re
import signal

import numpy as np
import pytest
from conftest import FIXTURES
from test_splits import load, texts_of, write

import train
from tfbert.common.errors import UserError, run
from tfbert.data.batches import Examples
from tfbert.data.cells import list_in, settled
from tfbert.data.tokenizing import TextEncoder
from tfbert.data.vocabulary import known_in_words, unknown_share


def numbered(labels, header=("text", "label")):
    return [list(header), *([f"film {n}", label] for n, label in enumerate(labels))]


def moods(number):
    return ["joy"] * (number % 2) + ["fear"] * (number % 3 == 0)


def by_text(splits):
    """{number of the text: names of its labels} of all splits."""
    found = {}
    for part in (splits.train, splits.validation, splits.test):
        for text, label in zip(part["text"], part["label"]):
            held = np.flatnonzero(label) if np.ndim(label) else [label]
            found[int(text.split()[1])] = {splits.label_names[place] for place in held}
    return found


def test_true_beside_1_is_the_same_label(tmp_path):
    path = tmp_path / "own.jsonl"
    ways = (True, 0, 1, False, "True", "0")
    path.write_text("".join(json.dumps({"text": f"film {n}", "label": ways[n % 6]}) + "\n" for n in range(60)))
    splits = load(train_file=str(path))
    assert by_text(splits) == {n: {"1" if n % 6 in (0, 2, 4) else "0"} for n in range(60)}
    assert "label has 0, 1, True, false, true: true is read as 1, false as 0" in splits.notes


@pytest.mark.parametrize("shown", [repr, json.dumps, lambda names: repr(tuple(names))])
def test_lists_written_as_text_are_lists(tmp_path, shown):
    path = write(tmp_path / "own.tsv", numbered([shown(moods(n)) for n in range(60)]))
    for flags in ({}, {"label_separator": ","}):
        splits = load(train_file=path, **flags)
        assert splits.label_names == ["fear", "joy"] and by_text(splits) == {n: {*moods(n)} for n in range(60)}
        assert splits.notes[0].startswith("the cells of label are lists written as text")


@pytest.mark.parametrize(
    "labels, message",
    [
        (
            ["['joy' 'fear']", "['joy']"],
            "line 2: label is .*, a list without commas, as NumPy prints it.*--label_separator",
        ),
        (["[0 1 1]", "[1 0 0]"], "a list without commas"),
        (["['joy']", "fear"], "line 3: label is 'fear', no list, but other cells are"),
    ],
)
def test_lists_that_cannot_be_read_are_refused(tmp_path, labels, message):
    with pytest.raises(UserError, match=message):
        load(train_file=write(tmp_path / "own.tsv", numbered(labels * 30)))


def test_names_in_brackets_are_names(tmp_path):
    splits = load(train_file=write(tmp_path / "own.csv", numbered(["[kept]", "[deleted by author]", "(none)"] * 20)))
    assert splits.label_names == ["(none)", "[deleted by author]", "[kept]"] and len(splits.notes) == 1


@pytest.mark.parametrize(
    "text", ["__import__('os')", "[1, 2", "[" * 100_000, "{'a': 1}", "(1)", "['a'] + ['b']", "\0["]
)
def test_what_is_no_list_is_none(text):
    assert list_in(text) is None


@pytest.mark.parametrize("name", ["own.jsonl", "own.tsv"])
@pytest.mark.parametrize("kind", [int, float, bool])
@pytest.mark.parametrize("count", [2, 3])
def test_zeros_and_ones_are_labels_by_place(tmp_path, name, kind, count):
    vectors = [[kind(n % 2), kind(n % 3 == 0), kind(n % 5 == 0)][:count] for n in range(60)]
    path = write(tmp_path / name, numbered(vectors))
    splits = load(train_file=path)
    assert splits.label_names == ["0", "1", "2"][:count] and "--label_names names them" in " ".join(splits.notes)
    assert by_text(splits) == {
        n: {str(place) for place, one in enumerate(vector) if one} for n, vector in enumerate(vectors)
    }
    names = ["joy", "fear", "trust"][:count]
    named = load(train_file=path, label_names=", ".join(names))
    assert named.label_names == names
    assert by_text(named) == {n: {names[int(place)] for place in places} for n, places in by_text(splits).items()}
    with pytest.raises(UserError, match=f"--label_names has 4 names, but each list of label has {count} places"):
        load(train_file=path, label_names="a,b,c,d")


def test_a_place_without_a_one_is_a_label_still(tmp_path):
    vectors = [[n % 2, 1 - n % 2, 0] for n in range(60)]
    splits = load(train_file=write(tmp_path / "own.jsonl", numbered(vectors)))
    assert splits.label_names == ["0", "1", "2"] and "no text to train on has the label 2" in splits.notes[-1]
    test = write(tmp_path / "test.jsonl", numbered([[n % 2, 1] for n in range(20)]))
    with pytest.raises(UserError, match="have 2 labels by place, but the training texts 3"):
        load(train_file=str(tmp_path / "own.jsonl"), test_file=test)


def test_label_names_name_numbers(tmp_path):
    path = write(tmp_path / "own.csv", numbered([n % 3 for n in range(60)]))
    splits = load(train_file=path, label_names="bad,fair,good")
    assert splits.label_names == ["bad", "fair", "good"] and by_text(splits)[5] == {"good"}
    with pytest.raises(UserError, match="names the labels 0 to 1, but label has '2'"):
        load(train_file=path, label_names="bad,good")
    for flags in ({"label_names": "bad,bad"}, {"label_names": "bad"}, {"label_names": "a,b", "label_column": "x,y"}):
        with pytest.raises(UserError, match="--label_names needs two or more different names"):
            load(train_file=path, **flags)
    for flags in ({"label_names": "a,b"}, {"quoting": "none"}):
        with pytest.raises(UserError, match="are for your own data"):
            load(**flags)


def test_whole_numbers_are_the_same_labels_however_they_are_written(tmp_path):
    train = write(tmp_path / "train.csv", numbered([f"{n % 2}.0" for n in range(60)]))
    test = write(tmp_path / "test.csv", numbered([n % 2 for n in range(20)]))
    splits = load(train_file=train, test_file=test)
    assert splits.label_names == ["0", "1"] and "0.0, 1.0 are read as 0, 1" in splits.notes[0]
    assert settled(["007", "1.5", "1.0"], ["", "", ""], "label", None, []) == ["007", "1.5", "1.0"]


def test_scores_are_said_to_look_like_scores(tmp_path):
    splits = load(train_file=write(tmp_path / "own.csv", numbered([n % 13 / 4 for n in range(120)])))
    assert len(splits.label_names) == 13 and "look like scores" in splits.notes[0] and "pandas.cut" in splits.notes[0]
    with pytest.raises(UserError, match="They look like scores: for classes, cut them first"):
        load(train_file=write(tmp_path / "own.csv", numbered([n / 7 for n in range(120)])))


@pytest.mark.parametrize("name", ["own.csv", "own.jsonl"])
def test_a_few_rows_that_lack_something_are_left_out_and_said(tmp_path, name):
    rows = numbered(["a", "b"] * 50)
    rows[4][1], rows[10][0], rows[30][1], rows[77][0] = "", " ", "", ""
    path = write(tmp_path / name, rows)
    splits = load(train_file=path)
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 96
    first = 5 if name == "own.csv" else 4
    assert splits.notes[0] == (f"{path}: 4 of 100 rows have no text or no label and are left out: "
                               f"line {first}; line {first + 6}; line {first + 26} and so on")  # fmt: skip
    train_texts, held_out = texts_of(train_file=path)
    assert {*train_texts} == {*splits.train["text"]} and {*held_out} == {*splits.validation["text"]}


def folder_of(folder, **splits):
    folder.mkdir()
    for name, rows in splits.items():
        write(folder / f"{name}.csv", rows)
    return str(folder)


@pytest.mark.parametrize("secret", [[["text"], *([f"secret {n}"] for n in range(20))],
                                    [["text", "label"], *([f"secret {n}", ""] for n in range(20))]])  # fmt: skip
def test_a_test_split_without_labels_is_left_aside(tmp_path, secret):
    known = numbered(["a", "b"] * 30)
    with_validation = folder_of(tmp_path / "one", train=known, validation=numbered(["a", "b"] * 10), test=secret)
    splits = load(dataset_name=with_validation, text_column="text")
    assert len(splits.test) == 20 and splits.notes[0] == "the test split has no labels: it is left aside"
    without = folder_of(tmp_path / "two", train=known, test=secret)
    splits = load(dataset_name=without, text_column="text")
    assert len(splits.test) == 12 and not any("secret" in text for text in splits.test["text"])
    assert {*texts_of(dataset_name=without, text_column="text")[0]} == {*splits.train["text"]}
    with pytest.raises(UserError, match="no column 'label'|no row has a label in label"):
        load(train_file=f"{without}/train.csv", test_file=f"{without}/test.csv")


def test_texts_without_any_labels_are_learnt_from_whole(tmp_path):
    texts = {"train": 60, "test": 20}
    folder = folder_of(tmp_path / "one", **{name: [["text"], *([f"{name} {n}"] for n in range(count))]
                                            for name, count in texts.items()})  # fmt: skip
    train_texts, held_out = texts_of(dataset_name=folder, text_column="text")
    assert len(train_texts) + len(held_out) == 60 and not any("test" in text for text in train_texts)


def test_secret_class_numbers_are_no_labels(tmp_path):
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"])})
    for split, labels in (("train", [0, 1] * 30), ("validation", [0, 1] * 10), ("test", [-1] * 20)):
        rows = {"text": [f"{split} {n}" for n in range(len(labels))], "label": labels}
        Dataset.from_dict(rows, features).to_parquet(tmp_path / f"{split}.parquet")
    splits = load(dataset_name=str(tmp_path), text_column="text")
    assert splits.label_names == ["bad", "good"] and len(splits.test) == 20 and "no labels" in splits.notes[0]


@pytest.mark.parametrize("labels", [["NULL", "None", "nan"], ["007", "012", "7"], ["true", "True", "yes"]])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "csv.gz"])
def test_a_folder_gives_the_texts_and_labels_that_its_file_gives(tmp_path, labels, suffix):
    import gzip

    rows = numbered(labels * 20)
    path = tmp_path / f"train.{suffix}"
    plain = write(tmp_path / f"rows.{'jsonl' if suffix == 'json' else suffix.removesuffix('.gz')}", rows)
    content = open(plain, "rb").read()
    os.remove(plain)
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    one, other = load(dataset_name=str(tmp_path), text_column="text"), load(train_file=str(path))
    assert set(labels) == set(one.label_names) == set(other.label_names) and by_text(one) == by_text(other)


def encoded(texts):
    encoder = TextEncoder.from_folder(FIXTURES / "tiny_bert", 16)
    from datasets import Dataset

    data = Dataset.from_dict({"text": texts, "label": [0] * len(texts)})
    return unknown_share(Examples.tokenized(data, encoder, "tokenizing"), encoder)


def test_the_share_of_unknown_tokens_is_counted_and_judged():
    assert encoded(["film film", "a film"]) == 0 and encoded(["ሰላም ዓለም"]) == 1
    assert encoded(["film ሰላም", "film film"]) == 0.25
    assert "WARNING" not in known_in_words(0.19, "tiny") and known_in_words(0.19, "tiny").startswith(
        "19.0% of the tokens"
    )
    assert "WARNING" in known_in_words(0.2, "tiny") and "bert-base-multilingual-cased" in known_in_words(0.2, "tiny")
    with pytest.raises(UserError, match="95.0% of the tokens .* unknown to tiny.*bert-base-multilingual-cased"):
        known_in_words(0.95, "tiny")


def arguments(tmp_path, rows):
    return ["--train_file", write(tmp_path / "own.csv", rows), "--model_name_or_path", str(FIXTURES / "tiny_bert"),
            "--max_seq_length", "16", "--output_dir", str(tmp_path / "out")]  # fmt: skip


def test_texts_that_the_encoder_cannot_read_are_refused_before_training(tmp_path, capsys):
    rows = [["text", "label"], *([f"ሰላም ዓለም {'ነ' * n}", "ab"[n % 2]] for n in range(40))]
    assert run(lambda: train.main(arguments(tmp_path, rows))) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "unknown to" in error and "bert-base-multilingual-cased" in error


@pytest.mark.parametrize("where", ["tfbert.data.cells.label_text", "tfbert.data.tokenizing.TextEncoder.tokens"])
def test_ctrl_c_while_data_are_read_or_tokenized_is_one_line(where, tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        os.kill(os.getpid(), signal.SIGINT)
        return []

    monkeypatch.setattr(where, interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored
    try:
        assert run(lambda: train.main(arguments(tmp_path, numbered(["a", "b"] * 30)))) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err.endswith("\nInterrupted.\n")


@pytest.mark.parametrize(
    "labels, note",
    [
        (["Yes", "yes", "no"], "the labels 'Yes', 'yes' of label differ in case or signs only"),
        (["caf\u00e9", "cafe\u0301", "tea"], "differ in case or signs only"),
        (["yes", "yes\u200b", "no"], r"'yes\\u200b'"),
        (["1.0", "2.0", "nan"], "'nan' is learnt as a label of label.*leave the cell empty"),
        (["{'joy': 1, 'fear': 0}", "{'joy': 0, 'fear': 1}"], "is learnt as the name of one label"),
        (["[joy, fear]", "[joy]"], r"'\[joy, fear\]' is learnt as the name of one label"),
        (["joy|fear", "joy"], "'joy\\|fear' is learnt as one label.*--label_separator \"\\|\""),
        ([f"{n / 2:.1f}".replace(".", ",") for n in range(8)], "look like scores"),
    ],
)
def test_labels_that_may_not_be_meant_are_said(tmp_path, labels, note):
    splits = load(train_file=write(tmp_path / "own.tsv", numbered(labels * 12)))
    assert len(splits.label_names) == len(labels) and re.search(note, splits.notes[0])


@pytest.mark.parametrize("labels", [["yes", "no"], ["-1", "0", "+1"], ["1.0", "1.5"], ["Food, drink", "Cars, bikes"]])
def test_ordinary_labels_raise_no_doubt(tmp_path, labels):
    splits = load(train_file=write(tmp_path / "own.tsv", numbered(labels * 20)))
    assert len(splits.notes) == 1 and "kept for testing" in splits.notes[0]


def test_a_set_written_as_text_is_a_list(tmp_path):
    splits = load(train_file=write(tmp_path / "own.tsv", numbered(["{'joy'}", "{'joy', 'fear'}"] * 20)))
    assert splits.label_names == ["fear", "joy"]


def test_lists_of_shares_are_refused(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps({"text": f"film {n}", "label": [0.25, 0.75][:: n % 2 * 2 - 1]}) + "\n"
                            for n in range(40)))  # fmt: skip
    with pytest.raises(UserError, match="shares are not learnt here"):
        load(train_file=str(path))


def test_a_test_split_whose_labels_are_all_minus_one_is_left_aside(tmp_path):
    write(tmp_path / "train.csv", numbered(["0", "1"] * 30))
    write(tmp_path / "test.csv", numbered(["-1"] * 30))
    splits = load(dataset_name=str(tmp_path), text_column="text", label_column="label")
    assert splits.notes[0] == "the test split has no labels: it is left aside" and "kept for testing" in splits.notes[1]


def test_minus_one_is_a_label_where_training_texts_have_it(tmp_path):
    write(tmp_path / "train.csv", numbered(["-1", "1"] * 30))
    write(tmp_path / "test.csv", numbered(["-1"] * 29 + ["1"]))
    splits = load(dataset_name=str(tmp_path), text_column="text", label_column="label")
    assert splits.label_names == ["-1", "1"] and len(splits.test) == 30


def test_label_names_without_a_name_are_refused(tmp_path):
    with pytest.raises(UserError, match="--label_names needs two or more"):
        load(train_file=write(tmp_path / "own.tsv", numbered(["0", "1"] * 30)), label_names=",,")
