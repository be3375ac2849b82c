"""What it costs to pad batches to multiples of so many tokens, for sentences and for reviews.

usage: python benchmarks/padding.py [--rounds 3]

Two epochs of texts of random tokens, with lengths as in SST-2 (13 tokens in the mean) and IMDb (cut at 256), in batches
of 32 and of 16; 6 layers of width 384 with random weights. The first epoch is also the one in which XLA compiles the
loops of fused.py, anew for each length. Every way is a process of its own, in turns. Writes results/padding.md and
.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import numpy as np
from common import RESULTS, random_classifier, save

WAYS = {  # multiples of so many tokens for texts of at most 64, and for longer ones
    "32": (32, 32),
    "8": (8, 8),
    "4 up to 64 tokens, else 8": (4, 8),
    "2 up to 64 tokens, else 8": (2, 8),
    "1, the longest text of the batch": (1, 1),
}
KINDS = {"sentences": (3200, 32, 64), "reviews": (480, 16, 256)}  # texts, texts in a batch, tokens at most


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)  # one measurement, in a process
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure)))
        return
    rows = []
    for number in range(arguments.rounds):
        for kind in KINDS:
            for way in WAYS:
                command = [sys.executable, __file__, "--measure", kind, way]
                answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                rows.append({"kind": kind, "way": way} | json.loads(answer.splitlines()[-1]))
        print(f"round {number + 1} of {arguments.rounds}", flush=True)
    write(rows, arguments.rounds)


def lengths_of(kind, count, longest):
    """Numbers of tokens, int64 (N,), spread as those of the data set."""
    rng = np.random.default_rng(0)
    middle, spread = {"sentences": (10.5, 0.7), "reviews": (225, 0.65)}[kind]
    return np.clip(rng.lognormal(np.log(middle), spread, count).round(), 4, longest).astype(int)


def measure(kind, way):
    """Seconds of two epochs, the share of padding, and the number of lengths that batches have."""
    from datasets import Dataset

    from tfbert.data import batches
    from tfbert.training.device import find_device

    device = find_device()
    from tfbert.training.feeding import feed

    batches.SHORT_BUCKET, batches.BUCKET = WAYS[way]
    count, batch_size, longest = KINDS[kind]
    rng = np.random.default_rng(1)
    lengths = lengths_of(kind, count, longest)
    ids = [rng.integers(1000, 20000, length).tolist() for length in lengths]
    data = Dataset.from_dict({"input_ids": ids, "full_length": lengths, "label": rng.integers(0, 2, count)})
    stream = batches.TrainBatches(batches.Examples(data), batch_size, longest, seed=0)
    model = random_classifier(device.policy, device.xla)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        model.fit(feed(stream, 0), steps_per_epoch=stream.steps_per_epoch, shuffle=False, verbose=0)
        seconds.append(time.perf_counter() - start)
    shapes = {batches.padded_length(each, longest) for each in stream.examples.lengths[stream.epoch(0)].max(axis=1)}
    return {"seconds": seconds, "padding": stream.padding_share(), "lengths": len(shapes), "device": device.in_words}


def write(rows, rounds):
    lines = [
        f"{rows[0]['device']}; medians of {rounds} rounds in turns; `python benchmarks/padding.py --rounds {rounds}`",
        "",
        "| padded to multiples of | texts | padding | lengths | an epoch, s | 32 = 1 | more in the first epoch, s |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind, (count, _, _) in KINDS.items():
        runs = {way: [row["seconds"] for row in rows if (row["kind"], row["way"]) == (kind, way)] for way in WAYS}
        seconds = {way: statistics.median(second for _, second in each) for way, each in runs.items()}
        for way in WAYS:
            more = statistics.median(first for first, _ in runs[way]) - seconds[way]
            row = next(row for row in rows if (row["kind"], row["way"]) == (kind, way))
            lines.append(
                f"| {way} | {count:,} {kind} | {row['padding']:.0%} | {row['lengths']} | {seconds[way]:.1f} "
                f"| {seconds[way] / seconds['32']:.2f} | {more:.1f} |"
            )
    save(RESULTS / "padding", "\n".join(lines) + "\n", rows)


if __name__ == "__main__":
    main()
