"""Damages small files of every kind that is read, and calls the readers: what is no result must be a UserError.

usage: python tools/fuzz_data.py --seconds 600

Exit code 1 where something else was raised, a file took more than 10 s, or more than 4 GB of memory. What is found is
left in --keep; the same --seed damages the same files in the same way.
"""

import argparse
import collections
import gzip
import io
import json
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path

os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="tfbert-fuzz-")
sys.path.insert(0, str(Path(__file__).parent.parent))

from tfbert.common.errors import UserError
from tfbert.data.reading import TABLES, read_texts
from tfbert.data.sources import find_dataset
from tfbert.data.splits import load_splits, read_parts
from tfbert.data.tasks import chosen_task
from tfbert.training.settings import TrainSettings

PATIENCE, MEMORY = 10, 4 << 30  # seconds and bytes that a file may take
TOKENS = [b'"', b'""', b"'", b",", b"\t", b";", b"|", b"\n", b"\r", b"\r\n", b"\0", b"\\", b"[", b"]", b"{", b"}", b":",
          b"null", b"NaN", b"-1", b"0.5", b"sep=;\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b"PK\x03\x04",
          b"\xed\xa0\x80", b"\\ud800", b"['a', 'b']", b"[0, 1]", "ሰላም".encode()]  # fmt: skip


def corpus():
    """{name: bytes} of small files of every kind."""
    import pyarrow
    from datasets import ClassLabel, Dataset, Features, List, Value, disable_progress_bars
    from pyarrow import parquet

    disable_progress_bars()
    texts = [
        f'the {thing} was "{word}", no; {n}'
        for n in range(12)
        for thing in ("film", "plot")
        for word in ("good", "bad")
    ]
    labels = [["neg", "pos"][n % 2] for n in range(len(texts))]
    rows = [{"text": text, "label": label} for text, label in zip(texts, labels)]
    ones = [json.dumps({"text": text, "label": [n % 2, n % 3 % 2, 1]}) for n, text in enumerate(texts)]
    quoted = ['"' + text.replace('"', '""') + '"' for text in texts]
    files = {
        "a.csv": "text,label\n" + "".join(f"{text},{label}\n" for text, label in zip(quoted, labels)),
        "b.csv": "text;label\r\n" + "".join(f"{text};{label}\r\n" for text, label in zip(quoted, labels)),
        "c.csv": "label, text\n" + "".join(f"{n % 3 / 2}, {text}\n" for n, text in enumerate(quoted)),
        "d.csv": "sep=,\ntext,label\n"
        + "".join(f"{text},\"['{label}', 'x']\"\n" for text, label in zip(quoted, labels)),
        "a.tsv": "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in zip(texts, labels)),
        "b.tsv": "text\tlabel\n" + "".join(f"{text.lstrip('the ')}\t{label}\n" for text, label in zip(texts, labels)),
        "a.jsonl": "\n".join(map(json.dumps, rows)),
        "b.jsonl": "\n".join(ones),
        "c.jsonl": "\n".join(json.dumps(row, indent=1) for row in rows),
        "a.json": json.dumps(rows),
        "b.json": json.dumps({"data": rows}, indent=1),
        "c.json": json.dumps({"text": texts, "label": labels}),
        "a.txt": "\n".join(texts),
    }
    files = {name: content.encode() for name, content in files.items()}
    files["e.csv"] = files["a.csv"].decode().encode("utf-16")
    files["f.csv"] = files["a.csv"].replace(b"\n", b"\r")
    kinds = ((Value("string"), labels), (ClassLabel(names=["neg", "pos"]), [n % 2 for n in range(len(texts))]),
             (List(ClassLabel(names=["neg", "pos"])), [[n % 2] for n in range(len(texts))]))  # fmt: skip
    for letter, (kind, values) in zip("abc", kinds):
        buffer = io.BytesIO()
        Dataset.from_dict(
            {"text": texts, "label": values}, Features({"text": Value("string"), "label": kind})
        ).to_parquet(buffer)
        files[f"{letter}.parquet"] = buffer.getvalue()
    buffer = io.BytesIO()
    parquet.write_table(
        pyarrow.table({"text": texts, "label": [n % 4 for n in range(len(texts))]}), buffer, compression="none"
    )
    return files | {"d.parquet": buffer.getvalue()}


