"""Memory and time of `infer.py --file --output` by the number of rows; one run is killed and gone on with.

usage: python benchmarks/big_jobs.py [--sizes 100000 1000000] [--outputs csv parquet]

The model is the tiny BERT of the tests, two layers of width 16, trained for a moment: what is measured is everything
around the model. Rows are 4 to 20 random words and a number. Every run is a process of its own, its memory the most
that was resident, as Linux counts it. Writes results/big_jobs.md and .json. Needs 1 GB of disk.
"""

import argparse
import csv
import filecmp
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from common import RESULTS, save, trained

from tfbert.common.errors import run
from tfbert.training.device import available_cores

GOOD, BAD = "good great wonderful lovely moving".split(), "bad awful boring dull clumsy".split()
OTHERS = "the a film story plot ending music cast script was is very really and with for to of in".split()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--outputs", nargs="+", default=["csv", "parquet"])
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_rows(folder / "train.csv", 400)
        trained(folder / "model", "--model_name_or_path", "tests/fixtures/untrained", "--max_seq_length", "64",
                "--train_file", str(folder / "train.csv"))  # fmt: skip
        for size in arguments.sizes:
            write_rows(folder / "rows.csv", size)
            for kind in arguments.outputs:
                target = folder / f"whole.{kind}"
                rows.append({"rows": size, "what": kind, **measure(Job(folder, target))})
                print(rows[-1], flush=True)
        again = folder / f"again.{kind}"
        job, half = Job(folder, again), size // 2
        killed = kill_after(job, folder / f".{again.name}.labelling", half)
        rows.append({"rows": size, "what": f"{kind}, killed after {killed:,} rows", **job.ended()})
        rows.append({"rows": size, "what": f"{kind}, gone on with", **measure(Job(folder, again))})
        rows[-1]["equal"] = filecmp.cmp(target, again, shallow=False)
    write(rows)


def write_rows(path, count):
    rng = random.Random(count)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label"])
        for number in range(count):
            words = rng.choices(OTHERS, k=rng.randint(4, 20))
            words[rng.randrange(len(words))] = rng.choice((BAD, GOOD)[number % 2])
            writer.writerow([number, " ".join(words), ("bad", "good")[number % 2]])


class Job:
    """A running infer.py."""

    def __init__(self, folder, target):
        command = [sys.executable, "infer.py", "--model_dir", folder / "model", "--file", folder / "rows.csv"]
        self.begun = time.perf_counter()
        self.process = subprocess.Popen([*command, "--output", target], cwd=HERE.parent)

    def ended(self):
        """Waits for its end; seconds, and bytes of memory at most."""
        _, self.status, used = os.wait4(self.process.pid, 0)
        return {"seconds": time.perf_counter() - self.begun, "memory": used.ru_maxrss * 1024}


def measure(job):
    figures = job.ended()
    if job.status:
        raise SystemExit(f"infer.py ended with {job.status}")
    return figures


def kill_after(job, journal, rows):
    """Kills a job when its journal holds so many rows; returns how many, in chunks of 1,024."""
    while True:
        time.sleep(0.2)
        chunks = journal.read_bytes().count(b"\n") - 1 if journal.exists() else 0
        if chunks * 1024 >= rows:
            job.process.send_signal(signal.SIGKILL)
            return chunks * 1024


def write(rows):
    command = " ".join(["python benchmarks/big_jobs.py", *sys.argv[1:]])
    lines = [
        f"{available_cores()} CPU cores; {time.strftime('%Y-%m-%d')}; `{command}`",
        "",
        "| rows | into | s | rows/s | most memory, MB |",
        "| ---: | :--- | ---: | ---: | ---: |",
    ]
    for row in rows:
        rate = "" if "," in row["what"] else f"{row['rows'] / row['seconds']:,.0f}"
        memory = row["memory"] / 1e6
        lines.append(f"| {row['rows']:,} | {row['what']} | {row['seconds']:.0f} | {rate} | {memory:.0f} |")
    same = "the same" if rows[-1]["equal"] else "NOT the same"
    lines += ["", f"What was gone on with is {same}, byte for byte, as what was labelled without a break."]
    save(RESULTS / "big_jobs", "\n".join(lines) + "\n", rows)


if __name__ == "__main__":
    sys.exit(run(main))
