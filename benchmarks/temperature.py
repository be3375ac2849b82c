"""How far a temperature that few held-out texts ask for can be trusted: by their number, and by the width of a prior.

usage: python benchmarks/temperature.py FOLDER=TEXTS.csv ... [--counts 20 50 100 320 1000]

Each FOLDER is a model of train.py, each TEXTS.csv (columns text and label) holds texts that it has not learnt from. Of
these, so many are drawn to fit the temperature, 200 times, and the cross-entropy of the others is measured: as trained
(temperature 1), and with log-normal priors of several widths around 1. Writes results/temperature.md.
"""

import argparse

import numpy as np
from common import RESULTS, commit
from own_data import texts_and_labels

from tfbert.common.files import write_text
from tfbert.inference.predicting import Predictor
from tfbert.report.calibration import cross_entropies, fit_temperature

WIDTHS = (0.05, 0.1, 0.2, 0.4, None)
DRAWS = 200


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", metavar="FOLDER=TEXTS.csv", nargs="+")
    parser.add_argument("--counts", type=int, nargs="+", default=[20, 50, 100, 320, 1000])
    arguments = parser.parse_args()
    head = ["model, texts", "best temperature", "fitted on", "as trained",
            *[f"width {width}" if width else "no prior" for width in WIDTHS]]  # fmt: skip
    rows = [head, ["---"] * len(head)]
    for pair in arguments.pairs:
        folder, path = pair.split("=")
        logits, labels = logits_of(folder, path)
        best = fit_temperature(logits, labels, None)
        for count in [each for each in arguments.counts if each < len(labels) / 2]:
            losses = np.array([of_draw(logits, labels, count, seed) for seed in range(DRAWS)])
            cells = [f"{value:.4f} +- {spread:.4f}" for value, spread in zip(losses.mean(axis=0), losses.std(axis=0))]
            rows.append([f"{folder.rstrip('/').split('/')[-1]}, {len(labels):,}", f"{best:.2f}", str(count), *cells])
            print(*rows[-1], sep=" | ", flush=True)
    lines = [f"| {' | '.join(row)} |" for row in rows]
    intro = (f"`python benchmarks/temperature.py FOLDER=TEXTS.csv ...`, commit {commit()}: cross-entropy of texts that "
             f"neither the model nor the temperature has seen, mean and deviation over {DRAWS} draws.\n")  # fmt: skip
    write_text(RESULTS / "temperature.md", "\n".join(["# Temperatures from few texts\n", intro, *lines, ""]))


def logits_of(folder, path):
    predictor = Predictor(folder)
    rows = [(text, label) for text, label in texts_and_labels(path) if label in predictor.labels]
    logits = np.concatenate([predictor.logits(predictor.encoder([text for text, _ in rows[start : start + 512]])[0])
                             for start in range(0, len(rows), 512)])  # fmt: skip
    return logits, np.array([predictor.labels.index(label) for _, label in rows])


def of_draw(logits, labels, count, seed):
    """Cross-entropies of the texts that are not drawn: as trained, and with each width."""
    order = np.random.default_rng(seed).permutation(len(labels))
    drawn, rest = order[:count], order[count:]
    temperatures = [1.0, *(fit_temperature(logits[drawn], labels[drawn], width) for width in WIDTHS)]
    return [cross_entropies(logits[rest] / temperature, labels[rest]).mean() for temperature in temperatures]


if __name__ == "__main__":
    main()
