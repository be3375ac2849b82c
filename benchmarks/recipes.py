"""What a recipe is worth: train.py on a part of IMDb's train split, judged on another part of it, never on test.

usage: python benchmarks/recipes.py --name NAME [--seeds 1 2] [--train 8000] -- [train.py's flags]

The 5,000 reviews to judge by are the same for all, and of other films than those that the model learns from, as in the
official test split (film_split.bin, made by tools/make_film_split.py from the lists of Maas et al. 2011); a seed draws
the same training reviews for all. Appends a line for each seed to results/recipes.jsonl; RECIPES.md is written from
these.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from common import HERE, RESULTS, append, commit, trained

FILM_SPLIT = HERE / "film_split.bin"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--train", type=int, default=8000)
    parser.add_argument("--dataset_name", help="as train.py's")
    parser.add_argument("--work", default=tempfile.gettempdir() + "/tfbert-recipes", help="for data and models")
    parser.add_argument("flags", nargs="*")
    arguments = parser.parse_args()
    data = split_of_train(Path(arguments.work), arguments.dataset_name)
    for seed in arguments.seeds:
        output = Path(arguments.work, f"{arguments.name}-{arguments.train}-{seed}")
        sizes = f"--max_train_samples {arguments.train} --max_eval_samples 5000 --validation_samples 100".split()
        metrics = trained(output, "--dataset_name", str(data), *sizes, "--seed", str(seed), *arguments.flags)
        row = {
            "name": arguments.name,
            "held out": "whole films",
            "flags": " ".join(arguments.flags),
            "seed": seed,
            "model": metrics["model"],
            "n_train": metrics["n_train"],
            "n_held_out": metrics["n_test"],
            "accuracy": metrics["accuracy"],
            "log_loss": metrics["log_loss_before"],
            "ece": metrics["ece_before"],
            "train_seconds": metrics["train_seconds"],
            "runs": {str(row["seed"]): row["accuracy"] for row in metrics["seeds"]},
            "commit": commit(),
        }
        append(RESULTS / "recipes.jsonl", row)
        print(f"{arguments.name}, seed {seed}: {row['accuracy']:.2%}", flush=True)


def split_of_train(work, dataset_name):
    """A folder with train.parquet and test.parquet, both from IMDb's train split, of different films; made once."""
    folder = work / "imdb-train-by-film"
    if folder.is_dir():
        return folder
    from datasets import load_dataset

    from tfbert.data.sources import find_dataset
    from tfbert.data.tasks import find_task
    from tfbert.training.settings import TrainSettings

    source = find_dataset(find_task("imdb"), TrainSettings(dataset_name=dataset_name))
    train = load_dataset(source.folder, split="train", verification_mode="no_checks")
    bits = np.unpackbits(np.frombuffer(FILM_SPLIT.read_bytes(), np.uint8))[: len(train)].astype(bool)
    held_out = np.empty(len(train), bool)
    held_out[sorted(range(len(train)), key=train["text"][:].__getitem__)] = bits
    folder.mkdir(parents=True)
    train.select(np.flatnonzero(~held_out)).to_parquet(folder / "train.parquet")
    train.select(np.flatnonzero(held_out)).to_parquet(folder / "test.parquet")
    return folder


if __name__ == "__main__":
    main()
