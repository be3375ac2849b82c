"""Rows out of .csv, .tsv, .jsonl and .parquet files and lines out of .txt files, with the place of each for errors."""

import csv
import json
import os
from pathlib import Path

from tfbert.common.errors import UserError
from tfbert.common.text import is_utf8

DELIMITERS = {".csv": ",", ".tsv": "\t"}
TABLES = (*DELIMITERS, ".jsonl", ".parquet")
ROWS = 1024  # of a Parquet file in memory at a time


def read_texts(path, text_column, pair_column=None):
    """Yields (place, texts) of every row of --file: one text, or two; a tab parts the two of a line of .txt.

    Raises UserError where the file is missing, cannot be read, or has no such column.
    """
    columns = [text_column] + [pair_column] * bool(pair_column)
    if Path(path).suffix.lower() == ".txt":
        with opened(path, "--file") as file:
            yield from read_lines(file, path, len(columns))
        return
    flags = ("--text_column", "--text_pair_column")
    for place, row in read_rows(path, "--file", (".txt", *TABLES)):
        yield place, tuple(text_in(row, column, place, flag) for column, flag in zip(columns, flags))


def read_lines(file, name, parts=1):
    """Yields (place, texts) of the lines of a binary file that are not blank. parts: texts in a line."""
    for place, line in decoded(file, name):
        if line.strip():
            texts = tuple(line.rstrip("\r\n").split("\t")) if parts > 1 else (line.rstrip("\r\n"),)
            if len(texts) != parts:
                raise UserError(f"{place}: this model labels pairs of texts: two, with a tab between them")
            yield place, texts


def value_in(row, column, place, flag=None):
    """What a row has in a column. flag: what names the column, for the error where there is none."""
    if column not in row:
        known = ", ".join(map(str, row))[:200]
        raise UserError(f"{place}: no column {column!r}, but {known}" + (f"; see {flag}" if flag else ""))
    return row[column]


def text_in(row, column, place, flag=None):
    """The text in a column of a row; "" where it is empty."""
    value = value_in(row, column, place, flag)
    if value is not None and not isinstance(value, str):
        raise UserError(f"{place}: {column} is {str(value)[:40]!r}, not text")
    if value and not is_utf8(value):
        raise UserError(f"{place}: {column} holds half of a character (a lone surrogate): mend the text")
    return value or ""


def read_rows(path, flag, suffixes=TABLES):
    """Yields (place, {column: value}) of every row of a file; in .csv and .tsv, values are text.

    flag: what named the file. Raises UserError where the file is missing, of another kind, or damaged.
    """
    kind = Path(path).suffix.lower()
    if os.path.isdir(path):
        raise UserError(f"{flag} {path} is a folder: name a file in it")
    if kind not in suffixes:
        raise UserError(f"{flag} {path}: the name must end in {', '.join(suffixes[:-1])} or {suffixes[-1]}")
    with opened(path, flag) as file:
        if kind == ".jsonl":
            yield from read_jsonl(decoded(file, path))
        elif kind == ".parquet":
            yield from read_parquet(file, path)
        else:
            yield from read_table(decoded(file, path), path, DELIMITERS[kind])


def read_published(path, header=()):
    """As read_rows, of a table as research data come: tabs, no quoting. header: the columns where it names none."""
    with opened(path, "--data_dir") as file:
        yield from read_table(decoded(file, path), path, "\t", header, csv.QUOTE_NONE)


def opened(path, flag):
    try:
        return open(path, "rb")
    except (OSError, ValueError) as error:
        raise UserError(f"{flag} {str(path)[:200]}: {getattr(error, 'strerror', error)}") from error


def decoded(file, name):
    """Yields (place, line) of the UTF-8 lines of a binary file."""
    for number, line in enumerate(file, 1):
        place = f"{name}, line {number}"
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise UserError(f"{place}: not UTF-8 text; convert the file, or is it no text at all?") from None
        if "\0" in text:
            raise UserError(f"{place}: a NUL byte, so this is no text file")
        yield place, text


def read_jsonl(lines):
    for place, line in lines:
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{place}: not JSON ({error})") from None
        yield place, value if isinstance(value, dict) else {"text": value}


def read_parquet(file, path):
    """Rows of a Parquet file; class numbers become the names that `datasets` left for them."""
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.ParquetFile(file)
        names = class_names(table.schema_arrow)
        rows = (row for part in table.iter_batches(ROWS) for row in part.to_pylist())
        for number, row in enumerate(rows, 1):
            yield f"{path}, row {number}", with_names(row, names)
    except (ArrowException, OSError, ValueError, OverflowError) as error:
        raise UserError(f"cannot read {path}: {str(error)[:200]}") from error


def class_names(schema):
    """{column: names} of a Parquet file's class numbers, or lists of them, as `datasets` left them in its metadata."""
    from pyarrow import types

    kinds = {field.name: field.type.value_type if types.is_list(field.type) else field.type for field in schema}
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        classes = {column: feature.get("feature", feature) for column, feature in features.items()}
        return {column: feature["names"] for column, feature in classes.items()
                if "names" in feature and types.is_integer(kinds[column])}  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError):  # it was not `datasets` that wrote the file
        return {}


def with_names(row, names):
    """`row` with names in place of class numbers; None for -1, a label that is kept secret. names: {column: names}."""

    def name(number, known):
        return known[number] if number is not None and 0 <= number < len(known) else None

    for column, known in names.items():
        value = row[column]
        row[column] = [name(each, known) for each in value] if isinstance(value, list) else name(value, known)
    return row


def read_table(lines, path, delimiter, header=(), quoting=csv.QUOTE_MINIMAL):
    csv.field_size_limit(1 << 30)
    reader = csv.DictReader(
        (line for _, line in lines), header or None, delimiter=delimiter, quoting=quoting, strict=True
    )
    try:
        columns = reader.fieldnames
        if not columns:
            raise UserError(f"{path} is empty" if columns is None else f"{path}, line 1: empty, not the columns' names")
        twice = {name for name in columns if columns.count(name) > 1}
        reader.fieldnames = [f"{name} ({n})" if name in twice else name for n, name in enumerate(columns, 1)]
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            if None in row:
                raise UserError(f"{place}: more fields than the {len(columns)} columns {', '.join(columns)}; "
                                "a field that holds the delimiter stands in quotes")  # fmt: skip
            yield place, row
    except csv.Error as error:
        hint = "lines end in CR alone" if "new-line" in str(error) else "is a quotation mark not closed?"
        raise UserError(f"{path}, line {max(reader.line_num, 1)}: {error}; {hint}") from None
