"""Where the time goes before the first training step of train.py, and in infer.py as a process.

usage: python benchmarks/startup.py [--model_dir output] [--rounds 5]

Needs a model that train.py saved, and the data of train.py's quick job in the cache. Writes results/startup.json
and .md.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from common import RESULTS, save

from tfbert.common.errors import run
from tfbert.training.device import available_cores

INFER_PARTS = """
import sys, time
marks = [("start", time.perf_counter())]
def mark(name):
    marks.append((name, time.perf_counter()))
import os
os.environ["OPENBLAS_NUM_THREADS"] = "1"
import numpy
mark("import numpy")
import infer
mark("import infer.py's own code and the standard library")
import tokenizers
mark("import tokenizers")
import onnxruntime
mark("import onnxruntime")
from tfbert.data.tokenizing import TextEncoder
from tfbert.inference.predicting import Predictor
from tfbert.inference.runtimes import onnx_model
TextEncoder.from_folder(sys.argv[1], 256)
mark("read the tokenizer")
onnx_model(sys.argv[1], brief=True)
mark("open the model")
predictor = Predictor(sys.argv[1], brief=True)
marks.append(("", time.perf_counter()))
predictor([predictor.example])
mark("label a review")
import json
print(json.dumps({name: end - start for (_, start), (name, end) in zip(marks, marks[1:]) if name}))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_dir", default="output")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    train, infer = [], []
    for number in range(-1, arguments.rounds):  # the first round only warms caches
        figures = train_parts(), infer_parts(arguments.model_dir)
        if number >= 0:
            train.append(figures[0])
            infer.append(figures[1])
            print(f"round {number + 1} of {arguments.rounds}", flush=True)
    lines = [
        f"{available_cores()} CPU cores; medians of {arguments.rounds} rounds; {time.strftime('%Y-%m-%d')}; "
        f"`python benchmarks/startup.py --rounds {arguments.rounds}`"
    ]
    for title, rounds in (("python train.py, until its first step is done", train), ("python infer.py", infer)):
        lines += ["", f"| {title} | s |", "| --- | ---: |"]
        lines += [f"| {name} | {statistics.median(each[name] for each in rounds):.3f} |" for name in rounds[0]]
    save(RESULTS / "startup", "\n".join(lines) + "\n", {"train.py": train, "infer.py": infer})


def train_parts():
    """Seconds of each part of train.py up to the end of its first step, as its own clocks tell."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, HERE.parent / "train.py", "--max_train_samples", "32", "--max_eval_samples", "16",
                   "--validation_samples", "16", "--logging_steps", "1", "--output_dir", f"{folder}/model"]  # fmt: skip
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            for line in process.stdout:
                if line.startswith("step     1/"):
                    whole = time.perf_counter() - start
        metrics = json.loads(Path(folder, "model", "metrics.json").read_text())
    parts = {name: metrics["durations"][name] for name in
             ("finding model and data", "starting TensorFlow", "tokenizing", "building the model")}  # fmt: skip
    parts["first step, with tracing and compilation"] = metrics["first_step_seconds"]
    return parts | {"everything else": whole - sum(parts.values()), "whole": whole}


def infer_parts(folder):
    """Seconds of each part of infer.py, and of the whole process."""
    command = [sys.executable, "-c", INFER_PARTS, Path(folder).absolute()]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=HERE.parent, text=True).stdout
    start = time.perf_counter()
    command = [sys.executable, HERE.parent / "infer.py", "--model_dir", folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return json.loads(out) | {"whole process": time.perf_counter() - start}


if __name__ == "__main__":
    sys.exit(run(main))
