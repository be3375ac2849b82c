"""Files as people have them: what is taken for what, and that it is said."""

import gzip
import json
import os
import sys

import pytest
from test_splits import load

import infer
from tfbert.common.errors import UserError, run
from tfbert.data.reading import read_texts

ROWS = [(f"film number {n}, {'a joy' if n % 2 else 'a bore'}", "good" if n % 2 else "bad") for n in range(40)]


def texts_and_labels(splits):
    found = {}
    for part in (splits.train, splits.validation, splits.test):
        for text, label in zip(part["text"], part["label"]):
            found[text] = splits.label_names[label] if isinstance(label, int) else label
    return found


def table(delimiter, rows=ROWS, header=("text", "label"), end="\n"):
    lines = [delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in row) for row in [header, *rows]]
    return end.join(lines) + end


FORMS = {
    "semicolons in .csv": ("own.csv", table(";"), "semicolons"),
    "Excel's first line": ("own.csv", "sep=;\n" + table(";"), "sep=;"),
    "tabs in .csv": ("own.csv", table("\t"), "tabs"),
    "a blank before a name": ("own.csv", table(",", header=("text", " label")), None),
    "names in capitals": ("own.csv", table(",", header=("Text", "LABEL")), "is taken for"),
    "lines that end in CR": ("own.csv", table(",", end="\r"), "CR"),
    "a CR in a field": ("own.csv", table(",").replace("film number 9,", "film\rnumber 9,"), "CR"),
    "UTF-16 with a mark": ("own.csv", table(",").encode("utf-16"), "UTF-16"),
    "UTF-8 with a mark": ("own.csv", table(",").encode("utf-8-sig"), None),
    "gzip of .csv": ("own.csv.gz", gzip.compress(table(",").encode()), None),
    "gzip of .tsv": ("own.tsv.gz", gzip.compress(table("\t").encode()), None),
    "gzip of .jsonl": (
        "own.jsonl.gz",
        gzip.compress("\n".join(json.dumps({"text": t, "label": n}) for t, n in ROWS).encode()),
        None,
    ),
    "a list in .json": ("own.json", json.dumps([{"text": t, "label": n} for t, n in ROWS]), None),
    "a list in .jsonl": ("own.jsonl", json.dumps([{"text": t, "label": n} for t, n in ROWS]), None),
    "pretty-printed objects": (
        "own.jsonl",
        "\n".join(json.dumps({"text": t, "label": n}, indent=2) for t, n in ROWS),
        None,
    ),
    "backslashes before quotes": ("own.csv", table(",").replace("a joy", 'a \\"joy\\"'), "backslashes"),
}


@pytest.mark.parametrize("form", FORMS)
def test_files_are_read_and_what_was_guessed_is_said(form, tmp_path):
    name, content, said = FORMS[form]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    splits = load(train_file=str(tmp_path / name))
    expected = {text.replace("a joy", 'a "joy"') if "backslash" in form else text: label for text, label in ROWS}
    assert texts_and_labels(splits) == expected
    notes = [note for note in splits.notes if "drawn by --seed" not in note]
    assert all(said and said in note for note in notes) and bool(notes) == bool(said), notes


def research_table(count=40):
    """Tabs, no quoting, and here and there a quotation mark at the start of a field."""
    lines = ["text\tlabel"]
    for n in range(count):
        mark = '"' if n in (3, 9) else ""
        lines.append(f"{mark}what number {n} says{mark * (n == 20)}\t{'yes' if n % 2 else 'no'}")
    return "\n".join(lines) + "\n"


def test_quotation_marks_do_not_melt_rows_together(tmp_path):
    path = tmp_path / "own.tsv"
    path.write_text(research_table())
    splits = load(train_file=str(path))
    found = texts_and_labels(splits)
    assert len(found) == 40 and not any("\t" in text or "\n" in text for text in found)
    assert found['"what number 3 says'] == "yes"
    assert any("each line is a row" in note and "--quoting minimal" in note for note in splits.notes)
    notes = []
    assert len(list(read_texts(str(path), "text", notes=notes))) == 40 and notes
    with pytest.raises(UserError, match="is a quotation mark not closed.*--quoting none takes each line for a row"):
        load(train_file=str(path), quoting="minimal")
    assert not any("each line is a row" in note for note in load(train_file=str(path), quoting="none").notes)


