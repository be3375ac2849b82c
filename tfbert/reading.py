"""Texts out of .txt, .csv, .tsv and .jsonl files and standard input, with the place of each for error messages."""

import csv
import json
import os
from pathlib import Path

from tfbert.errors import UserError

DELIMITERS = {".csv": ",", ".tsv": "\t"}


def read_file(path, column):
    """Yields (place, text) of every text in a file: a line of .txt, `column` of .csv and .tsv, that key of .jsonl.

    Raises UserError where the file is missing, is no UTF-8 text, or has no such column.
    """
    path = Path(path)
    if os.path.isdir(path):
        raise UserError(f"--file {path} is a folder: name a file in it")
    if path.suffix not in (".txt", ".jsonl", *DELIMITERS):
        raise UserError(f"--file {path}: the name must end in .txt, .csv, .tsv or .jsonl")
    try:
        file = open(path, "rb")
    except (OSError, ValueError) as error:
        raise UserError(f"--file {str(path)[:200]}: {getattr(error, 'strerror', error)}") from error
    with file:
        if path.suffix in DELIMITERS:
            yield from read_table(decoded(file, path), path, DELIMITERS[path.suffix], column)
        elif path.suffix == ".jsonl":
            yield from read_jsonl(decoded(file, path), column)
        else:
            yield from read_lines(file, path)


def read_lines(file, name):
    """Yields (place, text) of the lines of a binary file that are not blank."""
    for place, line in decoded(file, name):
        if line.strip():
            yield place, line.rstrip("\r\n")


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


def read_jsonl(lines, column):
    for place, line in lines:
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{place}: not JSON ({error})") from None
        if isinstance(value, dict):
            if column not in value:
                raise UserError(f"{place}: no key {column!r}, but {', '.join(value)}; name it with --text_column")
            value = value[column]
        if not isinstance(value, str):
            raise UserError(f"{place}: {json.dumps(value)[:40]} is not text")
        yield place, value


def read_table(lines, path, delimiter, column):
    csv.field_size_limit(1 << 30)
    reader = csv.DictReader((line for _, line in lines), delimiter=delimiter)
    try:
        known = reader.fieldnames or []
        if column not in known:
            raise UserError(f"--file {path}: no column {column!r}, but {', '.join(known)}; name it with --text_column")
        for row in reader:
            yield f"{path}, line {reader.line_num}", row[column] or ""
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}") from None
