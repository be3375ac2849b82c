"""How steadily a model learns in its first epoch: accuracy on held-out reviews every 20 steps, by recipe and seed.

usage: python benchmarks/dips.py [--seeds 42 43 44] [--only NAME ...] [--work FOLDER]

train.py's quick job with 128 tokens, its 400 reviews for the curves held out of a part of IMDb's train split; the other
films and the test split are not looked at, but for two reviews that train.py asks for. A dip is how far the accuracy
falls below the best before it, from step 100 on, by when the first rise is over. Adds a row for each run to
results/dips.jsonl, and writes results/dips.md and dips.png of all rows there.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from common import RESULTS, append, commit, trained
from recipes import split_of_train

from tfbert.common.files import write_text

ROWS = RESULTS / "dips.jsonl"
AFTER = 100  # steps
RECIPES = {
    "as it is": "",
    "the head starts from regression": "--head regression",
    "mean of all tokens": "--pooling mean",
    "half the rate": "--learning_rate 5e-5",
    "the rate falls by 0.8 from layer to layer": "--layerwise_lr_decay 0.8",
    "batches of 32": "--per_device_train_batch_size 32",
    "word vectors moved by 0.2": "--adversarial 0.2",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    parser.add_argument("--only", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--dataset_name", help="as train.py's")
    parser.add_argument("--work", default=tempfile.gettempdir() + "/tfbert-recipes", help="for data and models")
    arguments = parser.parse_args()
    data = split_of_train(Path(arguments.work), arguments.dataset_name)
    fixed = (
        f"--dataset_name {data} --max_train_samples 8000 --max_seq_length 128 --num_train_epochs 1 --long_texts cut "
        "--validation_samples 400 --max_eval_samples 2 --logging_steps 10 --eval_steps 20"
    )
    for seed in arguments.seeds:
        for name in arguments.only:
            output = Path(arguments.work, "dips")
            trained(output, *fixed.split(), "--seed", str(seed), *RECIPES[name].split())
            history = json.loads((output / "history.json").read_text())
            append(ROWS, row_of(history) | {"recipe": name, "seed": seed, "commit": commit()})
            write_table()


def row_of(history):
    """What is kept of a history.json: steps and accuracies of its validations, and the losses that were learnt from."""
    checked = [point for point in history if "validation_accuracy" in point]
    learnt = [point["loss"] for point in history if "loss" in point and point["step"] > AFTER]
    return {
        "steps": [point["step"] for point in checked],
        "accuracy": [round(point["validation_accuracy"], 4) for point in checked],
        "worst_ten_steps": round(max(learnt), 4),
        "mean_loss": round(float(np.mean(learnt)), 4),
        "last_loss": round(checked[-1]["validation_loss"], 4),
    }


def deepest_dip(row):
    """How far a curve falls below the best before it, in points, from step AFTER on."""
    curve = np.array([value for step, value in zip(row["steps"], row["accuracy"]) if step >= AFTER])
    return 100 * float(np.max(np.maximum.accumulate(curve) - curve))


def write_table():
    rows = [json.loads(line) for line in ROWS.read_text().splitlines()]
    lines = [
        "# Dips in the first epoch\n",
        "`python benchmarks/dips.py`: the quick job with 128 tokens, 500 steps of 16 reviews; accuracy on 400 held-out "
        "reviews every 20 steps (a standard error is 1.5 points), from step 100 on. Deepest dip: how far below the "
        f"best before it. Losses are those of training, ten steps at a time. Commit {rows[-1]['commit']}.\n",
        "| recipe | seed | deepest dip, points | lowest | last | worst ten steps' loss | mean loss | held-out loss at "
        "the end |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in sorted(rows, key=lambda row: (list(RECIPES).index(row["recipe"]), row["seed"])):
        lowest = min(value for step, value in zip(row["steps"], row["accuracy"]) if step >= AFTER)
        lines.append(
            f"| {row['recipe']} | {row['seed']} | {deepest_dip(row):.1f} | {lowest:.1%} | {row['accuracy'][-1]:.1%} | "
            f"{row['worst_ten_steps']:.3f} | {row['mean_loss']:.3f} | {row['last_loss']:.3f} |"
        )
    write_text(RESULTS / "dips.md", "\n".join([*lines, "\n![accuracy while it learns](dips.png)\n"]))
    draw(rows)


def draw(rows):
    """A panel for each recipe, a line for each seed."""
    import matplotlib.pyplot as plt
    import seaborn

    seaborn.set_theme(style="whitegrid", palette="deep")
    names = [name for name in RECIPES if any(row["recipe"] == name for row in rows)]
    size = (3.6 * len(names), 3.6)
    figure, panels = plt.subplots(1, len(names), figsize=size, sharey=True, layout="constrained", squeeze=False)
    for panel, name in zip(panels[0], names):
        for row in rows:
            if row["recipe"] == name:
                panel.plot(row["steps"], row["accuracy"], label=f"seed {row['seed']}")
        panel.set(title=name, xlabel="step", ylim=(0.45, 0.95))
    panels[0][0].set_ylabel("accuracy, held-out reviews")
    panels[0][-1].legend(loc="lower right")
    figure.savefig(RESULTS / "dips.png", dpi=110)


if __name__ == "__main__":
    main()
