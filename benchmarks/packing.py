"""What it gains to copy an ONNX model's weights into the order in which they are multiplied, and what that costs.

usage: python benchmarks/packing.py FOLDER [--rounds 9]

FOLDER is a model of train.py. Both ways take turns in one process: Predictor copies, for one text (`brief`) it does
not. Writes results/packing.md.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from common import RESULTS, commit

from tfbert.common.files import write_text
from tfbert.inference.runtimes import onnx_model
from tfbert.training.device import available_cores

SHAPES = ((1, 24), (32, 24), (1, 64), (32, 64), (1, 256), (32, 256))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    opened = [median(arguments.rounds, lambda brief=brief: onnx_model(arguments.model, brief=brief))
              for brief in (True, False)]  # fmt: skip
    runs = [onnx_model(arguments.model, brief=brief) for brief in (True, False)]
    rows, rng = [], np.random.default_rng(0)
    for texts, tokens in SHAPES:
        batch = {"input_ids": rng.integers(1000, 20000, (texts, tokens)), "attention_mask": np.ones((texts, tokens))}
        took = np.array([[seconds(run, batch) for run in runs] for _ in range(arguments.rounds + 1)])[1:] / texts
        brief, packed = 1000 * np.median(took, axis=0)
        rows.append(f"| {texts} | {tokens} | {brief:.2f} | {packed:.2f} | {np.median(took[:, 0] / took[:, 1]):.2f} |")
    head = [
        "# An ONNX model's weights, packed\n",
        f"`python benchmarks/packing.py {Path(arguments.model).name}`, commit {commit()}, {available_cores()} CPU "
        f"cores, medians of {arguments.rounds} rounds. Opening the model takes {1000 * opened[0]:.0f} ms as it is, "
        f"{1000 * opened[1]:.0f} ms where its weights are packed.\n",
        "| texts in a batch | tokens | a text, ms, as it is | packed | times as fast |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    write_text(RESULTS / "packing.md", "\n".join([*head, *rows, ""]))


def median(rounds, call):
    return np.median([seconds(call) for _ in range(rounds)])


def seconds(call, *arguments):
    begun = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
