"""What a run without flags on few texts takes, part by part; beside another clone, such as one of an earlier commit.

usage: python benchmarks/small_job.py SET [--texts 200] [--rounds 3] [--beside CLONE]

SET is a folder as own_data.py has them, whose first texts are learnt from and tested on. Both clones take turns, in
processes of their own. Writes results/small_job.md.
"""

import argparse
import csv
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import HERE, RESULTS, commit
from own_data import flags_of, quietly, texts_and_labels

from tfbert.common.files import write_text
from tfbert.training.device import available_cores

LEARNING, STEP = "training and validation", "of it the first step"
REST, WHOLE = "the rest", "whole process"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="SET", type=Path)
    parser.add_argument("--texts", type=int, default=200, help="to learn from, and as many to test on")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--beside", metavar="CLONE", type=Path, help="another clone of this repository")
    arguments = parser.parse_args()
    clones = [HERE.parent, *([arguments.beside] if arguments.beside else [])]
    with tempfile.TemporaryDirectory() as work:
        files = [first_texts(arguments.folder / name, arguments.texts, work) for name in ("train.csv", "test.csv")]
        runs = [[measured(clone, files, work) for clone in clones] for _ in range(arguments.rounds)]
    write_text(RESULTS / "small_job.md", table(runs, [commit(clone) for clone in clones], arguments))


def first_texts(path, count, folder):
    """A file in `folder` with the first rows of the one at `path`."""
    place = Path(folder, path.name)
    with open(place, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *texts_and_labels(path)[:count]])
    return place


def measured(clone, files, work):
    """Runs train.py: the seconds of its parts, a dict."""
    output = Path(work, "output")
    command = [sys.executable, "train.py", *flags_of(*files), "--output_dir", output, "--overwrite_output_dir"]
    began = time.perf_counter()
    quietly(command, clone)
    whole = time.perf_counter() - began
    metrics = json.loads((output / "metrics.json").read_text())
    parts = metrics["durations"]
    learning = {LEARNING: parts.pop(LEARNING), STEP: metrics["first_step_seconds"]}
    return {**parts, REST: whole - sum(parts.values()) - learning[LEARNING], **learning, WHOLE: whole}


def table(runs, commits, arguments):
    """Medians over rounds, of each clone a column; and the median ratio of the last one to the first."""
    columns = [f"{short}, s" for short in commits]
    ratio = " ratio |" if len(commits) > 1 else ""
    beside = " --beside CLONE" if arguments.beside else ""
    lines = [
        "# A small job\n",
        f"`python benchmarks/small_job.py {arguments.folder.name} --texts {arguments.texts} --rounds "
        f"{arguments.rounds}{beside}`: `train.py` without flags, {arguments.texts} texts to learn from and as many to "
        f"test on, {available_cores()} CPU cores, medians; a column for each commit.\n",
        f"| | {' | '.join(columns)} |{ratio}",
        "| --- |" + " ---: |" * (len(commits) + bool(ratio)),
    ]
    for name in runs[0][0]:
        seconds = np.array([[run[name] for run in turn] for turn in runs])
        cells = [f"{each:.1f}" for each in np.median(seconds, axis=0)]
        if ratio:
            cells.append(f"{np.median(seconds[:, -1] / seconds[:, 0]):.2f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
