"""How fast fine-tuning is, beside PyTorch with transformers' Trainer and beside KerasHub.

usage: python benchmarks/train_speed.py [--rounds 3] [--only ours ours-float32 pytorch-compiled ...]

The same weights, the same reviews of IMDb, one epoch, the same batch size and greatest length, all in turns.
Each contestant is a process of its own in an environment of its own, which is made where it is missing.
Writes results/train_speed.json and .md.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from common import RESULTS, python_of, save

from tfbert.common.errors import run as run_command
from tfbert.data.sources import find_dataset, find_encoder
from tfbert.data.tasks import find_task
from tfbert.training.settings import TrainSettings

TORCH = {"pad_to_max_length": False, "bf16": True, "attention": "sdpa", "hidden_dropout": 0.0,
         "attention_dropout": 0.0, "group_by_length": True, "compile": False}  # fmt: skip
EXAMPLE = TORCH | {"pad_to_max_length": True, "bf16": False, "hidden_dropout": 0.1, "attention_dropout": 0.1,
                   "group_by_length": False}  # fmt: skip
KERAS = {"precision": "auto", "hidden_dropout": 0.0}
KERASHUB = "KerasHub BertTextClassifier.fit"
STRONGEST = "PyTorch Trainer at its strongest: bf16, SDPA, no dropout, grouped by length"
CONTESTANTS = {  # name: (environment, script, options, in words)
    "ours": ("ours", "ours.py", KERAS, "this project"),
    "ours-dropout": ("ours", "ours.py", KERAS | {"hidden_dropout": 0.1}, "this project, dropout 0.1"),
    "ours-float32": ("ours", "ours.py", KERAS | {"precision": "float32"}, "this project, float32"),
    "ours-jax": ("jax", "ours.py", KERAS, "this project on JAX"),
    "pytorch-example": (
        "pytorch", "pytorch.py", EXAMPLE, "PyTorch Trainer as transformers' example has it: padded, float32, dropout"),
    "pytorch-strongest": ("pytorch", "pytorch.py", TORCH, STRONGEST),
    "pytorch-compiled": ("pytorch", "pytorch.py", TORCH | {"compile": True}, STRONGEST + ", torch.compile"),
    "kerashub": ("kerashub", "kerashub.py", {"dtype": "float32"}, KERASHUB),
    "kerashub-bfloat16": ("kerashub", "kerashub.py", {"dtype": "mixed_bfloat16"}, KERASHUB + ", mixed bfloat16"),
}  # fmt: skip
USUAL = ["ours", "pytorch-strongest", "pytorch-example", "kerashub"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=USUAL)
    parser.add_argument("--reviews", type=int, default=2000)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--max_seq_length", type=int, default=256)
    parser.add_argument("--encoder", help="a folder; default: that of train.py")
    parser.add_argument("--environments", default=".benchmarks", help="a folder for the contestants' environments")
    parser.add_argument("--output", default=RESULTS / "train_speed", help="results, without an ending")
    arguments = parser.parse_args()
    pythons = {name: python_of(CONTESTANTS[name][0], arguments.environments) for name in arguments.only}

    with tempfile.TemporaryDirectory() as folder:
        reviews = Path(folder, "reviews.parquet")
        from datasets import load_dataset

        train = load_dataset(find_dataset(find_task("imdb"), TrainSettings()).folder, split="train")
        train.shuffle(seed=0).select(range(arguments.reviews)).to_parquet(reviews)
        encoder = arguments.encoder or find_encoder().folder
        runs = {name: [] for name in arguments.only}
        for number in range(arguments.rounds):
            for name in arguments.only:
                runs[name].append(run(pythons[name], name, encoder, reviews, arguments))
                figures = runs[name][-1]
                print(f"round {number + 1}  {name:18} {figures['process_seconds']:6.1f} s  "
                      f"{figures['steady_reviews_per_second']:6.1f} reviews/s", flush=True)  # fmt: skip
    write(runs, arguments)


def run(python, name, encoder, reviews, arguments):
    """The figures of one contestant's process."""
    environment, script, options, _ = CONTESTANTS[name]
    command = [python, HERE / "contestants" / script, repr(time.time()), encoder, reviews, arguments.batch_size,
               arguments.max_seq_length, json.dumps(options)]  # fmt: skip
    backend = {"KERAS_BACKEND": "jax"} if environment == "jax" else {}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=os.environ | backend)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def write(runs, arguments):
    """results/train_speed.json with every figure, and .md with medians."""
    peak = max((each.get("matmul_rate", 0) for figures in runs.values() for each in figures), default=0)
    flops = next((figures[0]["flops_per_token"] for figures in runs.values() if "flops_per_token" in figures[0]), 0)
    middle = {
        name: {key: statistics.median(each[key] for each in figures) for key in figures[0] if key != "device"}
        for name, figures in runs.items()
    }
    rows = []
    for name, figures in middle.items():
        share = figures["steady_tokens_per_second"] * flops / peak if peak else 0
        ratios = [
            statistics.median(ours[key] / theirs[key] for ours, theirs in zip(runs["ours"], runs[name]))
            for key in ("reviews_per_second", "steady_reviews_per_second")
        ] if "ours" in runs else [0, 0]  # fmt: skip
        rows.append(
            f"| {CONTESTANTS[name][3]} | {figures['process_seconds']:.0f} | {figures['reviews_per_second']:.1f} "
            f"| {ratios[0]:.2f} | {figures['steady_reviews_per_second']:.1f} | {ratios[1]:.2f} "
            f"| {figures['steady_tokens_per_second']:,.0f} | {figures['first_step_seconds']:.1f} "
            f"| {figures['peak_memory_gb']:.1f} | {share:.0%} |"
        )
    rounds = len(next(iter(runs.values())))
    device = next((figures[0]["device"] for figures in runs.values() if "device" in figures[0]), platform.machine())
    text = "\n".join([
        f"{arguments.reviews:,} reviews, batches of {arguments.batch_size}, at most {arguments.max_seq_length} tokens, "
        f"one epoch; {device}; {peak / 1e9:,.0f} GFLOPS in a matrix product; medians of {rounds} rounds "
        f"in turns; {time.strftime('%Y-%m-%d')}; `python benchmarks/train_speed.py --rounds {rounds} --only "
        f"{' '.join(runs)}`",
        "",
        "| | process, s | reviews/s, whole process | ours is faster by | reviews/s after the first step "
        "| ours is faster by | tokens/s | first step after, s | memory, GB | share of the matrix product's speed |",
        "| --- " + "| ---: " * 9 + "|",
        *rows,
        "",
    ])  # fmt: skip
    save(arguments.output, text, {"runs": runs, "peak": peak})


if __name__ == "__main__":
    sys.exit(run_command(main))
