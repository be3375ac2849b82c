"""What a training step costs by the length of its texts, at the same number of tokens.

usage: python benchmarks/length_cost.py

An encoder of 6 layers of width 384 with random weights, and positions for the longest. Writes results/length_cost.md,
.json and .png.
"""

import statistics
import time

import numpy as np
from common import RESULTS, random_classifier, save

from tfbert.training.device import find_device

LENGTHS, TOKENS, WIDTH, LAYERS = (64, 128, 256, 512, 1024, 2048, 4096), 8192, 384, 6


def main():
    device = find_device("auto", "auto")
    model = random_classifier(device.policy, device.xla, longest=max(LENGTHS))
    rows = [{"length": length, "seconds": seconds(model, length), "counted": counted(length)} for length in LENGTHS]
    lines = [
        f"A training step of {TOKENS:,} tokens in texts of one length, {LAYERS} layers of width {WIDTH}, on "
        f"{device.in_words}; medians of 5; `python benchmarks/length_cost.py`",
        "",
        "| tokens in a text | texts in the step | s | per token, 64 = 1 | share of attention in the multiplications |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        ratio = row["seconds"] / rows[0]["seconds"]
        lines.append(f"| {row['length']:,} | {TOKENS // row['length']} | {row['seconds']:.2f} | {ratio:.2f} | "
                     f"{row['counted']['attention'] / sum(row['counted'].values()):.0%} |")  # fmt: skip
    save(RESULTS / "length_cost", "\n".join(lines) + "\n", rows)
    draw(rows)


def seconds(model, length):
    """Of a step, after two that compile and warm up."""
    shape = TOKENS // length, length
    inputs = {
        "input_ids": np.random.default_rng(0).integers(1000, 20000, shape).astype(np.int32),
        "attention_mask": np.ones(shape, np.int32),
    }
    labels, times = np.arange(shape[0], dtype=np.int32) % 2, []
    for _ in range(7):
        start = time.perf_counter()
        model.train_on_batch(inputs, labels)
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def counted(length):
    """Multiplications of a token in a layer: those of its linear layers, and those with the text's other tokens."""
    return {"linear": 12 * WIDTH**2, "attention": 2 * length * WIDTH}


def draw(rows):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    first = rows[0]
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    lengths = [row["length"] for row in rows]
    axes.plot(lengths, [row["seconds"] / first["seconds"] for row in rows], "o-", label="measured: time per token")
    share = [sum(row["counted"].values()) / sum(first["counted"].values()) for row in rows]
    axes.plot(lengths, share, "--", label="counted: multiplications per token")
    window = [(12 * WIDTH**2 + 2 * min(length, 512) * WIDTH) / sum(first["counted"].values()) for length in lengths]
    axes.plot(lengths, window, ":", label="counted: each token sees 512 others at most")
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [f"{length:,}" for length in lengths])
    axes.set(xlabel="tokens in a text", ylabel="per token, 64 tokens = 1", ylim=0)
    axes.legend()
    figure.savefig(RESULTS / "length_cost.png", dpi=120)


if __name__ == "__main__":
    main()
