"""What it takes to choose C for `--method features`, beside scikit-learn's grid search over its default solver.

usage: python benchmarks/feature_fit.py [--rounds 3] [--train_file FILE.csv ...]

On drawn vectors of 384 dimensions, some of which carry most of the variance, with labels that depend on all of them;
and on the default encoder's mean vectors of each FILE's texts. A quarter is held out for the scores, and C is chosen in
the rest. Both ways run in turns. Writes results/feature_fit.md and .json.
"""

import argparse
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
from common import RESULTS, save

from tfbert.common.settings import command_of

SIZES = {"3,000 drawn vectors, 2 labels": (3000, 2), "10,000 drawn vectors, 77 labels": (10000, 77)}
DIMENSIONS = 384


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--train_file", nargs="*", default=[])
    arguments = parser.parse_args()
    sets = {name: drawn(*size) for name, size in SIZES.items()}
    for path in arguments.train_file:
        vectors, labels = encoded(path)
        sets[f"{len(labels):,} texts of {Path(path).parent.name}, {labels.max() + 1} labels"] = vectors, labels
    rows = []
    for number in range(arguments.rounds):
        for name, (vectors, labels) in sets.items():
            row = {"set": name, **compared(vectors, labels, seed=number)}
            print(row, flush=True)
            rows.append(row)
    write(rows, list(sets), arguments.rounds)


def drawn(count, labels):
    """Vectors, float32 (N, D), and labels, int (N,)."""
    rng = np.random.default_rng(0)
    spread = np.geomspace(30, 0.03, DIMENSIONS)
    hidden = rng.normal(size=(count, DIMENSIONS))
    directions = rng.normal(size=(DIMENSIONS, labels)) / np.sqrt(spread)[:, None]
    classes = (0.3 * (hidden * spread) @ directions + rng.gumbel(size=(count, labels))).argmax(axis=1)
    turned = np.linalg.qr(rng.normal(size=(DIMENSIONS, DIMENSIONS)))[0]
    return ((hidden * spread) @ turned).astype(np.float32), np.unique(classes, return_inverse=True)[1]


def encoded(path):
    """The mean vectors of all training texts, float32 (N, D), and their labels, int (N,)."""
    from tfbert.common.settings import parse
    from tfbert.training.evaluating import predict
    from tfbert.training.features import Vectors
    from tfbert.training.jobs import prepare
    from tfbert.training.models import new_model
    from tfbert.training.settings import TrainSettings

    flags = ["--train_file", path, "--method", "features", "--pooling", "mean", "--max_seq_length", "128"]
    with prepare(parse(TrainSettings, [*flags, "--output_dir", ".benchmarks/feature_fit"]), flags) as job:
        vectors = Vectors(new_model(job, 42))
        vectors.compile(jit_compile=False)
        return predict(vectors.predict_on_batch, job.train, job.settings), job.train.labels


def by_grid_search(vectors, labels, seed):
    """Seven decades of C, each fitted anew by L-BFGS."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    folds, model = StratifiedKFold(5, shuffle=True, random_state=seed), LogisticRegression(max_iter=1000)
    search = GridSearchCV(model, {"C": np.logspace(-4, 2, 7)}, scoring="neg_log_loss", cv=folds)
    return search.fit(vectors, labels).best_estimator_


def by_path(vectors, labels, seed):
    from tfbert.training.features import regression

    return regression(vectors, labels, seed, balanced=False)


def compared(vectors, labels, seed):
    """Seconds, C, cross-entropy and accuracy of both ways, the second first in every other round, a dict."""
    from sklearn.metrics import log_loss
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    parts = train_test_split(vectors, labels, test_size=0.25, random_state=seed)
    train, held_out, train_labels, held_out_labels = parts
    scaler = StandardScaler().fit(train)
    ways, found = {"grid": by_grid_search, "path": by_path}, {}
    for name in sorted(ways, reverse=bool(seed % 2)):
        with warnings.catch_warnings(action="ignore"):
            start = time.perf_counter()
            model = ways[name](scaler.transform(train), train_labels, seed)
            seconds = time.perf_counter() - start
        probabilities = model.predict_proba(scaler.transform(held_out))
        found[name] = {
            "seconds": seconds,
            "C": float(model.C),
            "log_loss": float(log_loss(held_out_labels, probabilities, labels=model.classes_)),
            "accuracy": float((model.classes_[probabilities.argmax(axis=1)] == held_out_labels).mean()),
        }
    return found


def write(rows, names, rounds):
    command = command_of("benchmarks/feature_fit.py")
    lines = [
        f"Medians of {rounds} {'rounds' if rounds > 1 else 'round'}, of 75% of the vectors, the grid search first; "
        f"`{command}`",
        "",
        "| | grid search, s | path of warm starts, s | ratio | cross-entropy | accuracy |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in names:
        of_set = [row for row in rows if row["set"] == name]
        grid, path = (
            {figure: statistics.median(row[way][figure] for row in of_set) for figure in of_set[0][way]}
            for way in ("grid", "path")
        )
        ratio = statistics.median(row["grid"]["seconds"] / row["path"]["seconds"] for row in of_set)
        lines.append(
            f"| {name} | {grid['seconds']:.1f} | {path['seconds']:.1f} | {ratio:.0f} | "
            f"{grid['log_loss']:.4f}, {path['log_loss']:.4f} | {grid['accuracy']:.2%}, {path['accuracy']:.2%} |"
        )
    save(RESULTS / "feature_fit", "\n".join(lines) + "\n", rows)


if __name__ == "__main__":
    main()
