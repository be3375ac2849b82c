"""Rows out of tables and lines out of .txt files, with the place of each for errors."""

import os
from collections import ChainMap

from tfbert.common.errors import UserError, nearest
from tfbert.common.text import is_utf8
from tfbert.data.delimited import EXCEL, FIELD, delimiter_of, read_table
from tfbert.data.json_rows import read_json
from tfbert.data.opening import AS_CSV, SPREADSHEETS, decoded, kind_of, opened
from tfbert.data.parquet_rows import read_parquet

DELIMITED = {".csv": ",", ".tsv": "\t"}
TABLES = (*DELIMITED, ".jsonl", ".json", ".parquet")


def read_texts(path, text_column, pair_column=None, quoting="auto", notes=None):
    """Yields (place, texts, row) of every row of --file: one text, or two, and all that stands there, {column:
    value}; {} for .txt, in which a tab parts the two of a line.

    quoting: as --quoting; notes: a list that takes what was guessed. Raises UserError where the file is missing, cannot
    be read, or has no such column.
    """
    columns, notes = [text_column] + [pair_column] * bool(pair_column), [] if notes is None else notes
    if kind_of(path) == ".txt":
        with opened(path, "--file") as file:
            yield from read_lines(file, path, len(columns), notes)
        return
    flags = ("--text_column", "--text_pair_column")
    for place, row in read_rows(path, "--file", columns, quoting, notes, (".txt", *TABLES)):
        texts = tuple(text_in(row, column, place, flag) for column, flag in zip(columns, flags))
        yield place, texts, row.maps[0] if isinstance(row, ChainMap) else row


def read_lines(file, name, parts=1, notes=None):
    """Yields (place, texts, {}) of the lines of a binary file, empty texts for a blank one. parts: texts in a line."""
    for place, line in decoded(file, name, [] if notes is None else notes):
        line = line.rstrip("\r\n")
        texts = tuple(line.split("\t")) if parts > 1 and line.strip() else (line,) * parts
        if len(texts) != parts:
            raise UserError(f"{place}: this model labels pairs of texts: two, with a tab between them")
        for text in texts:
            check_size(text, place)
        yield place, texts, {}


def value_in(row, column, place, flag=None):
    """What a row has in a column. flag: what names the column, for the error where there is none."""
    if column not in row:
        raise UserError(no_column(row, column, place, flag))
    return row[column]


def no_column(row, column, place, flag=None):
    names = [str(name) for name in row]
    known = f"{place}: no column {column!r}, but {', '.join(names)[:200]}"
    return known + (f"; see {flag}" if flag else "") + nearest(column, names)


def text_in(row, column, place, flag=None):
    """The text in a column of a row; "" where it is empty."""
    value = value_in(row, column, place, flag)
    if value is not None and not isinstance(value, str):
        raise UserError(f"{place}: {column} is {str(value)[:40]!r}, not text")
    if value and not is_utf8(value):
        raise UserError(f"{place}: {column} holds half of a character (a lone surrogate): mend the text")
    check_size(value or "", place)
    return value or ""


def check_size(text, place):
    if len(text) > FIELD:
        raise UserError(f"{place}: a text of {len(text):,} characters; {FIELD:,} are the most that is read")


def read_rows(path, flag, columns, quoting, notes, suffixes=TABLES):
    """Yields (place, {column: value}) of every row of a file; in .csv and .tsv, values are text.

    flag: what named the file; columns: those wanted, which a header may write in other case; quoting: as --quoting;
    notes: takes what was guessed. Raises UserError where the file is missing, of another kind, or damaged.
    """
    path, kind = os.path.expanduser(path), kind_of(path)
    if os.path.isdir(path):
        raise UserError(f"{flag} {path} is a folder: name a file in it")
    if kind in SPREADSHEETS:
        raise UserError(f"{flag} {path} is {AS_CSV}")
    if kind not in suffixes:
        raise UserError(f"{flag} {path}: the name must end in {', '.join(suffixes[:-1])} or {suffixes[-1]}")
    yield from with_wanted(rows_of_kind(path, kind, flag, columns, quoting, notes), columns, path, notes)


def rows_of_kind(path, kind, flag, columns, quoting, notes):
    if kind == ".parquet":
        with opened(path, flag) as file:
            yield from read_parquet(file, path)
    elif kind in DELIMITED:
        lines = reopened(path, flag, notes)
        yield from read_table(lines, path, DELIMITED[kind], columns, quoting, notes)
    else:
        yield from read_json(lines_of(path, flag, notes), path, columns, notes)


def read_published(path, header=()):
    """As read_rows, of a table as research data come: tabs, no quoting. header: the columns where it names none."""
    yield from read_table(reopened(path, "--data_dir", []), path, "\t", (), "none", [], header)


def sign_in(path, columns):
    """What stands between the columns of a .csv, as read_rows takes it; a comma for a file of another kind."""
    if kind_of(path) != ".csv":
        return ","
    first = next((line for _, line in lines_of(path, "--file", [])), "")
    excel = EXCEL.fullmatch(first)
    return excel[1] if excel else delimiter_of(first, path, ",", columns, [])


def lines_of(path, flag, notes):
    with opened(path, flag) as file:
        yield from decoded(file, path, notes)


def reopened(path, flag, notes):
    """A function that gives the (place, line)s of a file anew; what is to be noted of them is noted once."""
    told = iter([notes])
    return lambda: lines_of(path, flag, next(told, []))


def with_wanted(rows, columns, path, notes):
    """`rows` with the wanted columns under the names by which they are wanted, where only case or blanks differ."""
    taken = {}
    for place, row in rows:
        known, others = len(taken), {}
        for column in columns:
            if column not in row:
                same = [name for name in row if str(name).strip().casefold() == column.strip().casefold()]
                if len(same) == 1:
                    others[column] = row[same[0]]
                    taken[same[0]] = column
        if len(taken) > known:
            names = ", ".join(f"{name!r} for {column!r}" for name, column in taken.items())
            notes.append(f"{path}: columns of nearly the right names are taken: {names}")
        yield place, ChainMap(row, others) if others else row
