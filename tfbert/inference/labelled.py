"""A file of texts that comes back with their labels; it appears whole or not at all."""

import contextlib
import csv
import json
from pathlib import Path

from tfbert.common.errors import UserError
from tfbert.common.files import replaced_file

SIGNS = {".csv": ",", ".tsv": "\t"}
KINDS = (*SIGNS, ".jsonl")


@contextlib.contextmanager
def labelled_file(path):
    """Yields a function that adds a row: add(place, row, texts, result). row: what stood in the file, or {}.

    The columns are those of the first row, or text, and label and probability, with predicted_ before these where a
    column has such a name. path: of one of KINDS. Raises UserError where later rows have other columns.
    """
    kind = Path(path).suffix.lower()
    with replaced_file(path) as staged, open(staged, "w", newline="", encoding="utf-8", errors="replace") as file:
        writer, ours = None, ()

        def add(place, row, texts, result):
            nonlocal writer, ours
            row = row or dict(zip(("text", "text_pair"), texts))
            if writer is None:
                ours = free_names(row)
                writer = csv.DictWriter(file, [*row, *ours], "", delimiter=SIGNS.get(kind, ","))
                if kind in SIGNS:
                    writer.writeheader()
            strange = set(ours) & set(row) | (set(row) - set(writer.fieldnames) if kind in SIGNS else set())
            if strange:
                name = min(map(str, strange))
                raise UserError(f"{place} has the column {name}, which the first row has not: give all the same")
            row = row | dict(zip(ours, (result["label"], result["probability"])))
            if kind in SIGNS:
                writer.writerow(row)
            else:
                file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")

        yield add


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
        if target.resolve() == Path(other).resolve():
            raise UserError(f"{flag} {path} is {other}, which would be lost: name another")