def test_a_text_of_several_lines_stays_whole_and_is_said(tmp_path):
    rows = [(f'"first line of {n}\nsecond line, with a comma"', "a" if n % 2 else "b") for n in range(30)]
    (tmp_path / "own.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    splits = load(train_file=str(tmp_path / "own.csv"))
    assert texts_and_labels(splits) == {text.strip('"'): label for text, label in rows}


@pytest.mark.parametrize("write", [str, json.dumps])
def test_lists_in_cells_are_read_as_lists(write, tmp_path):
    lists = [["joy"], ["joy", "fear"], [], ["fear"]]
    rows = [(f"text {n}", write(lists[n % 4]).replace('"', '""')) for n in range(40)]
    (tmp_path / "own.csv").write_text("text,label\n" + "".join(f'{text},"{cell}"\n' for text, cell in rows))
    splits = load(train_file=str(tmp_path / "own.csv"))
    assert splits.label_names == ["fear", "joy"]
    assert texts_and_labels(splits)["text 1"] == [1.0, 1.0] and texts_and_labels(splits)["text 2"] == [0.0, 0.0]
    assert any("are lists written as text" in note for note in splits.notes)


@pytest.mark.parametrize("names", [None, "joy, fear, rage"])
def test_zeros_and_ones_stand_for_labels_by_place(names, tmp_path):
    rows = [{"text": f"text {n}", "label": [n % 2, int(n % 3 == 0), int(n % 5 == 0)]} for n in range(60)]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    splits = load(train_file=str(tmp_path / "own.jsonl"), label_names=names)
    order = splits.label_names
    assert sorted(order) == (sorted(["joy", "fear", "rage"]) if names else ["0", "1", "2"])
    place = {name: number for number, name in enumerate(["joy", "fear", "rage"] if names else ["0", "1", "2"])}
    found = texts_and_labels(splits)
    for row in rows:
        assert found[row["text"]] == [row["label"][place[name]] for name in order]
    assert any("zeros and ones" in note for note in splits.notes)
    with pytest.raises(UserError, match="--label_names has 2 names, but the lists of label have 3 places"):
        load(train_file=str(tmp_path / "own.jsonl"), label_names="a,b")


def test_a_folder_and_a_file_give_the_same(tmp_path):
    names = ["NULL", "007", "012"]
    lines = [f"text {n} None,{names[n % 3]}\n" for n in range(60)]
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(lines))
    of_file, of_folder = (
        load(train_file=str(tmp_path / "train.csv")),
        load(dataset_name=str(tmp_path), text_column="text"),
    )
    assert of_file.label_names == of_folder.label_names == sorted(names)
    assert texts_and_labels(of_file) == texts_and_labels(of_folder)


def test_whole_numbers_are_one_label_however_a_file_writes_them(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"text {n},{n % 2}.0\n" for n in range(40)))
    (tmp_path / "test.csv").write_text("text,label\n" + "".join(f"other {n},{n % 2}\n" for n in range(10)))
    splits = load(train_file=str(tmp_path / "train.csv"), test_file=str(tmp_path / "test.csv"))
    assert splits.label_names == ["0", "1"] and len(splits.test) == 10
    assert any("are whole numbers" in note for note in splits.notes)


def test_scores_are_said_to_look_like_scores(tmp_path):
    lines = [f"text {n},{n % 10 / 4}\n" for n in range(200)]
    (tmp_path / "own.csv").write_text("text,label\n" + "".join(lines))
    splits = load(train_file=str(tmp_path / "own.csv"))
    assert any("like scores" in note and "cut them into a few classes" in note for note in splits.notes)


def test_a_few_rows_that_lack_something_are_left_out_and_said(tmp_path):
    lines = [f"text {n},{'ab'[n % 2]}" for n in range(60)]
    lines[5], lines[17] = " ,a", "text 17,"
    (tmp_path / "own.csv").write_text("text,label\n" + "\n".join(lines))
    splits = load(train_file=str(tmp_path / "own.csv"))
    assert len(texts_and_labels(splits)) == 58
    assert any(note.endswith("2 of 60 rows have no text or no label and are left out: line 7, line 19")
               for note in splits.notes)  # fmt: skip