def damaged(content, rng, others):
    """`content` with one to four changes: bytes flipped, cut, doubled, moved, replaced by others."""
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4])):
        start = rng.randrange(len(content) + 1)
        end = min(start + int(rng.expovariate(1 / 20)) + 1, len(content))
        manner = rng.choice(["flip", "flip", "byte", "cut", "drop", "double", "token", "token", "splice", "repeat"])
        if manner == "flip" and start < len(content):
            content[start] ^= 1 << rng.randrange(8)
        elif manner == "byte" and start < len(content):
            content[start] = rng.randrange(256)
        elif manner == "cut":
            del content[start:]
        elif manner == "drop":
            del content[start:end]
        elif manner == "double":
            content[start:start] = content[start:end]
        elif manner == "token":
            content[start:start] = rng.choice(TOKENS)
        elif manner == "splice":
            other = rng.choice(others)
            content[start:end] = other[rng.randrange(len(other)) :][:200]
        elif manner == "repeat":
            content[start:end] = bytes(content[start:end]) * rng.choice([2, 10, 3000])
    return bytes(content)


def made(number, seed, files):
    """(name, bytes, settings) of one damaged file."""
    rng = random.Random(f"{seed} {number}")
    name = rng.choice(sorted(files))
    content = damaged(files[name], rng, list(files.values()))
    if rng.random() < 0.2:
        name, content = name + ".gz", gzip.compress(content, mtime=0)
        content = damaged(content, rng, [content]) if rng.random() < 0.5 else content
    elif rng.random() < 0.1:
        name = Path(name).stem + rng.choice([*TABLES, ".txt"])
    more = {
        "quoting": rng.choice(["auto", "auto", "minimal", "none"]),
        "label_separator": rng.choice([None, None, None, ","]),
        "label_names": rng.choice([None] * 8 + ["a,b", "a,b,c"]),
    }
    return name, content, more


def outcome(path, settings):
    """What the readers make of a file: "read", or the beginning of the UserError."""
    list(read_texts(path, "text", quoting=settings["quoting"]))
    if path.endswith((".txt", ".txt.gz")):
        return "read"
    settings = TrainSettings(train_file=path, validation_samples=2, **settings)
    task = chosen_task(settings)
    splits = load_splits(task, read_parts(task, find_dataset(task, settings), settings), settings)
    assert splits.test["text"] and all(isinstance(text, str) for text in splits.train["text"])
    return "read"


def work(numbers, seed, folder, pipe):
    """Reads one damaged file after another, in a process of its own, and sends (number, outcome) of each."""
    files = corpus()
    for _ in map(
        outcome,
        [write(folder, "a.csv", files["a.csv"])],
        [{"quoting": "auto", "label_separator": None, "label_names": None}],
    ):
        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY,) * 2)
    for number in numbers:
        name, content, settings = made(number, seed, files)
        path = write(folder, name, content)
        pipe.send((number, None))
        try:
            result = outcome(path, settings)
        except UserError as error:
            assert "\n" not in " ".join(str(error).split())
            result = "UserError"
        except BaseException:
            result = traceback.format_exc()
        os.remove(path)
        pipe.send((number, result))


def write(folder, name, content):
    path = Path(folder, name)
    path.write_bytes(content)
    return str(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first damaged file")
    parser.add_argument("--keep", default="fuzz_findings", help="the folder for what is found")
    settings = parser.parse_args()
    end, number, counts, found = time.time() + settings.seconds, settings.first, collections.Counter(), {}
    files = corpus()
    with tempfile.TemporaryDirectory() as folder:
        while time.time() < end:
            receiver, sender = multiprocessing.Pipe(duplex=False)
            child = multiprocessing.Process(
                target=work, args=(range(number, sys.maxsize), settings.seed, folder, sender), daemon=True
            )
            child.start()
            sender.close()
            patience, result = 60, None
            while time.time() < end and result in (None, "read", "UserError"):
                try:
                    number, result = receiver.recv() if receiver.poll(patience) else (number, "took more than 10 s")
                except EOFError:
                    result = "the process died"
                patience = PATIENCE
                counts[result if result in ("read", "UserError", None) else "finding"] += 1
            if result not in (None, "read", "UserError"):
                key = result.strip().splitlines()[-1][:100]
                if key not in found:
                    name, content, more = made(number, settings.seed, files)
                    os.makedirs(settings.keep, exist_ok=True)
                    kept = write(settings.keep, f"{number}-{name}", content)
                    found[key] = f"{kept} {more}\n{result}"
                    print(found[key], flush=True)
            child.kill()
            child.join()
            number += 1
    print(
        f"{counts['read']:,} read, {counts['UserError']:,} refused, {counts['finding']:,} findings, {len(found)} kinds"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
