import csv
import json

import pytest

import infer
from tfbert.common.errors import UserError


def labelled(trained, *more):
    infer.main(["--model_dir", str(trained), *map(str, more)])


def test_a_file_comes_back_with_its_labels(trained, tmp_path, capsys):
    path, target = tmp_path / "some.csv", tmp_path / "labels.csv"
    path.write_text('id,text\n7,"a lovely, moving film"\n8,\n9,the plot was dull.\n')
    labelled(trained, "--file", path, "--output", target)
    rows = list(csv.DictReader(open(target, encoding="utf-8")))
    assert [row["id"] for row in rows] == ["7", "8", "9"] and list(rows[0]) == ["id", "text", "label", "probability"]
    assert rows[0]["text"] == "a lovely, moving film" and rows[0]["label"] == "positive"
    assert rows[1]["label"] == rows[1]["probability"] == "" and float(rows[2]["probability"]) > 0.5
    out = capsys.readouterr()
    assert "3 texts" in out.out and "no label" in out.err


@pytest.mark.parametrize("head, sign", [("id;text\n", ";"), ("sep=|\nid|text\n", "|"), ("id\ttext\n", "\t")])
def test_columns_stay_parted_as_they_were(trained, tmp_path, head, sign):
    path, target = tmp_path / "some.csv", tmp_path / "labels.csv"
    path.write_text(f"{head}7{sign}a dull, slow film\n")
    labelled(trained, "--file", path, "--output", target)
    (row,) = csv.DictReader(open(target, encoding="utf-8"), delimiter=sign)
    assert list(row) == ["id", "text", "label", "probability"] and row["text"] == "a dull, slow film"


def test_columns_that_are_there_already_are_kept(trained, tmp_path):
    path, target = tmp_path / "some.jsonl", tmp_path / "labels.jsonl"
    path.write_text('{"text": "a dull film", "label": "good", "n": 1}\n')
    labelled(trained, "--file", path, "--output", target)
    (row,) = map(json.loads, target.read_text().splitlines())
    assert row["label"] == "good" and row["n"] == 1 and row["predicted_label"] == "negative"


def test_nothing_that_was_there_is_lost(trained, tmp_path):
    path = tmp_path / "some.csv"
    path.write_text("Text,label,predicted_label\na dull film,gold,7\n")
    labelled(trained, "--file", path, "--output", tmp_path / "labels.csv")
    (row,) = csv.DictReader(open(tmp_path / "labels.csv", encoding="utf-8"))
    assert list(row) == ["Text", "label", "predicted_label", "predicted_predicted_label",
                         "predicted_predicted_probability"]  # fmt: skip
    assert (row["label"], row["predicted_label"], row["predicted_predicted_label"]) == ("gold", "7", "negative")
    for flag, target, words in (("--output", path, "would be lost"), ("--html", tmp_path / "a.json", "must end in"),
                                ("--html", tmp_path / "no" / "a.html", "there is no folder"),
                                ("--output", tmp_path, "must end in")):  # fmt: skip
        with pytest.raises(UserError, match=words):
            labelled(trained, "--file", path, flag, target)
    (tmp_path / "rows.jsonl").write_text('{"text": "a film"}\n{"text": "a film", "label": "gold"}\n')
    labelled(trained, "--file", tmp_path / "rows.jsonl", "--output", tmp_path / "labels.jsonl")
    first, second = map(json.loads, (tmp_path / "labels.jsonl").read_text().splitlines())
    assert list(first) == ["text", "predicted_label", "predicted_probability"] and second["label"] == "gold"
    (tmp_path / "old.csv").write_text("kept")
    (tmp_path / "none.csv").write_text("text\n")
    with pytest.raises(UserError):
        labelled(trained, "--file", tmp_path / "none.csv", "--output", tmp_path / "old.csv")
    assert (tmp_path / "old.csv").read_text() == "kept"


def test_rows_without_text_are_shown_among_reasons(trained, tmp_path, capsys):
    (tmp_path / "some.txt").write_text("a dull film\n\na lovely film\n")
    labelled(trained, "--file", tmp_path / "some.txt", "--html", tmp_path / "why.html")
    assert "(no label)" in capsys.readouterr().out and (tmp_path / "why.html").read_text().count("<article>") == 2


def test_lines_and_arguments_become_a_table(trained, tmp_path):
    (tmp_path / "some.txt").write_text("a dull film\n")
    labelled(trained, "--file", tmp_path / "some.txt", "--output", tmp_path / "labels.tsv")
    assert (tmp_path / "labels.tsv").read_text().splitlines()[0] == "text\tlabel\tprobability"
    labelled(trained, "a dull film", "--output", tmp_path / "one.csv")
    assert (tmp_path / "one.csv").read_text().splitlines()[1].startswith("a dull film,negative,")


def test_a_file_that_cannot_be_finished_is_not_there(trained, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"text": "a dull film"}\n{"text": \n')
    with pytest.raises(UserError):
        labelled(trained, "--file", tmp_path / "bad.jsonl", "--output", tmp_path / "labels.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jsonl"]
    with pytest.raises(UserError, match=r"must end in .csv or .tsv or .jsonl"):
        labelled(trained, "a film", "--output", tmp_path / "labels.xlsx")


def test_what_was_probably_not_meant_is_said(trained, tmp_path, capsys, monkeypatch):
    (tmp_path / "some.csv").write_text("text\na film\n")
    with pytest.raises(UserError, match=r"some.csv is a file: did you mean --file .*some.csv\?"):
        labelled(trained, tmp_path / "some.csv")
    labelled(trained, "a", "very", "dull", "film")
    assert "quotation marks hold a text together" in capsys.readouterr().err
    labelled(trained, "a film \u2603 \u2603 \u2603 \u2603 \u2603")
    assert "a language that it has not learnt?" in capsys.readouterr().err


def test_a_label_that_is_nearly_a_coin_toss_is_called_unsure(capsys):
    from tfbert.inference.showing import show_line, show_whole

    def shown(*probabilities):
        result = {"label": "a", "probability": probabilities[0], "probabilities": dict(zip("abc", probabilities))}
        show_whole(["word " * 1000], result, False)
        return capsys.readouterr().out

    assert "Label:  a (52.0%), unsure: b 48.0%" in shown(0.52, 0.48) and "unsure" not in shown(0.9, 0.1)
    for share, line in ((0.52, "a  52.0%? so so"), (0.9, "a  90.0%  so so")):
        show_line(
            ("so so",), {"label": "a", "probability": share, "probabilities": {"a": share, "b": 1 - share}}, False
        )
        assert capsys.readouterr().out == line + "\n"
    assert "... (5,000 signs)" in shown(0.9, 0.1)


def test_columns_that_differ_in_case_alone_are_all_kept(trained, tmp_path):
    (tmp_path / "some.csv").write_text("text,Note,note\na dull film,,\n")
    labelled(trained, "--file", tmp_path / "some.csv", "--output", tmp_path / "labels.csv")
    assert (tmp_path / "labels.csv").read_text().splitlines()[0] == "text,Note,note,label,probability"
