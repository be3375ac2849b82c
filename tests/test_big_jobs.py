"""infer.py --output: what a kill leaves and the same command goes on with, parts of a file, Parquet, Ray Data."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from conftest import GOOD, ROOT, reviews

import infer
from tfbert.common.errors import UserError
from tfbert.common.timing import Progress
from tfbert.inference import chunks
from tfbert.inference.labelled import labelled_file
from tfbert.inference.predicting import Predictor

KILLED_IN_CHUNK = """
import os, sys
import infer
from tfbert.inference import chunks
from tfbert.inference.predicting import Predictor

number, label = int(sys.argv.pop(1)), Predictor.label

def label_or_die(*arguments):
    global number
    number -= 1
    if not number:
        os.kill(os.getpid(), SIGNAL)
    return label(*arguments)

chunks.CHUNK, Predictor.label = 16, label_or_die
infer.main()
"""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 16)


@pytest.fixture
def asked(monkeypatch):
    """A list that takes how many texts the model was asked for, call by call."""
    label, counts = Predictor.label, []
    monkeypatch.setattr(Predictor, "label", lambda self, ids, *more: counts.append(len(ids)) or label(self, ids, *more))
    return counts


@pytest.fixture
def table(tmp_path):
    """100 rows, a number and a text, of which one is empty and one has a line break."""
    texts = reviews(100, 3)[0]
    texts[37], texts[50] = "", 'a "dull"\nfilm'
    return write(tmp_path / "rows.csv", ["id", "text"], enumerate(texts))


def write(path, columns, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def labelled(trained, *more):
    infer.main(["--model_dir", str(trained), *map(str, more)])


def killed(trained, chunk, *more):
    """Runs infer.py until it is in the chunk of that number, and kills it there."""
    script = KILLED_IN_CHUNK.replace("SIGNAL", str(int(getattr(signal, "SIGKILL", signal.SIGTERM))))
    command = [sys.executable, "-c", script, chunk, "--model_dir", trained, *more]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode not in (0, 1, 2), done.stderr


def beside(target):
    return sorted(path.name for path in target.parent.iterdir() if path.name.startswith(f".{target.name}"))


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_what_was_killed_goes_on_and_labels_nothing_twice(kind, trained, table, tmp_path, asked, capsys):
    whole, target = tmp_path / f"whole.{kind}", tmp_path / f"labels.{kind}"
    labelled(trained, "--file", table, "--output", whole)
    assert asked == [16] * 6 + [4] and not beside(whole)
    killed(trained, 4, "--file", table, "--output", target)
    assert not target.exists() and f".{target.name}.labelling" in beside(target)
    asked.clear(), capsys.readouterr()
    labelled(trained, "--file", table, "--output", target)
    assert asked == [16] * 3 + [4]  # three chunks of seven were there
    assert "going on after 48 texts that an earlier run labelled" in capsys.readouterr().err
    assert target.read_bytes() == whole.read_bytes() and not beside(target)


def test_killed_again_and_with_a_torn_line(trained, table, tmp_path, asked, capsys):
    whole, target = tmp_path / "whole.csv", tmp_path / "labels.csv"
    labelled(trained, "--file", table, "--output", whole)
    killed(trained, 3, "--file", table, "--output", target)
    killed(trained, 2, "--file", table, "--output", target)  # the first chunk that is labelled now is the third
    with open(tmp_path / ".labels.csv.labelling", "ab") as file:
        file.write(b'{"texts": "half of a li')
    asked.clear(), capsys.readouterr()
    labelled(trained, "--file", table, "--output", target)
    assert "going on after 48 texts" in capsys.readouterr().err and sum(asked) == 52
    assert target.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("flags, words", [(["--batch_size", "8"], "another --batch_size"),
                                          (["--quantize"], "another --quantize")])  # fmt: skip
def test_other_flags_begin_anew(flags, words, trained, table, tmp_path, asked, capsys):
    model, target = shutil.copytree(trained, tmp_path / "model"), tmp_path / "labels.csv"
    killed(model, 4, "--file", table, "--output", target)
    labelled(model, "--file", table, "--output", target, *flags)
    assert f"{words}: all texts are labelled anew" in capsys.readouterr().err
    assert sum(asked) == 100 and not beside(target)


def test_another_model_begins_anew(trained, table, tmp_path, asked, capsys):
    other, target = shutil.copytree(trained, tmp_path / "model"), tmp_path / "labels.csv"
    killed(other, 4, "--file", table, "--output", target)
    (other / "README.md").write_text("nothing that labels depend on")
    killed(other, 2, "--file", table, "--output", target)
    config = json.loads((other / "config.json").read_text())
    config["tfbert"]["temperature"] *= 2
    (other / "config.json").write_text(json.dumps(config))
    labelled(other, "--file", table, "--output", target)
    assert "another model: all texts are labelled anew" in capsys.readouterr().err and sum(asked) == 100


def test_other_texts_are_labelled_anew_and_other_columns_are_read_anew(trained, table, tmp_path, asked, capsys):
    target, lines = tmp_path / "labels.csv", table.read_text().splitlines(keepends=True)
    killed(trained, 4, "--file", table, "--output", target)
    lines[1], lines[20] = "changed" + lines[1], "19,a wonderful film\n"  # in the second chunk
    table.write_text("".join(lines))
    labelled(trained, "--file", table, "--output", target)
    assert re.search(r"line 18: from here on .* other texts", capsys.readouterr().err) and sum(asked) == 84
    rows = list(csv.DictReader(open(target, newline="")))
    assert rows[0]["id"] == "changed0" and rows[19]["text"] == "a wonderful film" and len(rows) == 100
    labelled(trained, "--file", table, "--output", tmp_path / "whole.csv")
    assert (tmp_path / "whole.csv").read_bytes() == target.read_bytes()


def test_an_interrupted_job_says_what_is_kept(trained, table, tmp_path, monkeypatch, capsys):
    label, calls = Predictor.label, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return label(*arguments)

    monkeypatch.setattr(Predictor, "label", interrupted)
    with pytest.raises(KeyboardInterrupt):
        labelled(trained, "--file", table, "--output", tmp_path / "labels.csv")
    assert "32 answers are kept in" in capsys.readouterr().err
    assert beside(tmp_path / "labels.csv") == [".labels.csv.labelling"]


def test_a_bad_row_is_known_before_the_first_is_labelled(trained, table, tmp_path, asked):
    with open(table, "a") as file:
        file.write("100,a film,too much\n")
    with pytest.raises(UserError, match="3 fields, more than the 2 columns"):
        labelled(trained, "--file", table, "--output", tmp_path / "labels.csv")
    assert not asked and not beside(tmp_path / "labels.csv")


def test_two_runs_cannot_write_one_file(trained, table, tmp_path):
    from tfbert.common.console import note
    from tfbert.common.locks import sole_run

    target = tmp_path / "labels.csv"
    with sole_run(target, note), pytest.raises(UserError, match="--output .*labels.csv is in use by another run"):
        labelled(trained, "--file", table, "--output", target)


def test_a_row_that_changed_meanwhile_is_an_error(tmp_path):
    with pytest.raises(UserError, match="row 2 has the column b, which was not there at the first reading"):
        with labelled_file(tmp_path / "a.csv", {"a": None}) as add:
            add("row 1", {"a": "x"}, ("x",), {"label": "good", "probability": 0.5})
            add("row 2", {"a": "x", "b": "y"}, ("x",), {"label": "good", "probability": 0.5})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("there", [50, 150])
@pytest.mark.parametrize("shard", [[], ["--shard", "3/3"]])
def test_a_file_that_shrinks_or_grows_meanwhile_is_an_error(there, shard, trained, table, tmp_path, monkeypatch):
    target, read, calls = tmp_path / "labels.csv", infer.rows_of_file, []

    def changing(*arguments):
        calls.append(1)  # the first is read when all have been counted by the second
        rows = list(read(*arguments))
        return iter((rows * 2)[: there if len(calls) == 1 else 100])

    monkeypatch.setattr(infer, "rows_of_file", changing)
    if shard and there > 100:
        labelled(trained, "--file", table, "--output", target, *shard)  # the part is what it was
        return
    with pytest.raises(UserError, match=f"had 100 rows at the first reading, and then {there}: leave it"):
        labelled(trained, "--file", table, "--output", target, *shard)
    assert not target.exists()


def test_a_part_does_not_replace_another(trained, table, tmp_path):
    target = tmp_path / "labels.csv"
    labelled(trained, "--file", table, "--output", target, "--shard", "1/2")
    before = target.read_bytes()
    with pytest.raises(UserError, match="labels.csv is there already, perhaps from another part: name another"):
        labelled(trained, "--file", table, "--output", target, "--shard", "2/2")
    assert target.read_bytes() == before


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_parts_joined_in_order_are_the_whole(kind, trained, table, tmp_path, asked):
    whole, parts = tmp_path / f"whole.{kind}", [tmp_path / f"part{number}.{kind}" for number in (1, 2, 3)]
    labelled(trained, "--file", table, "--output", whole)
    asked.clear()
    for number, part in enumerate(parts, 1):
        labelled(trained, "--file", table, "--output", part, "--shard", f"{number}/3")
    assert sum(asked) == 100
    texts = [part.read_text() for part in parts]
    if kind == "csv":
        texts[1:] = [text.split("\n", 1)[1] for text in texts[1:]]
    rows = [list(csv.DictReader(text.splitlines(keepends=True))) if kind == "csv" else list(map(json.loads, text.splitlines()))
            for text in ("".join(texts), whole.read_text())]  # fmt: skip
    assert [row["id"] for row in rows[0]] == [str(number) for number in range(100)]
    for one, other in zip(*rows):
        probabilities = [float(row.pop("probability") or 0) for row in (one, other)]
        assert one == other and probabilities[0] == pytest.approx(probabilities[1], abs=1e-6)


@pytest.mark.parametrize("flags, words", [
    (["--shard", "4/3"], "give the part and how many"), (["--shard", "x"], "give the part and how many"),
    (["--shard", "1/200"], "the file has 100 rows, too few"),
])  # fmt: skip
def test_a_part_that_is_none(flags, words, trained, table, tmp_path):
    with pytest.raises(UserError, match=words):
        labelled(trained, "--file", table, "--output", tmp_path / "labels.csv", *flags)
    with pytest.raises(UserError, match="--shard is a part of --file, with --output"):
        labelled(trained, "--file", table, *flags)


def test_parquet_keeps_types_and_finds_those_of_json(trained, tmp_path, capsys):
    import pyarrow
    from pyarrow import parquet

    rows = [{"text": "a dull film", "n": 1, "x": None, "tags": ["a"], "mixed": 3, "of": {}},
            *[{"text": "a lovely film", "n": 2, "x": True, "tags": []}] * 20,
            {"text": "", "n": 2.5, "mixed": "three", "late": {"a": [1]}}]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    labelled(trained, "--file", tmp_path / "rows.jsonl", "--output", tmp_path / "labels.parquet")
    assert "values of several kinds in mixed, of: JSON text in" in capsys.readouterr().err
    table = parquet.read_table(tmp_path / "labels.parquet")
    assert dict(zip(table.schema.names, map(str, table.schema.types))) == {
        "text": "string", "n": "double", "x": "bool", "tags": "list<element: string>", "mixed": "string",
        "of": "string", "late": "struct<a: list<element: int64>>", "label": "string", "probability": "double",
    }  # fmt: skip
    first, *_, last = table.to_pylist()
    assert first["label"] == "negative" and first["mixed"] == "3" and last["mixed"] == '"three"'
    assert last["label"] is last["probability"] is None and last["late"] == {"a": [1]}
    kinds = {"text": pyarrow.string(), "small": pyarrow.int16(), "day": pyarrow.date32(), "nothing": pyarrow.null()}
    parquet.write_table(table.select(["text"]).append_column("small", pyarrow.array([7] * 22, "int16"))
                        .append_column("day", pyarrow.array([0] * 22, "date32"))
                        .append_column("nothing", pyarrow.nulls(22)), tmp_path / "rows.parquet")  # fmt: skip
    labelled(trained, "--file", tmp_path / "rows.parquet", "--output", tmp_path / "again.parquet")
    again = parquet.read_table(tmp_path / "again.parquet")
    assert [again.schema.field(name).type for name in ("text", "small", "day")] == list(kinds.values())[:3]
    assert again["label"] == table["label"] and again["day"] == pyarrow.chunked_array(
        [pyarrow.array([0] * 22, "date32")]
    )


@pytest.mark.parametrize("first, later", [(2**53 + 1, 1.5), (1.5, 2**53 + 1)])
def test_whole_numbers_that_floats_would_round_stay_whole(first, later, trained, tmp_path):
    from pyarrow import parquet

    values = [first] * 16 + [later]  # in two chunks
    lines = [json.dumps({"text": "a dull film", "n": value}) + "\n" for value in values]
    (tmp_path / "rows.jsonl").write_text("".join(lines))
    labelled(trained, "--file", tmp_path / "rows.jsonl", "--output", tmp_path / "labels.parquet")
    assert [json.loads(value) for value in parquet.read_table(tmp_path / "labels.parquet")["n"].to_pylist()] == values


def test_json_lines_have_no_numbers_that_json_has_not(trained, tmp_path):
    import pyarrow
    from pyarrow import parquet

    rows = [{"text": "a dull film", "x": float("nan"), "of": {"y": [float("inf"), 1.5]}},
            {"text": "très dull", "x": 1.0, "of": {"y": []}}]  # fmt: skip
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    labelled(trained, "--file", tmp_path / "rows.parquet", "--output", tmp_path / "labels.jsonl")
    lines = (tmp_path / "labels.jsonl").read_text(encoding="utf-8").splitlines()
    first, second = (json.loads(line, parse_constant=pytest.fail) for line in lines)
    assert first["x"] is None and first["of"] == {"y": [None, 1.5]} and second["x"] == 1.0 and "très" in lines[1]


def test_lines_become_parquet(trained, tmp_path):
    from pyarrow import parquet

    (tmp_path / "rows.txt").write_text("a dull film\n\na lovely film\n")
    labelled(trained, "--file", tmp_path / "rows.txt", "--output", tmp_path / "labels.parquet")
    labelled(trained, "a dull film", "--output", tmp_path / "one.parquet")
    rows = parquet.read_table(tmp_path / "labels.parquet").to_pylist()
    assert [row["label"] for row in rows] == ["negative", None, "positive"] and rows[1]["text"] == ""
    (one,) = parquet.read_table(tmp_path / "one.parquet").to_pylist()
    assert one == rows[0] | {"probability": pytest.approx(rows[0]["probability"], abs=1e-6)}


def test_progress_counts_what_this_run_did_and_says_what_is_left(capsys, monkeypatch):
    monkeypatch.setattr(Progress, "EVERY", -1)
    with Progress("labelling", 4000) as progress:
        progress.skip(1000)
        progress.begun -= 10
        progress.done(1000)
    skipped, line = capsys.readouterr().err.splitlines()
    assert skipped == "labelling  25%  1,000 of 4,000 texts"
    assert line == "labelling  50%  2,000 of 4,000 texts  100 a second  0:20 left"
    monkeypatch.setattr(Progress, "EVERY", 60)
    with Progress("labelling", 4000) as progress:
        progress.done(2000)
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_in_a_terminal_it_is_one_line_that_goes_at_the_end(trained, table, tmp_path):
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "infer.py", "--model_dir", trained, "--file", table, "--output", tmp_path / "a.csv"]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    assert done.returncode == 0 and "labelling  0%  0 of 100 texts" in shown
    screen = [line.split("\r")[-1] for line in shown.replace("\r\n", "\n").split("\n")]
    assert [line for line in screen if line.strip()] == [f"note: {table}, line 39 is empty: no label"]


def test_ray_data_labels_as_one_process_does(trained, tmp_path):
    pytest.importorskip("ray", reason='Ray is optional: pip install "ray[data]"')
    import pyarrow
    from pyarrow import dataset, parquet

    page = (ROOT / "docs" / "using.md").read_text(encoding="utf-8")
    (block,) = (each for each in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "import ray" in each)
    texts = [*reviews(60, 3)[0], "", f"a {GOOD[0]} film"]
    rows = pyarrow.table({"id": range(62), "text": texts})
    (tmp_path / "reviews.parquet").mkdir()  # two files, so that there is work for both workers
    for number in (0, 31):
        parquet.write_table(rows[number : number + 31], tmp_path / "reviews.parquet" / f"{number}.parquet")
    parquet.write_table(rows, tmp_path / "all.parquet")
    for name in ("output", "reviews.parquet", "labelled"):
        assert f'"{name}"' in block
        block = block.replace(f'"{name}"', repr(str(trained if name == "output" else tmp_path / name)))
    script = f"import ray\nray.init(num_cpus=4, include_dashboard=False)\n{block.replace('1024', '16')}"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    labelled(trained, "--file", tmp_path / "all.parquet", "--output", tmp_path / "labels.parquet")
    ours, rays = parquet.read_table(tmp_path / "labels.parquet"), dataset.dataset(tmp_path / "labelled").to_table()
    rays = rays.sort_by("id").to_pylist()
    assert len(rays) == 62 and rays[60]["label"] is None
    for one, other in zip(ours.to_pylist(), rays):
        assert one == other | {"probability": pytest.approx(other["probability"], abs=1e-6)}
