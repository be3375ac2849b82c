"""How good the defaults are on data that nobody tuned to, beside the strongest peers on the same encoder and cores.

usage: python benchmarks/own_data.py --sets FOLDER [--only NAME ...] [--contestants ours tfidf ...] [--seeds 42 43]

FOLDER holds NAME/train.csv and NAME/test.csv with the columns text and label, or where several labels may hold text
and for each label a column of zeros and ones. "ours" is train.py with these files and no other flag than the seed;
contestants/own_sets.py describes the others. Each is a process of its own, one after the other. Every figure is
reckoned from what a contestant states of the test texts, ours by infer.py. Appends a line a run to
results/own_data.jsonl, skips what stands there already (ours: of the same commit), and writes results/own_data.md.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from common import HERE, RESULTS, append, commit, python_of

from tfbert.common.files import write_text
from tfbert.data.sources import find_encoder
from tfbert.data.tasks import OWN_ENCODER
from tfbert.report.calibration import confidences, expected_calibration_error

ROWS = RESULTS / "own_data.jsonl"
FEW = 100  # texts of a label: SetFit is for such sets
CONTESTANTS = {
    "ours": "this project, no flags",
    "frozen": "frozen encoder, mean vectors, logistic regression (`--method features --pooling mean`)",
    "tfidf": "TF-IDF, logistic regression",
    "trainer": "PyTorch, transformers' Trainer as in its example",
    "pytorch": "PyTorch by hand: mean pooling, 1e-4, epochs by size",
    "setfit": "SetFit, where half of the labels have 100 texts or fewer",
}
OURS = {"ours": [], "frozen": ["--method", "features", "--pooling", "mean"]}
ONE_SEED = {"frozen", "tfidf"}  # nothing is drawn
FIGURES = {"accuracy": "accuracy", "f1_macro": "macro-F1", "log_loss": "log loss", "ece": "calibration error",
           "seconds": "seconds of the whole process"}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", required=True, help="a folder of folders")
    parser.add_argument("--only", nargs="+", help="names of sets")
    parser.add_argument("--contestants", nargs="+", default=list(CONTESTANTS), choices=CONTESTANTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    parser.add_argument("--untimed", action="store_true", help="other work runs beside: leave the seconds out")
    parser.add_argument("--environments", default=".benchmarks", help="a folder for the contestants' environments")
    arguments = parser.parse_args()
    folders = folders_of(arguments.sets, arguments.only)
    done = {key(row) for row in rows()}
    for contestant in arguments.contestants:
        for seed in arguments.seeds[: 1 if contestant in ONE_SEED else None]:
            for folder in folders:
                row = {"set": folder.name, "contestant": contestant, "seed": seed, "commit": commit()}
                if key(row) in done or contestant == "setfit" and not has_few(folder):
                    continue
                row |= measured(contestant, folder, seed, arguments.environments)
                print(
                    f"{folder.name:16} {contestant:8} seed {seed}: {row['accuracy']:.2%} {row['seconds']:.0f} s",
                    flush=True,
                )
                append(ROWS, row | ({"seconds": None} if arguments.untimed else {}))
    write_text(RESULTS / "own_data.md", table())


def folders_of(sets, only=None):
    """The folders in `sets` that hold a set, those with the names `only` if there are any: paths, in order."""
    folders = sorted(path.parent for path in Path(sets).glob("*/train.csv"))
    return [folder for folder in folders if folder.name in (only or folder.name)]


def rows():
    return [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []


def key(row):
    return row["set"], row["contestant"], row["seed"], row["commit"] if row["contestant"] in OURS else None


def has_few(folder):
    if may_have_several(folder / "train.csv"):
        return False
    counts = sorted(Counter(label for _, label in texts_and_labels(folder / "train.csv")).values())
    return counts[len(counts) // 2] <= FEW


def label_columns(path):
    """The names of the columns of labels: one, or where several labels may hold one for each."""
    with open(path, newline="", encoding="utf-8") as file:
        return [name for name in next(csv.reader(file)) if name != "text"]


def may_have_several(path):
    return len(label_columns(path)) > 1


def texts_and_labels(path):
    """Of each row the text and its label, a str; where several labels may hold a tuple of those that do."""
    columns = label_columns(path)
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if len(columns) == 1:
        return [(row["text"], row[columns[0]]) for row in rows]
    return [(row["text"], tuple(name for name in columns if row[name] == "1")) for row in rows]


def measured(contestant, folder, seed, environments):
    """Trains a contestant on a set: a dict of FIGURES and of how many texts and labels there are."""
    train, test = folder / "train.csv", folder / "test.csv"
    if contestant in OURS:
        return measured_ours(train, test, seed, OURS[contestant])
    python, encoder = python_of("peers", environments), find_encoder(default=OWN_ENCODER).folder
    script = HERE / "contestants" / "own_sets.py"
    with tempfile.TemporaryDirectory() as work:
        began = time.perf_counter()
        quietly([python, script, contestant, encoder, train, test, seed, f"{work}/answer.npz"])
        seconds = time.perf_counter() - began
        answer = np.load(f"{work}/answer.npz")
        names, probabilities = answer["names"].tolist(), answer["probabilities"]
    best = np.eye(len(names), dtype=bool)[probabilities.argmax(axis=1)]
    chosen = probabilities > 0.5 if may_have_several(test) else best
    return scores(names, probabilities, chosen, train, test, seconds)


def measured_ours(train, test, seed, flags):
    """As measured, of train.py with these flags."""
    with tempfile.TemporaryDirectory() as work:
        began = time.perf_counter()
        quietly(
            [
                sys.executable,
                "train.py",
                *flags_of(train, test),
                *flags,
                "--seed",
                seed,
                "--output_dir",
                f"{work}/output",
            ]
        )
        seconds = time.perf_counter() - began
        return scores(*stated(f"{work}/output", test, f"{work}/answers.jsonl"), train, test, seconds)


def flags_of(train, test):
    """What train.py is told of a set, whichever way it learns."""
    labels = ",".join(label_columns(train))
    return ["--train_file", train, "--test_file", test, "--text_column", "text", "--label_column", labels]


def quietly(command, clone=HERE.parent):
    """Runs a program in a clone and returns what it printed, which is shown where it fails."""
    done = subprocess.run([*map(str, command)], cwd=clone, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-3000:])
    return done.stdout


def stated(model, test, place):
    """The names of the labels, and what infer.py says of the test texts: float (N, L), and bool (N, L)."""
    with open(place, "w") as answers:
        command = [sys.executable, "infer.py", "--model_dir", model, "--file", test, "--json"]
        subprocess.run(command, cwd=HERE.parent, stdout=answers, stderr=subprocess.DEVNULL, check=True)
    answers = [json.loads(line) for line in Path(place).read_text().splitlines()]
    names = list(next(each["probabilities"] for each in answers if each["probabilities"]))
    even = dict.fromkeys(names, 1 / len(names))  # of a text without words, which gets no label
    probabilities = np.array([[(each["probabilities"] or even)[name] for name in names] for each in answers])
    several = may_have_several(test)
    chosen = [(each["label"] or "").split(", ") if several else [each["label"]] for each in answers]
    return names, probabilities, np.array([[name in those for name in names] for those in chosen])


def scores(names, probabilities, chosen, train, test, seconds):
    """FIGURES of the test texts. names: str (L,); probabilities, chosen: what is said of them, float and bool (N, L).

    Where several labels may hold the accuracy is the Jaccard index of a text's labels, as SemEval-2018 calls it
    (Mohammad et al. 2018, task E-c), and log loss and calibration error are those of each label by itself.
    """
    from sklearn.metrics import f1_score, jaccard_score

    labels, several = [label for _, label in texts_and_labels(test)], may_have_several(test)
    truth = np.array([[name in label if several else name == label for name in names] for label in labels])
    of_truth = np.where(truth, probabilities, 1 - probabilities) if several else probabilities[truth]
    occurring = np.flatnonzero(truth.any(axis=0))
    return {
        "train": len(texts_and_labels(train)),
        "labels": len(names),
        "accuracy": float(jaccard_score(truth, chosen, average="samples", zero_division=1)),
        "f1_macro": float(f1_score(truth, chosen, average="macro", labels=occurring, zero_division=0)),
        "log_loss": float(-np.log(np.clip(of_truth, 1e-7, 1)).mean()),
        "ece": expected_calibration_error(*confidences(probabilities, truth if several else truth.argmax(axis=1))),
        "seconds": round(seconds, 1),
    }


def table():
    """Of every figure a table: sets in rows, contestants in columns, the mean over seeds; ours of the newest commit at
    which a set was run.
    """
    found, newest = {}, {(row["set"], row["contestant"]): row["commit"] for row in rows()}
    for row in rows():
        place = row["set"], row["contestant"]
        if row["contestant"] not in OURS or row["commit"] == newest[place]:
            found.setdefault(place, []).append(row)
    commits = {name: " and ".join(sorted({newest[place] for place in found if place[1] == name})) for name in OURS}
    sets = sorted({name for name, _ in found})
    there = [name for name in CONTESTANTS if any((each, name) in found for each in sets)]
    parts = [
        "# Your own data, no flags\n",
        "`python benchmarks/own_data.py --sets FOLDER`, on two cores of a CPU; means over seeds, in brackets their "
        f"number. {'; '.join(f'{name}: commit {those}' for name, those in commits.items())} (see own_data.jsonl). "
        + "; ".join(f"**{name}**: {CONTESTANTS[name]}" for name in there)
        + ".\n",
    ]
    for figure, words in FIGURES.items():
        parts += [f"## {words}\n", f"| set | texts | labels | {' | '.join(there)} |", "|---" * (3 + len(there)) + "|"]
        cells = {name: [shown(found.get((each, name)), figure) for each in sets] for name in there}
        for place, each in enumerate(sets):
            any_row = next(found[each, name][0] for name in there if (each, name) in found)
            values = " | ".join(cells[name][place] for name in there)
            parts.append(f"| {each} | {any_row['train']:,} | {any_row['labels']} | {values} |")
        means = {
            name: np.mean([mean_of(found[each, name], figure) for each in sets])
            for name in there
            if all((each, name) in found for each in sets)
        }
        last = " | ".join(in_words(means[name], figure) if name in means else "" for name in there)
        parts += [f"| mean | | | {last} |", ""]
    return "\n".join(parts)


def mean_of(runs, figure):
    """The mean over `runs`, of the seconds over those that were timed; nan where none is."""
    values = [run[figure] for run in runs if run[figure] is not None]
    return float(np.mean(values)) if values else np.nan


def shown(runs, figure):
    if not runs:
        return ""
    return in_words(mean_of(runs, figure), figure) + (f" ({len(runs)})" if figure == "accuracy" else "")


def in_words(value, figure):
    if np.isnan(value):
        return ""
    if figure == "seconds":
        return f"{value:.0f}"
    return f"{100 * value:.2f}" if figure in ("accuracy", "f1_macro") else f"{value:.3f}"


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
