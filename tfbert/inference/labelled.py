"""A file of texts that comes back with their labels; it appears whole or not at all."""

import contextlib
import csv
from pathlib import Path

from tfbert.common.errors import UserError
from tfbert.common.files import replaced_file, same_file
from tfbert.common.text import json_text
from tfbert.inference.parquet_file import parquet_writer

KINDS = (".csv", ".tsv", ".jsonl", ".parquet")


@contextlib.contextmanager
def labelled_file(path, columns, sign=","):
    """Yields a function that adds a row: add(place, row, texts, result). row: what stood in the file, or {}.

    columns: of all rows, {name: type}, with types where the file has them, as parquet_file.ColumnTypes finds them.
    After them come label and probability, with predicted_ before these where a column has such a name. path: of one of
    KINDS; sign: between the columns of a .csv. Raises UserError for a row with other columns.
    """
    ours = free_names(columns)
    with replaced_file(path) as staged, writer_of(staged, columns, ours, sign) as write:

        def add(place, row, texts, result):
            row = row or named(texts)
            if strange := row.keys() - columns.keys():
                raise UserError(f"{place} has the column {min(map(str, strange))}, which was not there at the first "
                                "reading: leave the file as it is until it is labelled")  # fmt: skip
            write(row | dict(zip(ours, (result["label"], result["probability"]))))

        yield add


@contextlib.contextmanager
def writer_of(path, columns, ours, sign):
    """Yields a function that writes a row with these columns, and ours, into a new file of one of KINDS."""
    if path.suffix.lower() == ".parquet":
        with parquet_writer(path, columns | dict(zip(ours, ("string", "float64")))) as write:
            yield write
        return
    with open(path, "w", newline="", encoding="utf-8", errors="replace") as file:
        if path.suffix.lower() in (".csv", ".tsv"):
            sign = "\t" if path.suffix.lower() == ".tsv" else sign
            writer = csv.DictWriter(file, [*columns, *ours], "", delimiter=sign)
            writer.writeheader()
            yield writer.writerow
        else:
            yield lambda row: file.write(json_text(row) + "\n")


def named(texts):
    """The row of texts that stood in no table."""
    return dict(zip(("text", "text_pair"), texts))


def free_names(row):
    """Names for label and probability that no column has."""
    there, before = {str(name).strip().casefold() for name in row}, ""
    while there & {f"{before}label", f"{before}probability"}:
        before += "predicted_"
    return f"{before}label", f"{before}probability"


def check_target(flag, path, kinds, *others):
    """Raises UserError where a file cannot be written, or what is there must not be lost.

    kinds: ends of its name; others: files that it must not be.
    """
    target = Path(path)
    if target.suffix.lower() not in kinds:
        raise UserError(f"{flag} {path}: the name must end in {' or '.join(kinds)}")
    if target.exists() and not target.is_file():
        raise UserError(f"{flag} {path} is no regular file: name another")
    if not target.parent.is_dir():
        raise UserError(f"{flag} {path}: there is no folder {target.parent}")
    for other in filter(None, others):
        if same_file(target, other):
            raise UserError(f"{flag} {path} is {other}, which would be lost: name another")
