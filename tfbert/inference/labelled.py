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
    """Yields a function that adds a row: add(row, texts, result). row: a dict of what stood in the file, or {}.

    The columns are those of the first row, or text; and label and probability, predicted_label and
    predicted_probability where a column has such a name. Raises UserError for another kind than KINDS.
    """
    kind = Path(path).suffix.lower()
    if kind not in KINDS:
        raise UserError(f"--output {path}: the name must end in {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    with replaced_file(path) as staged, open(staged, "w", newline="", encoding="utf-8") as file:
        writer, before = None, ""

        def add(row, texts, result):
            nonlocal writer, before
            row = row or dict(zip(("text", "text_pair"), texts))
            if writer is None:
                before = "predicted_" * bool({"label", "probability"} & set(row))
                names = [*row, f"{before}label", f"{before}probability"]
                writer = csv.DictWriter(file, names, "", "ignore", delimiter=SIGNS.get(kind, ","))
                if kind in SIGNS:
                    writer.writeheader()
            row = row | {f"{before}label": result["label"], f"{before}probability": result["probability"]}
            if kind in SIGNS:
                writer.writerow(row)
            else:
                file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")

        yield add
