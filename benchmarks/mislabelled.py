"""How many wrong labels the report finds: a share of a set's labels is flipped, and `suspects.csv` compared with them.

usage: python benchmarks/mislabelled.py --sets FOLDER --only NAME ... [--texts 300 ...] [--share 0.05] [--seed 42]

FOLDER as in own_data.py. Of so many texts of every set's train.csv, `share` get another of its labels at random; then
`train.py --method features` writes the suspects, as every run on one's own data does. Writes results/mislabelled.md and
mislabelled.json: of the rows that were flipped, how many are among the suspects (recall); how many of the suspects were
flipped (precision), of all and of the first 20, which the report shows. What was wrong before counts as right: the
precision is the least that it can be.
"""

import argparse
import csv
import os
import tempfile
from pathlib import Path

import numpy as np
from common import RESULTS, commit, save, trained
from own_data import texts_and_labels

from tfbert.report.markdown import table

SHOWN = 20


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", required=True, help="a folder of folders")
    parser.add_argument("--only", nargs="+", required=True, help="names of sets")
    parser.add_argument("--texts", type=int, nargs="+", default=[300, 10_000], help="of a set, at most")
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    rows = [
        measured(Path(arguments.sets, name), texts, arguments.share, arguments.seed)
        for texts in arguments.texts
        for name in arguments.only
    ]
    cells = [[str(value) for value in row.values()] for row in rows]
    text = [f"# Wrong labels found, of {arguments.share:.0%} that were flipped\n",
            f"`python benchmarks/mislabelled.py --sets FOLDER --only {' '.join(arguments.only)} --texts "
            f"{' '.join(map(str, arguments.texts))}`, commit {commit()}\n",
            *table(list(rows[0]), cells)]  # fmt: skip
    save(RESULTS / "mislabelled", "\n".join(text) + "\n", rows)


def measured(folder, texts, share, seed):
    rows = texts_and_labels(folder / "train.csv")
    rows = list(dict(rows).items())  # each text once: a suspect is known by its text
    rng = np.random.default_rng(seed)
    rows = [rows[row] for row in rng.permutation(len(rows))[:texts]]
    names = sorted({label for _, label in rows})
    flipped = {}
    for row in rng.choice(len(rows), round(share * len(rows)), replace=False):
        text, label = rows[row]
        flipped[text] = names[(names.index(label) + rng.integers(1, len(names))) % len(names)]
    with tempfile.TemporaryDirectory() as work:
        train, test, output = Path(work, "train.csv"), Path(work, "test.csv"), Path(work, "output")
        given = [(text, flipped.get(text, label)) for text, label in rows]
        write_rows(train, given)
        learnt = {label for _, label in given}
        write_rows(test, [row for row in texts_and_labels(folder / "test.csv") if row[1] in learnt])
        flags = ["--train_file", str(train), "--test_file", str(test), "--method", "features"]
        metrics = trained(output, *flags, "--seed", str(seed))
        suspects, path = [], output / "suspects.csv"  # not written where there are none
        if path.exists():
            with open(path, newline="", encoding="utf-8") as file:
                suspects = [row["text"] for row in csv.DictReader(file) if row["part"] != "test"]
    found, there = [text in flipped for text in suspects], len(flipped)
    return {
        "set": folder.name,
        "labels": len(names),
        "texts": metrics["n_train"],
        "accuracy": round(metrics["accuracy"], 3),
        "flipped": there,
        "suspects": len(suspects),
        "recall": round(sum(found) / there, 3),
        "precision": round(float(np.mean(found or [0])), 3),
        f"precision of the first {SHOWN}": round(float(np.mean(found[:SHOWN] or [0])), 3),
    }


def write_rows(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
