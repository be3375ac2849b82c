"""Files as they are found: delimiters, quotation marks, line ends, encodings, packed, JSON in any form."""

import bz2
import errno
import gzip
import io
import json
import os
import threading
from functools import partial

import pytest

from tfbert.common.errors import UserError
from tfbert.data import delimited, opening
from tfbert.data.reading import read_lines, read_rows, read_texts

ROWS = [(f"film {n}", ["bad", "good"][n % 2]) for n in range(12)]

packed = partial(gzip.compress, mtime=0)  # the same at any time, as tests are named by it


def read(path, content, columns=("text", "label"), quoting="auto"):
    """The rows of a file with that content, as tuples of the wanted columns, and the notes."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    notes = []
    rows = [tuple(row[name] for name in columns) for _, row in read_rows(path, "--file", columns, quoting, notes)]
    return rows, [note.removeprefix(f"{path}") for note in notes]


def table(delimiter=",", header="text{}label", end="\n", rows=ROWS):
    return header.format(delimiter) + end + "".join(delimiter.join(row) + end for row in rows)


@pytest.mark.parametrize(
    "name, content, note",
    [
        ("a.csv", table(), None),
        ("a.tsv", table("\t"), None),
        ("a.csv", table(";"), ": semicolons, not commas, part its columns"),
        ("a.csv", table("|"), ": vertical bars, not commas, part"),
        ("a.csv", table("\t"), ": tabs, not commas, part its columns"),
        ("a.tsv", table(","), ": commas, not tabs, part its columns"),
        ("a.csv", table(";").replace("film", "a, film").replace("bad", "bad"), ": semicolons, not commas"),
        ("a.csv", "sep=;\n" + table(";"), ": the line sep=; is Excel's and names"),
        ("a.csv", '"sep=\t"\r\n' + table("\t", end="\r\n"), ": the line .* is Excel's"),
        ("a.csv", table(header="text, label"), "blanks beside"),
        ("a.csv", table(header='"text", "label"'), "blanks beside"),
        ("a.csv", table(", ", '"text"{}"label"', rows=[(f'"{a}"', f'"{b}"') for a, b in ROWS]), "blanks beside"),
        ("a.csv", table(", ", rows=[(f'"{a}"', f'"{b}"') for a, b in ROWS]).replace("text, ", "text,"), "spaces stand"),
        ("a.csv", table(header="Text,LABEL"), "are taken: 'Text' for 'text', 'LABEL' for 'label'"),
        ("a.csv", table(end="\r"), ": lines end in CR alone"),
        ("a.csv", table(end="\r\n"), None),
        ("a.csv", table().replace("film 3", "film\r3"), "carriage return .* line 5, is read as a space"),
        ("a.csv", table().encode("utf-16"), "is read as UTF-16"),
        ("a.csv", b"\xfe\xff" + table().encode("utf-16-be"), "is read as UTF-16"),
        ("a.csv", table().encode("utf-32"), "is read as UTF-32"),
        ("a.csv", b"\0\0\xfe\xff" + table().encode("utf-32-be"), "is read as UTF-32"),
        ("a.csv", b"\xef\xbb\xbf" + table().encode(), None),
        ("a.csv.gz", packed(table().encode()), None),
        ("a.tsv.gz", packed(table("\t").encode()), None),
        ("a.csv", packed(table().encode()), None),
        ("a.jsonl.gz", packed("\n".join(json.dumps({"text": a, "label": b}) for a, b in ROWS).encode()), None),
        ("a.json", json.dumps([{"text": a, "label": b} for a, b in ROWS], indent=1), None),
        ("a.jsonl", json.dumps([{"text": a, "label": b} for a, b in ROWS]), None),
        ("a.jsonl", "\n".join(json.dumps({"text": a, "label": b}, indent=2) for a, b in ROWS), None),
        ("a.json", "\n".join(json.dumps({"text": a, "label": b}) for a, b in ROWS), None),
        ("a.json", json.dumps({"v": "1", "data": [{"text": a, "label": b} for a, b in ROWS]}), "entries of 'data' .* 12 rows"),
        ("a.json", json.dumps({"text": [a for a, _ in ROWS], "label": [b for _, b in ROWS]}), "the lists of its keys"),
        ("a.json", json.dumps({"text": {n: a for n, (a, _) in enumerate(ROWS)},
                               "label": {n: b for n, (_, b) in enumerate(ROWS)}}), "the columns of its keys"),
    ],
)  # fmt: skip
def test_it_is_read_and_what_was_guessed_is_said(tmp_path, name, content, note):
    rows, notes = read(tmp_path / name, content)
    said = " ".join(notes)
    assert [(text.replace("a, ", ""), label) for text, label in rows] == ROWS
    assert bool(said) == bool(note) and (not note or __import__("re").search(note, said)), said


def melting(delimiter, columns=2):
    """Rows of which two, from line 4 on, melt into one where quotation marks are taken for quotes."""
    rows = [[f"{n}"] * (columns - 2) + list(row) for n, row in enumerate(ROWS)]
    rows[2][-2], rows[3][-2] = '"film 2', 'film 3"'
    return "\n".join(map(delimiter.join, [["id"] * (columns - 2) + ["text", "label"], *rows])) + "\n"


@pytest.mark.parametrize("name, delimiter", [("a.tsv", "\t"), ("a.csv", ",")])
@pytest.mark.parametrize("columns", [2, 3])
def test_quotation_marks_that_would_melt_rows_are_signs(tmp_path, name, delimiter, columns):
    content = melting(delimiter, columns)
    rows, (note,) = read(tmp_path / name, content)
    assert [text.strip('"') for text, _ in rows] == [text for text, _ in ROWS]
    assert [label for _, label in rows] == [label for _, label in ROWS]
    assert "first from line 4 to 5: --quoting minimal" in note
    assert read(tmp_path / name, content, quoting="none") == (rows, [])
    melted, notes = read(tmp_path / name, content, quoting="minimal")
    assert len(melted) == 11 and "\n" in melted[2][0] and notes == []


def test_a_row_of_several_lines_has_the_place_of_its_first(tmp_path):
    (tmp_path / "a.csv").write_text('text,label\n"one\ntwo",a\n\n"three\n\nfour",b\nfive,a\n')
    rows = read_rows(tmp_path / "a.csv", "--train_file", ("text", "label"), "auto", [])
    assert [place.split(", ")[1] for place, _ in rows] == ["line 2", "line 5", "line 8"]


@pytest.mark.parametrize("columns", [("text",), ("text", "label")])
@pytest.mark.parametrize("mark", ['"', '"quoted" '])
def test_a_quotation_mark_that_is_never_closed_is_a_sign(tmp_path, columns, mark):
    rows, (note,) = read(tmp_path / "a.tsv", table("\t", rows=[*ROWS, (f"{mark}film", "good")]), columns)
    assert len(rows) == 13 and rows[-1][0] == f"{mark}film" and "--quoting minimal" in note


@pytest.mark.parametrize("name, delimiter", [("a.csv", ","), ("a.tsv", "\t")])
def test_texts_over_several_lines_stay_whole(tmp_path, name, delimiter):
    rows = [*ROWS[:4], (f'"one{delimiter} two\nthree ""four"" good\nfive"', "good"), *ROWS[4:]]
    read_rows, notes = read(tmp_path / name, table(delimiter, rows=rows))
    assert read_rows[4] == (f'one{delimiter} two\nthree "four" good\nfive', "good") and len(read_rows) == 13
    assert bool(notes) == (delimiter == "\t")  # where lines within a text are rare, it is said


def test_rows_that_may_be_melted_are_said_where_lines_do_not_add_up(tmp_path):
    rows, (note,) = read(tmp_path / "a.csv", melting(",") + '"one, two",good\n')
    assert len(rows) == 12 and "make rows that run over several lines, 1 of them, the first from line 4 to 5" in note


def test_backslashes_before_quotation_marks_escape_them(tmp_path):
    content = table(rows=[*ROWS, (r'"say \"so, yes\" in C:\new \\"', "good")])
    rows, (note,) = read(tmp_path / "a.csv", content)
    assert rows[-1] == ('say "so, yes" in C:\\new \\', "good") and "backslashes" in note


@pytest.mark.parametrize(
    "name, content, message",
    [
        (
            "a.csv",
            'text,label\n"good, fine",a\n"bad,b\nmore,c\n',
            "line 3: .*is a quotation mark not closed.*--quoting none",
        ),
        (
            "a.csv",
            "text,label\na,b\nlästig,c\n".encode("cp1252"),
            r"line 3: not UTF-8.*iconv -f cp1252 -t UTF-8 \S*a.csv > \S*a.utf8.csv",
        ),
        ("a.csv", table().encode("utf-16-le"), "line 1: a NUL byte.*iconv -f UTF-16LE"),
        (
            "a.csv.gz",
            packed("text,label\nlästig,c\n".encode("cp1252")),
            r"gzip -dc \S*a.csv.gz \| iconv -f cp1252 -t UTF-8 > \S*a.utf8.csv",
        ),
        ("a.csv", bz2.compress(b"text"), "is packed: unpack it with bzip2 -d"),
        ("a.csv.gz", packed(packed(b"text")), "is packed twice"),
        ("a.jsonl", '{"text": "a", "text": "b"}', "line 1: not JSON .the key 'text' stands twice"),
        ("a.json", '[{"text": "a", "text": "b"}]', "the key 'text' stands twice"),
        ("a.csv", b"\xff\xfea\x00b", "not UTF-16 text"),
        ("a.xlsx", b"PK\x03\x04\xff", "a.xlsx is a spreadsheet: in its program, save it as CSV UTF-8"),
        ("a.csv", b"PK\x03\x04\xff\xff", "a zip archive, or a spreadsheet.*save it as CSV UTF-8"),
        ("a.csv.gz", packed(table().encode())[:-9], "damaged, as gzip says"),
        ("a.csv.gz", packed(table().encode())[:-8] + b"12345678", "damaged, as gzip says"),
        ("a.json", '[{"text": "a"},\n {"text": }]', "line 2: not JSON"),
        ("a.jsonl", "[" * 100_000, "line 1: not JSON"),
        ("a.jsonl", '{"text": "a"}\n' + "[" * 100_000, "line 2: not JSON"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_its_cure(tmp_path, name, content, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path / name, content, ("text",))


def test_a_header_of_many_names_takes_no_time(tmp_path):
    content = "text,label," + "a,b," * 50_000 + "\nfilm,good\n"
    assert read(tmp_path / "a.csv", content)[0] == [("film", "good")]  # in a second, not in a minute


def test_one_field_and_one_line_have_a_limit(tmp_path, monkeypatch):
    for module, limit in ((delimited, "FIELD"), (opening, "LINE")):
        monkeypatch.setattr(module, limit, 1000)
    with pytest.raises(UserError, match="a field of more than 1,000 characters"):
        read(tmp_path / "a.csv", 'text,label\n"' + "a\n" * 600 + '",b\n')
    for name in ("a.csv", "a.jsonl"):
        with pytest.raises(UserError, match="line 2: longer than 1,000 bytes"):
            read(tmp_path / name, '"text"\n' + "a" * 1500)


def test_what_is_not_a_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    os.symlink("/dev/zero", tmp_path / "b.csv")
    for name in ("a.csv", "b.csv"):
        with pytest.raises(UserError, match="not a regular file"):
            list(read_rows(tmp_path / name, "--file", ("text",), "auto", []))
    with pytest.raises(UserError, match="x.csv: No such file"):
        list(read_rows("~no-one-of-that-name/x.csv", "--train_file", ("text",), "auto", []))


def test_a_missing_file_comes_with_the_nearest_name(tmp_path):
    (tmp_path / "tickets.csv").write_text("text\na\n")
    with pytest.raises(UserError, match="No such file or directory; did you mean tickets.csv"):
        list(read_rows(tmp_path / "ticket.csv", "--train_file", ("text",), "auto", []))


def test_an_error_of_the_disk_is_one_line(tmp_path, monkeypatch):
    class Broken(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            raise OSError(errno.EIO, "Input/output error")

    (tmp_path / "a.csv").write_text(table())
    monkeypatch.setattr(opening, "open", lambda path, mode: io.BufferedReader(Broken()), raising=False)
    with pytest.raises(UserError, match="a.csv: Input/output error"):
        list(read_rows(tmp_path / "a.csv", "--file", ("text",), "auto", []))


def test_a_stream_gives_its_lines_as_they_come():
    reading, writing = os.pipe()
    lines = read_lines(open(reading, "rb"), "standard input")
    threading.Timer(0.1, os.write, (writing, b"a good film\na dull")).start()
    assert next(lines) == ("standard input, line 1", ("a good film",), {})
    os.close(writing)


def test_texts_are_read_as_for_training(tmp_path):
    path, notes = tmp_path / "a.tsv", []
    path.write_text(melting("\t"))
    texts = list(read_texts(path, "text", notes=notes))
    assert len(texts) == 12 and texts[3][:2] == (f"{path}, line 5", ('film 3"',)) and "each line is a row" in notes[0]


@pytest.mark.parametrize("names", [{"0": "bad", "1": "good"}, 7, ["bad", 1], None])
def test_strange_names_in_a_parquet_file_are_not_believed(tmp_path, names):
    import pyarrow
    from pyarrow import parquet

    metadata = json.dumps({"info": {"features": {"label": {"names": names}}}})
    rows = pyarrow.table({"text": ["a", "b"], "label": [0, 1]}).replace_schema_metadata({"huggingface": metadata})
    parquet.write_table(rows, tmp_path / "a.parquet")
    found = [row for _, row in read_rows(tmp_path / "a.parquet", "--file", ("text", "label"), "auto", [])]
    assert [row["label"] for row in found] == [0, 1]


def test_deep_metadata_in_a_parquet_file_is_left_aside(tmp_path):
    import pyarrow
    from pyarrow import parquet

    deep = '{"info":' * 50_000 + "1" + "}" * 50_000
    parquet.write_table(
        pyarrow.table({"text": ["a"]}).replace_schema_metadata({"huggingface": deep}), tmp_path / "a.parquet"
    )
    assert [row for _, row in read_rows(tmp_path / "a.parquet", "--file", ("text",), "auto", [])] == [{"text": "a"}]


def test_the_columns_names_within_the_rows_are_no_row(tmp_path):
    rows, notes = read(tmp_path / "a.csv", table() + table() + "\ufeff" + table())
    assert rows == ROWS * 3 and notes == [": the columns' names stand again in line 14 and 1 more, which is no row"]


@pytest.mark.parametrize("header", ["\ufeff\ufefftext{}label", "text{}\u200blabel"])
def test_signs_that_nobody_sees_do_not_count_in_names(tmp_path, header):
    assert read(tmp_path / "a.csv", table(header=header))[0] == ROWS


def test_two_columns_of_one_name_are_told_apart(tmp_path):
    from pyarrow import Table, array, parquet

    column = array(["a", "b"])
    path = tmp_path / "a.parquet"
    parquet.write_table(Table.from_arrays([column] * 3, names=["text", "label", "text"]), path)
    rows = [row for _, row in read_rows(path, "--file", [], "auto", [])]
    assert rows[1] == {"text (1)": "b", "label": "b", "text (3)": "b"}


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json", "a.txt"])
def test_empty_lines_without_end_are_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(opening, "EMPTY", 50)
    path = tmp_path / name
    path.write_text("text,label\n" + "\n" * 40 + 'a,b\n"' + "\n" * 60 if "sv" in name else "\n" * 60)
    with pytest.raises(UserError, match="more than 50 empty lines"):
        list(read_texts(path, "text"))
