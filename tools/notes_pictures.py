"""Two pictures of theory_notes.md: the learning rate over a run, and where a limit cuts the reviews of IMDb.

usage: python tools/notes_pictures.py

Writes docs/learning_rate.png, the schedule of the quick job (500 steps up to 1e-4), and docs/cuts.png, from the lengths
of all 25,000 test reviews in output/metrics.json, as it is in this repository.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tfbert.model.backend import load_keras
from tfbert.report.plots import Picture

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PEAK, WARMUP, STEPS = 1e-4, 50, 500


def learning_rate():
    load_keras()
    from tfbert.training.optimizer import WarmupLinearDecay

    schedule = WarmupLinearDecay(PEAK, WARMUP, STEPS)
    with Picture(DOCS, "learning_rate", (6, 2.6)) as axes:
        axes.plot(range(STEPS + 1), [float(schedule(step)) for step in range(STEPS + 1)])
        axes.axvline(WARMUP, color="grey", linestyle=":")
        axes.text(WARMUP + 6, 0, "end of warmup", color="dimgrey")
        axes.set(xlabel="step", ylabel="learning rate", xlim=(0, STEPS), yticks=[0, PEAK / 2, PEAK])
        axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))


def cuts():
    rows = json.loads((ROOT / "output" / "metrics.json").read_text())["accuracy_by_length"]
    total = sum(count for _, _, count, _ in rows)
    kinds = {"whole in 256": (0, 256, "#0b57b0"), "whole in 512, cut by 256": (257, 512, "#e69f00"),
             "cut by both": (513, float("inf"), "#b3352b")}  # fmt: skip
    with Picture(DOCS, "cuts", (7, 3.4)) as axes:
        for kind, (least, most, colour) in kinds.items():
            of_kind = [(f"{low}-{high}" if high else f"{low}+", count / total)
                       for low, high, count, _ in rows if least <= low <= most]  # fmt: skip
            share = sum(share for _, share in of_kind)
            bars = axes.bar(*zip(*of_kind), color=colour, label=f"{kind}: {share:.1%}")
            axes.bar_label(bars, [f"{share:.0%}" for _, share in of_kind], padding=2)
        axes.set(xlabel="word pieces of a review", ylabel="share of the reviews", ylim=(0, 0.31), yticks=[])
        axes.legend()


if __name__ == "__main__":
    learning_rate()
    cuts()
