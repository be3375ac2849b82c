"""The tasks beside IMDb, as the README's table has them: train.py with each row's flags and seeds.

usage: python benchmarks/siblings.py [--only NAME ...] [--data FOLDER] [--encoder FOLDER_OR_ID] [--selecting]

FOLDER has a folder for each task, with the files as their authors publish them; without it data come from the Hub.
Appends a line a row to results/siblings.jsonl. With --selecting, rows are judged on texts held out of train, and the
development split is not read: that is how the flags below were chosen, with one seed; results go to
results/siblings_selecting.jsonl. (For emotions mean pooling with dropout on attention has the better scores, ROC AUC
0.843 to 0.826 and micro-F1 0.657 to 0.642 at thresholds of 0.5, with fitted ones 0.641 to 0.649.)
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from common import RESULTS, append, commit, trained

BEST = "--load_best_model_at_end --metric_for_best_model metric"
ROWS = {  # name -> task, flags, seeds
    "tutorial-first": ("sst2_tutorial", "--method features", 5),
    "tutorial-mean": ("sst2_tutorial", "--method features --pooling mean", 5),
    "tutorial-tuned": ("sst2_tutorial", "--num_train_epochs 3 --pooling mean", 5),
    "sst2-features": ("sst2", "--method features --pooling mean", 1),
    "sst2": ("sst2", "--num_train_epochs 2 --per_device_train_batch_size 32 --pooling mean", 3),
    "cola": ("cola", f"--num_train_epochs 5 --pooling mean --attention_dropout 0.1 {BEST}", 3),
    "cola-scratch": ("cola", "--from_scratch", 3),
    "emotions": (
        "emotions",
        f"--num_train_epochs 5 --pooling mean --attention_dropout 0.1 --validation_samples 500 {BEST}",
        3,
    ),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--data")
    parser.add_argument("--encoder")
    parser.add_argument("--seeds", type=int, nargs="+", help="in place of 42 and those that follow")
    parser.add_argument("--selecting", action="store_true")
    parser.add_argument(
        "--work", default=tempfile.gettempdir() + "/tfbert-siblings", help="for models, the last of each row"
    )
    parser.add_argument("flags", nargs="*", help="after --: more of train.py's flags, which win over the row's")
    arguments = parser.parse_args()
    if arguments.selecting and not arguments.data:
        parser.error("--selecting takes its texts out of the files in --data")
    path = RESULTS / ("siblings_selecting.jsonl" if arguments.selecting else "siblings.jsonl")
    for name in arguments.only:
        task, flags, seeds = ROWS[name]
        flags = flags.split() + arguments.flags
        row = {"name": name, "flags": " ".join(flags), "commit": commit(), "runs": []}
        for seed in arguments.seeds or range(42, 42 + seeds):
            row["runs"].append(figures(arguments, name, task, flags, seed))
        metric, model = row["runs"][0]["metric"], row["runs"][0]["model"]
        scores = [run[metric] for run in row["runs"]]
        row |= {
            "model": model,
            "metric": metric,
            "mean": float(np.mean(scores)),
            "deviation": float(np.std(scores, ddof=len(scores) > 1)),
        }
        append(path, row)
        print(f"{name}, {model}: {metric} {row['mean']:.4f} +- {row['deviation']:.4f} over {len(scores)}", flush=True)


def figures(arguments, name, task, flags, seed):
    """What one run of train.py measured: the numbers of its metrics.json that a table may want."""
    source = []
    if arguments.data:
        folder = Path(arguments.data, task)
        source += ["--data_dir", str(held_out_of_train(folder, arguments.work) if arguments.selecting else folder)]
    if arguments.encoder:
        source += ["--model_name_or_path", arguments.encoder]
    output = Path(arguments.work, name)
    metrics = trained(output, "--task_name", task, "--seed", str(seed), "--excerpt_words", "0", *flags, *source)
    wanted = """metric model accuracy accuracy_at_half matthews_correlation f1_micro f1_micro_at_half f1_macro
        f1_macro_at_half jaccard roc_auc roc_auc_micro roc_auc_of_labels n_train n_validation n_test train_seconds"""
    baselines = [key for key in metrics if key.startswith(("baseline_", "majority_"))]
    return {"seed": seed} | {key: metrics[key] for key in [*wanted.split(), *baselines] if key in metrics}


def held_out_of_train(folder, work):
    """A folder like `folder`, its development file made of every tenth row of its training file."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix in (".tsv", ".txt"))
    train = next(name for name in names if "train" in name)
    dev = next(name for name in names if "dev" in name)
    made = Path(work, f"held-out-{folder.name}")
    made.mkdir(parents=True, exist_ok=True)
    lines = (folder / train).read_text(encoding="utf-8").splitlines(keepends=True)
    has_header = lines[0] == (folder / dev).read_text(encoding="utf-8").splitlines(keepends=True)[0]
    header, rows = lines[:has_header], lines[has_header:]
    (made / dev).write_text("".join(header + rows[::10]), encoding="utf-8")
    (made / train).write_text("".join(header + [row for i, row in enumerate(rows) if i % 10]), encoding="utf-8")
    return made


if __name__ == "__main__":
    main()
