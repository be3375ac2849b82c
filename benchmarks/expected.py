"""What train.py says that a run will take, and what it takes.

usage: python benchmarks/expected.py --sets FOLDER [--only NAME ...]

FOLDER is that of own_data.py. Each set is run without flags, trec and sst5 with --minutes too, and so is a small job of
IMDb's reviews. The Expected line speaks of training and evaluation, --minutes of the whole process. Writes
results/expected.json and .md.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import HERE, RESULTS, save

MINUTES = {"trec": "1", "sst5": "3"}
OF_EXPECTED = ("training and validation", "calibrating", "evaluating")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", required=True, help="a folder of folders")
    parser.add_argument("--only", nargs="+", help="names of sets")
    arguments = parser.parse_args()
    reviews = ["--max_train_samples", "1000", "--max_eval_samples", "500"]
    jobs = [("imdb", reviews)]
    for folder in sorted(path.parent for path in Path(arguments.sets).glob("*/train.csv")):
        if folder.name in (arguments.only or folder.name):
            jobs.append((folder.name, files := files_of(folder)))
            if folder.name in MINUTES:
                jobs.append((folder.name, [*files, "--minutes", MINUTES[folder.name]]))
    rows = []
    for name, flags in jobs:
        rows.append(measured(name, flags))
        print(rows[-1], flush=True)
        save(RESULTS / "expected", table(rows), rows)


def files_of(folder):
    return ["--train_file", str(folder / "train.csv"), "--test_file", str(folder / "test.csv"),
            "--text_column", "text", "--label_column", "label"]  # fmt: skip


def measured(name, flags):
    """Runs train.py: seconds that it said and that it took."""
    with tempfile.TemporaryDirectory() as work:
        began = time.perf_counter()
        command = [sys.executable, "train.py", *flags, "--output_dir", f"{work}/output"]
        done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True)
        whole = time.perf_counter() - began
        if done.returncode:
            sys.exit(done.stdout[-2000:] + done.stderr[-3000:])
        durations = json.loads(Path(work, "output", "metrics.json").read_text())["durations"]
    said = re.search(r"^Expected  about ([\d,]+) (min|s)", done.stdout, re.MULTILINE)
    shown = [flag for flag in flags if not flag.endswith(".csv")]
    own = {"--train_file", "--test_file", "--text_column", "text", "--label_column", "label"}
    return {
        "set": name,
        "flags": " ".join(flag for flag in shown if flag not in own),
        "expected": int(said[1].replace(",", "")) * (60 if said[2] == "min" else 1),
        "taken": round(sum(durations.get(each, 0) for each in OF_EXPECTED)),
        "whole": round(whole),
        "minutes": float(flags[flags.index("--minutes") + 1]) if "--minutes" in flags else None,
    }


def table(rows):
    lines = [
        "# What a run is said to take, and what it takes\n",
        "`python benchmarks/expected.py --sets FOLDER`, in seconds, on two cores of a CPU with nothing beside it. "
        "Expected is told after some twenty steps, of training and evaluation; --minutes is of the whole process.\n",
        "| set | flags | expected | taken | expected / taken | asked for | whole process |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        asked = f"{60 * row['minutes']:.0f}" if row["minutes"] else ""
        ratio = row["expected"] / row["taken"]
        flags = f"`{row['flags']}`" if row["flags"] else ""
        lines.append(
            f"| {row['set']} | {flags} | {row['expected']} | {row['taken']} | {ratio:.2f} | {asked} | {row['whole']} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
