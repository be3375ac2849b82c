"""What train.py says that a run will take, and what it takes.

usage: python benchmarks/expected.py --sets FOLDER [--only NAME ...]

FOLDER is that of own_data.py. Each set is run without flags, trec and sst5 with --minutes too, and so is a small job of
IMDb's reviews. The Expected line speaks of training and evaluation, --minutes of the whole process. Writes
results/expected.json and .md.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from pathlib import Path

from common import RESULTS, save
from own_data import flags_of, folders_of, quietly

MINUTES = {"trec": 1, "sst5": 3}
OF_EXPECTED = ("training and validation", "calibrating", "evaluating")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", required=True, help="a folder of folders")
    parser.add_argument("--only", nargs="+", help="names of sets")
    arguments = parser.parse_args()
    jobs = [("imdb", [], ["--max_train_samples", 1000, "--max_eval_samples", 500])]
    for folder in folders_of(arguments.sets, arguments.only):
        files = flags_of(folder / "train.csv", folder / "test.csv")
        jobs.append((folder.name, files, []))
        if folder.name in MINUTES:
            jobs.append((folder.name, files, ["--minutes", MINUTES[folder.name]]))
    rows = []
    for name, files, flags in jobs:
        rows.append({"set": name, "flags": " ".join(map(str, flags))} | measured([*files, *flags]))
        rows[-1]["minutes"] = MINUTES[name] if "--minutes" in flags else None
        save(RESULTS / "expected", table(rows), rows)


def measured(flags):
    """Runs train.py: seconds that it said and that it took, a dict."""
    with tempfile.TemporaryDirectory() as work:
        began = time.perf_counter()
        printed = quietly([sys.executable, "train.py", *flags, "--output_dir", f"{work}/output"])
        whole = time.perf_counter() - began
        durations = json.loads(Path(work, "output", "metrics.json").read_text())["durations"]
    said = re.search(r"^Expected  about ([\d,]+) (min|s)", printed, re.MULTILINE)
    return {
        "expected": int(said[1].replace(",", "")) * (60 if said[2] == "min" else 1),
        "taken": round(sum(durations.get(each, 0) for each in OF_EXPECTED)),
        "whole": round(whole),
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
