"""Time and memory of tokenizing, batching and one pass over the batches, by the number of reviews.

usage: python benchmarks/cost_curve.py [--sizes 1000 10000 100000 1000000]

The reviews are random words, their lengths log-normal with IMDb's median of 220 tokens and mean of 296.
Each size is a process of its own. Writes results/cost_curve.json, .md and .png. Needs 4 GB of disk for the
largest; counts memory as Linux does.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import numpy as np
from common import RESULTS, save

from tfbert.common.errors import run
from tfbert.training.device import available_cores

MEDIAN, MEAN = 220, 296  # tokens


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)  # a corpus and an encoder: one size, in a process
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure)))
        return
    from tfbert.data.sources import find_encoder

    encoder = find_encoder().folder
    rows = []
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            corpus = Path(folder, "reviews.arrow")
            write_reviews(corpus, size, encoder)
            command = [sys.executable, __file__, "--measure", corpus, encoder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append(json.loads(done.stdout.strip().splitlines()[-1]))
        print(rows[-1], flush=True)
    write(rows)


def write_reviews(path, size, encoder):
    """An Arrow file with the columns text and label, written a thousand reviews at a time."""
    import pyarrow
    from tokenizers import Tokenizer

    vocabulary = Tokenizer.from_file(str(Path(encoder, "tokenizer.json"))).get_vocab()
    words = np.array(sorted(word for word in vocabulary if word.isalpha()))
    frequency = 1 / np.arange(1, len(words) + 1)  # Zipf's law
    cumulative = np.cumsum(frequency / frequency.sum())
    rng = np.random.default_rng(0)
    schema = pyarrow.schema([("text", pyarrow.string()), ("label", pyarrow.int64())])
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, schema) as stream:
        for start in range(0, size, 1000):
            count = min(1000, size - start)
            lengths = rng.lognormal(math.log(MEDIAN), math.sqrt(2 * math.log(MEAN / MEDIAN)), count)
            lengths = np.clip(lengths, 8, 2500).astype(int)
            drawn = words[np.minimum(np.searchsorted(cumulative, rng.random(lengths.sum())), len(words) - 1)]
            texts = [" ".join(part) for part in np.split(drawn, np.cumsum(lengths)[:-1])]
            labels = rng.integers(0, 2, count)
            stream.write_batch(pyarrow.record_batch([pyarrow.array(texts), pyarrow.array(labels)], schema=schema))


class Memory(threading.Thread):
    """Samples this process's memory: `own`, what it must have, and `mapped`, pages of files the system may drop."""

    def __init__(self):
        super().__init__(daemon=True)
        self.own = self.mapped = 0

    def run(self):
        while True:
            status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            self.own = max(self.own, int(status["RssAnon"].split()[0]) * 1024)
            self.mapped = max(self.mapped, int(status["RssFile"].split()[0]) * 1024)
            time.sleep(0.05)


def measure(corpus, encoder):
    from datasets import Dataset

    from tfbert.data.batches import Examples, TrainBatches
    from tfbert.data.tokenizing import TextEncoder

    memory = Memory()
    memory.start()
    dataset = Dataset.from_file(corpus)
    start = time.perf_counter()
    examples = Examples.tokenized(dataset, TextEncoder.from_folder(encoder, 256), "tokenizing")
    tokenized = time.perf_counter()
    batches = TrainBatches(examples, 32, 256, seed=0)
    batches.epoch(0)
    ordered = time.perf_counter()
    tokens = 0
    for _, (inputs, _) in zip(range(batches.steps_per_epoch), batches.stream()):
        tokens += int(inputs["attention_mask"].sum())
    return {
        "reviews": len(examples),
        "tokens": tokens,
        "tokenizing": tokenized - start,
        "ordering": ordered - tokenized,
        "one pass": time.perf_counter() - ordered,
        "own_memory_gb": memory.own / 1e9,
        "mapped_gb": memory.mapped / 1e9,
    }


def write(rows):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lines = [
        f"{available_cores()} CPU cores; at most 256 tokens, batches of 32; {time.strftime('%Y-%m-%d')}; "
        "`python benchmarks/cost_curve.py`",
        "",
        "| reviews | tokenizing, s | ordering an epoch, s | one pass of batches, s | reviews/s, all of it "
        "| own memory, GB | pages of mapped files, GB |",
        "| ---: " * 7 + "|",
    ]
    for row in rows:
        rate = row["reviews"] / (row["tokenizing"] + row["ordering"] + row["one pass"])
        lines.append(
            f"| {row['reviews']:,} | {row['tokenizing']:.1f} | {row['ordering']:.2f} | {row['one pass']:.1f} "
            f"| {rate:,.0f} | {row['own_memory_gb']:.2f} | {row['mapped_gb']:.2f} |"
        )
    save(RESULTS / "cost_curve", "\n".join(lines) + "\n", rows)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    sizes = [row["reviews"] for row in rows]
    for part in ("tokenizing", "one pass", "ordering"):
        left.loglog(sizes, [row[part] for row in rows], "o-", label=part)
    left.set(xlabel="reviews", ylabel="seconds", title="time")
    right.semilogx(sizes, [row["own_memory_gb"] for row in rows], "o-", label="own memory")
    right.semilogx(sizes, [row["mapped_gb"] for row in rows], "o--", label="pages of mapped files")
    right.set(xlabel="reviews", ylabel="GB", title="memory", ylim=(0, None))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(RESULTS / "cost_curve.png", dpi=120)


if __name__ == "__main__":
    sys.exit(run(main))
