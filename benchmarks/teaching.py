"""What a teacher gives a smaller model on film reviews of which few are labelled.

usage: python benchmarks/teaching.py ENCODER [--labelled 1000] [--unlabelled 4000]

ENCODER is a folder or Hub id of a larger encoder, such as all-mpnet-base-v2. It is fine-tuned on the labelled reviews;
then the default encoder learns what it says of these and of the unlabelled ones (`--teacher`), and, to compare with,
from the labels alone: in as many passes, and as train.py does without flags. All read 128 tokens. The reviews are of
IMDb's train split, those to test on of other films (recipes.py); the test split is not read. Writes
results/teaching.json and .md.
"""

import argparse
import csv
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet
from common import RESULTS, commit, save, trained
from recipes import split_of_train

TESTED = 2000
KEPT = ("accuracy", "accuracy_low", "accuracy_high", "log_loss", "ece", "temperature", "n_train", "n_unlabelled",
        "train_seconds", "durations", "teaching")  # of metrics.json  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", metavar="ENCODER")
    parser.add_argument("--labelled", type=int, default=1000)
    parser.add_argument("--unlabelled", type=int, default=4000)
    parser.add_argument("--work", default=tempfile.gettempdir() + "/tfbert-recipes", help="as of recipes.py")
    arguments = parser.parse_args()
    work = Path(arguments.work)
    few, many, test = files(work, arguments.labelled, arguments.unlabelled)
    own = ["--train_file", few, "--test_file", test, "--max_seq_length", "128", "--long_texts", "cut"]
    passes = ["--adversarial", "0", "--num_train_epochs"]
    teacher = measured(work / "teacher", *own, "--model_name_or_path", arguments.encoder, *passes, "3")
    taught = measured(work / "student", *own, "--teacher", work / "teacher", "--unlabelled_file", many, *passes, "4")
    alone = measured(work / "alone", *own)
    by_teacher = taught["teaching"]
    rows = [
        ("the teacher", teacher["accuracy"], teacher["log_loss"], by_teacher[0], teacher["seconds"]),
        ("the student", taught["accuracy"], taught["log_loss"], by_teacher[1], taught["seconds"]),
        ("in as many passes, without the teacher", by_teacher[2]["accuracy"], None, by_teacher[2], None),
        ("without the teacher and flags", alone["accuracy"], alone["log_loss"], by_teacher[1], alone["seconds"]),
    ]
    figures = {"commit": commit(), "teacher": teacher, "taught": taught, "alone": alone}
    save(RESULTS / "teaching", table(arguments, rows), figures)


def files(work, labelled, unlabelled):
    """few.csv with labels, many.csv without, test.csv of other films: paths, in `work`."""
    folder = split_of_train(work, None)
    train, test = (pyarrow.parquet.read_table(folder / f"{name}.parquet") for name in ("train", "test"))
    order = np.random.default_rng(1).permutation(len(train))
    of_test = np.random.default_rng(0).permutation(len(test))[:TESTED]
    parts = {
        "few.csv": train.take(order[:labelled]),
        "many.csv": train.take(order[labelled : labelled + unlabelled]),
        "test.csv": test.take(of_test),
    }
    for name, part in parts.items():
        columns = ["text"] if name == "many.csv" else ["text", "label"]
        with open(work / name, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([columns, *zip(*(part.column(column).to_pylist() for column in columns))])
    return [work / name for name in parts]


def measured(output, *flags):
    """What metrics.json of train.py with these flags says, with the seconds of the whole process."""
    began = time.perf_counter()
    metrics = trained(output, *map(str, flags))
    for row in metrics.get("teaching", []):
        row["who"] = row["who"].split(",")[0]  # without the folder
    return {name: metrics[name] for name in KEPT if name in metrics} | {"seconds": round(time.perf_counter() - began)}


def table(arguments, rows):
    lines = [
        "# A teacher, and reviews without labels\n",
        f"`python benchmarks/teaching.py {Path(arguments.encoder).name}`, commit {commit()}: "
        f"{arguments.labelled:,} reviews with labels, {arguments.unlabelled:,} without, {TESTED:,} of other films to "
        "test on, 128 tokens, two cores of a CPU. Seconds are of the whole process.\n",
        "| | accuracy | log loss | weights, million | a review, ms | seconds |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for who, accuracy, loss, size, seconds in rows:
        loss, seconds = f"{loss:.3f}" if loss else "", seconds or ""
        lines.append(
            f"| {who} | {accuracy:.2%} | {loss} | {size['parameters'] / 1e6:.0f} | {size['milliseconds']:.1f} | "
            f"{seconds} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
