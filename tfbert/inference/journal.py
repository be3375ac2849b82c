"""What a job had labelled when it was killed: it lies beside the output, and the same command goes on from there."""

import contextlib
import hashlib
import json
from pathlib import Path

from tfbert.common.console import note
from tfbert.common.files import sum_of

BEGUN_WITH = "begun_with"


@contextlib.contextmanager
def journal_of(output, depends_on):
    """Yields a Journal, which is removed when the block ends well. Where it does not, what is kept is said."""
    journal = Journal(output, depends_on)
    try:
        yield journal
    except BaseException:
        journal.close()
        if kept := journal.rows + journal.ahead:
            note(f"{kept:,} answers are kept in {journal.path}: the same command goes on from there")
        raise
    journal.close()
    journal.path.unlink(missing_ok=True)


class Journal:
    """The answers to a job's finished chunks, in a hidden file beside `output`, until that is whole.

    The file has lines of JSON. The first says what the answers depend on beside the texts: what depends_on() returns, a
    dict of JSON values. Then comes a line for each chunk, with a hash of its texts. So a job goes on wherever its texts
    come from, and nothing that was answered to other texts is taken. rows: answers recalled or added; ahead: those of
    an earlier run after them.
    """

    def __init__(self, output, depends_on):
        output = Path(output).resolve()
        self.path, self.depends_on = output.with_name(f".{output.name}.labelling"), depends_on
        self.file, self.end = None, 0  # the end of what holds
        self.rows = self.ahead = 0
        if self.path.exists():
            self.file = open(self.path, "r+b")
            self.go_on()

    def go_on(self):
        before, now = entry_of(self.file.readline()).get(BEGUN_WITH), self.depends_on()
        if before != now:
            others = [name for name in now if not isinstance(before, dict) or before.get(name) != now[name]]
            note(f"{self.path} was begun with another {' and '.join(others)}: all texts are labelled anew")
            return
        self.end, last = self.file.tell(), b""
        for line in self.file:
            last = line if line.endswith(b"\n") else last  # the last one may be torn
        self.file.seek(self.end)
        self.ahead = entry_of(last).get("rows", 0)
        if self.ahead:
            note(f"going on after {self.ahead:,} texts that an earlier run labelled")

    def recall(self, places, texts):
        """What an earlier run answered to the texts of a chunk, a list of dicts, or None."""
        if not self.ahead:
            return None
        entry = entry_of(self.file.readline())
        if entry.get("texts") != hash_of(texts):
            self.ahead = 0
            note(f"{places[0]}: from here on an earlier run labelled other texts, so it is done anew")
            return None
        self.end, self.rows, self.ahead = self.file.tell(), entry["rows"], self.ahead - len(texts)
        return [{"label": label, "probability": value} for label, value in zip(entry["label"], entry["probability"])]

    def add(self, texts, results):
        """Keeps the answers to the next chunk, after those that were recalled; what else was there goes."""
        self.rows += len(texts)
        if self.file is None:
            self.file = open(self.path, "w+b")
        if not self.end:
            self.write({BEGUN_WITH: self.depends_on()})
        columns = {name: [result[name] for result in results] for name in ("label", "probability")}
        self.write({"texts": hash_of(texts), "rows": self.rows, **columns})

    def write(self, entry):
        self.file.seek(self.end)
        self.file.truncate()
        self.file.write(json.dumps(entry).encode() + b"\n")
        self.file.flush()
        self.end = self.file.tell()

    def close(self):
        if self.file:
            self.file.close()


def entry_of(line):
    """The dict in a line of the journal; an empty one where the line is torn or not its own."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}


def hash_of(texts):
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:32]


def hash_of_model(folder):
    """Changes with what a Predictor reads in a model folder: sizes and labels, the tokenizer, the weights."""
    folder = Path(folder)
    weights = sorted(folder.glob("onnx/model.onnx*")) or [*folder.glob("*.h5"), *sorted(folder.glob("*.safetensors"))]
    found = hashlib.sha256()
    for path in (folder / "config.json", folder / "tokenizer.json", *weights):
        found.update(sum_of(path).encode())
    return found.hexdigest()[:32]
