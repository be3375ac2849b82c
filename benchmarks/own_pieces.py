"""What a piece of the recipe for one's own data is worth: train.py on a part of each train.csv, judged on another part.

usage: python benchmarks/own_pieces.py --sets FOLDER --name NAME [--only SET ...] [--each 8] [--seeds 1 2 3] -- FLAGS

FOLDER is that of own_data.py; no test.csv is read. A quarter of each train.csv, 2,000 texts at most, is held out, by
the seed; --each keeps so many texts of a label to learn from. FLAGS are train.py's. Appends a line a run to
results/own_pieces.jsonl, and skips what stands there already.
"""

import argparse
import csv
import json
import tempfile
from pathlib import Path

import numpy as np
from common import RESULTS, append, commit
from own_data import measured_ours, texts_and_labels

ROWS = RESULTS / "own_pieces.jsonl"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", required=True, help="a folder of folders")
    parser.add_argument("--name", required=True, help="of the piece")
    parser.add_argument("--only", nargs="+", help="names of sets")
    parser.add_argument("--each", type=int, help="texts of each label to learn from")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("flags", nargs="*")
    arguments = parser.parse_args()
    done = [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []
    for seed in arguments.seeds:
        for path in sorted(Path(arguments.sets).glob("*/train.csv")):
            name = path.parent.name
            row = {"name": arguments.name, "flags": " ".join(arguments.flags), "set": name, "each": arguments.each,
                   "seed": seed}  # fmt: skip
            if name not in (arguments.only or [name]) or any(row.items() <= each.items() for each in done):
                continue
            with tempfile.TemporaryDirectory() as work:
                train, held_out = parts(path, work, seed, arguments.each)
                row |= measured_ours(train, held_out, seed, arguments.flags) | {"commit": commit()}
            append(ROWS, row)
            print(f"{name:16} seed {seed}: {row['accuracy']:.2%}, log loss {row['log_loss']:.3f}", flush=True)


def parts(path, work, seed, each):
    """Two files in the folder `work`: what is learnt from, and what is held out of it."""
    rows = texts_and_labels(path)
    order = np.random.default_rng(seed).permutation(len(rows))
    count = min(2000, len(rows) // 4)
    kept, counts = [], {}
    for number in order[count:]:
        label = rows[number][1]
        counts[label] = counts.get(label, 0) + 1
        if not each or counts[label] <= each:
            kept.append(rows[number])
    held_out = [rows[number] for number in order[:count] if rows[number][1] in counts]
    return written(Path(work, "train.csv"), kept), written(Path(work, "held_out.csv"), held_out)


def written(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


if __name__ == "__main__":
    main()