@pytest.mark.parametrize("secret", ["-1", "no column"])
def test_a_test_split_without_labels_is_left_aside(secret, tmp_path):
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"])})
    for split, count in (("train", 60), ("validation", 20)):
        data = {"text": [f"{split} {n}" for n in range(count)], "label": [n % 2 for n in range(count)]}
        Dataset.from_dict(data, features).to_parquet(tmp_path / f"{split}.parquet")
    hidden = Dataset.from_dict({"text": [f"test {n}" for n in range(20)], "label": [-1] * 20}, features)
    if secret == "-1":
        hidden.to_parquet(tmp_path / "test.parquet")
    else:
        for split in ("train", "validation"):
            data = {"text": [f"{split} {n}" for n in range(60)], "label": [n % 2 for n in range(60)]}
            (tmp_path / f"{split}.csv").write_text(
                "text,label\n" + "".join(f"{t},{n}\n" for t, n in zip(*data.values()))
            )
            (tmp_path / f"{split}.parquet").unlink()
        (tmp_path / "test.csv").write_text("text\n" + "".join(f"test {n}\n" for n in range(20)))
    splits = load(dataset_name=str(tmp_path), text_column="text")
    assert all(text.startswith("validation") for text in splits.test["text"])
    assert any("the test split has no labels: it is left aside" in note for note in splits.notes)


@pytest.mark.parametrize("kind", ["fifo", "device", "missing"])
def test_what_is_no_regular_file_is_refused_at_once(kind, tmp_path):
    path = tmp_path / "own.csv"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    message = "No such file" if kind == "missing" else "not a regular file"
    with pytest.raises(UserError, match=message):
        load(train_file=str(path))


def test_parquet_with_metadata_that_make_no_sense(tmp_path):
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"text": [f"text {n}" for n in range(40)], "label": [n % 2 for n in range(40)]})
    for names in ("7", '{"a": 1}', "[[1], 2]"):
        info = f'{{"info": {{"features": {{"label": {{"names": {names}, "_type": "ClassLabel"}}}}}}}}'
        parquet.write_table(table.replace_schema_metadata({"huggingface": info}), tmp_path / "own.parquet")
        assert load(train_file=str(tmp_path / "own.parquet")).label_names == ["0", "1"]
    parquet.write_table(table.replace_schema_metadata({"huggingface": "[" * 100_000}), tmp_path / "own.parquet")
    assert load(train_file=str(tmp_path / "own.parquet")).label_names == ["0", "1"]


def test_lines_before_a_bad_one_are_labelled(trained, tmp_path, capsys):
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "a good film"}\n' * 3 + "{\n")
    assert run(lambda: infer.main(["--model_dir", str(trained), "--file", str(path), "--json"])) == 2
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 3 and "line 4: not JSON" in shown.err


def test_a_text_that_begins_with_a_hyphen_stands_after_two(trained, capsys):
    assert run(lambda: infer.main(["--model_dir", str(trained), "-boring"])) == 2
    assert "a text that begins with - stands after --" in capsys.readouterr().err
    assert infer.main(["--model_dir", str(trained), "--", "-boring"]) is None


@pytest.mark.parametrize("unknown, said", [(10, "distilbert-base-multilingual-cased"), (4, "unknown to"), (0, None)])
def test_texts_that_the_vocabulary_lacks_are_said_before_training(unknown, said, untrained, tmp_path, capsys):
    """Of ten texts, so many are in another script."""
    import train

    lines = [
        f"{'ሰላም ዓለም ደህና ቀን ዛሬ ነው' if n % 10 < unknown else 'a good film and a good story'} {n},{'ab'[n // 10 % 2]}\n"
        for n in range(100)
    ]
    (tmp_path / "own.csv").write_text("text,label\n" + "".join(lines), encoding="utf-8")
    arguments = ["--train_file", tmp_path / "own.csv", "--model_name_or_path", untrained, "--max_seq_length", 16]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "learn", lambda job: sys.exit("training"))
        status = run_until_training(train, [*map(str, arguments), "--output_dir", str(tmp_path / "model")])
    shown = " ".join(capsys.readouterr().out.split())
    if unknown == 10:
        assert said in status
    else:
        assert status == "training" and (("unknown to" in shown) if said else ("unknown to" not in shown))


def run_until_training(train, arguments):
    try:
        train.main(arguments)
    except (UserError, SystemExit) as end:
        return str(end)
