"""How fast a trained model labels reviews, beside transformers 4 (TensorFlow) and transformers 5 (PyTorch).

usage: python benchmarks/infer_speed.py [--model_dir output] [--rounds 5]
       python benchmarks/infer_speed.py --accuracy      what int8 costs, on all 25,000 test reviews of IMDb

Writes results/infer_speed.json and .md, or results/int8_accuracy.json.
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

from common import RESULTS, python_of, save

from tfbert.common.errors import run
from tfbert.common.files import write_json
from tfbert.data.sources import find_dataset
from tfbert.data.tasks import find_task
from tfbert.inference.predicting import Predictor
from tfbert.training.device import available_cores
from tfbert.training.settings import TrainSettings

REVIEW = "This movie is absolutely wonderful and inspiring."
PROCESSES = {  # name: (environment, what Python is to run, {} being the model's folder)
    "infer.py": ("ours", [HERE.parent / "infer.py", "--model_dir", "{}", REVIEW]),
    "infer.py --quantize": ("ours", [HERE.parent / "infer.py", "--model_dir", "{}", "--quantize", REVIEW]),
    "transformers 4, TensorFlow": (
        "transformers4", [HERE / "contestants" / "infer_snippet_transformers4.py", "{}", REVIEW]),
    "transformers 5, PyTorch": ("pytorch", [HERE / "contestants" / "infer_snippet_pytorch.py", "{}/pytorch", REVIEW]),
}  # fmt: skip
WAYS = {
    "onnx": ("ours", "ONNX, float32 (infer.py)"),
    "onnx-int8": ("ours", "ONNX, int8 (infer.py --quantize)"),
    "keras": ("ours", "Keras predict, float32"),
    "keras-bfloat16": ("ours", "Keras predict, mixed bfloat16"),
    "transformers4": ("transformers4", "transformers 4, TensorFlow"),
    "pytorch": ("pytorch", "transformers 5, PyTorch, float32"),
    "pytorch-bfloat16": ("pytorch", "transformers 5, PyTorch, bfloat16"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_dir", default="output")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reviews", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--environments", default=".benchmarks", help="a folder for the contestants' environments")
    parser.add_argument("--accuracy", action="store_true")
    arguments = parser.parse_args()
    arguments.model_dir = str(Path(arguments.model_dir).absolute())
    if arguments.accuracy:
        measure_accuracy(arguments)
    else:
        measure_speed(arguments)


def measure_speed(arguments):
    pythons = {name: python_of(name, arguments.environments) for name in ("ours", "transformers4", "pytorch")}
    predictor = Predictor(arguments.model_dir)
    texts = test_reviews()["text"]
    long = [text for text, ids in zip(texts, predictor.encoder.tokenizer.encode_batch_fast(list(texts[:4000])))
            if len(ids) >= arguments.tokens][: arguments.reviews]  # fmt: skip
    processes, batches = {name: [] for name in PROCESSES}, {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "texts.json")
        path.write_text(json.dumps(long))
        for number in range(-1, arguments.rounds):  # the first round only warms the disk's cache
            for name, (environment, command) in PROCESSES.items():
                command = [str(part).format(arguments.model_dir) for part in command]
                start = time.perf_counter()
                out = output_of([pythons[environment], *command])
                if "positive" not in out:
                    sys.exit(f"{name} said {out}")
                processes[name] += [time.perf_counter() - start] if number >= 0 else []
            for way, (environment, _) in WAYS.items():
                command = [HERE / "contestants" / "infer_batches.py", way, arguments.model_dir, path, arguments.tokens]
                out = output_of([pythons[environment], *map(str, command)])
                batches[way] += [json.loads(out.strip().splitlines()[-1])] if number >= 0 else []
            print(f"round {number + 1} of {arguments.rounds}", flush=True)
    write(processes, batches, len(long), arguments)


def output_of(command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def write(processes, batches, count, arguments):
    """results/infer_speed.json with every figure, and .md with medians and ratios of the same round."""

    def ratio(ours, theirs):
        return statistics.median(their / our for our, their in zip(ours, theirs))

    lines = [
        f"{available_cores()} CPU cores; medians of {arguments.rounds} rounds in turns; {time.strftime('%Y-%m-%d')}; "
        f"`python benchmarks/infer_speed.py --rounds {arguments.rounds}`",
        "",
        "| one review, a process from start to end | s | infer.py is faster by |",
        "| --- | ---: | ---: |",
    ]
    for name, seconds in processes.items():
        lines.append(f"| {name} | {statistics.median(seconds):.2f} | {ratio(processes['infer.py'], seconds):.1f} |")
    lines += [
        "",
        f"| {count} reviews of {arguments.tokens} tokens, batches of 32, the model in memory | one review, ms "
        "| reviews/s | as a multiple of ONNX, float32 |",
        "| --- | ---: | ---: | ---: |",
    ]
    for way, figures in batches.items():
        rates = [each["reviews_per_second"] for each in figures]
        multiple = ratio([each["reviews_per_second"] for each in batches["onnx"]], rates)
        latency = statistics.median(each["latency"] for each in figures)
        lines.append(f"| {WAYS[way][1]} | {1e3 * latency:.1f} | {statistics.median(rates):.1f} | {multiple:.2f} |")
    save(RESULTS / "infer_speed", "\n".join(lines) + "\n", {"processes": processes, "batches": batches})


def measure_accuracy(arguments):
    """results/int8_accuracy.json: both models on every test review."""
    test = test_reviews()
    figures, labels = {"reviews": len(test)}, {}
    predictors = {name: Predictor(arguments.model_dir, quantize=name == "int8") for name in ("float32", "int8")}
    ids = predictors["float32"].encoder(list(test["text"]))[0]
    for name, predictor in predictors.items():
        labels[name] = predictor.logits(ids).argmax(1)
        figures[f"{name}_accuracy"] = float((labels[name] == test["label"]).mean())
    figures["points_lost"] = 100 * (figures["float32_accuracy"] - figures["int8_accuracy"])
    figures["labels_changed"] = float((labels["float32"] != labels["int8"]).mean())
    figures["command"] = "python benchmarks/infer_speed.py --accuracy"
    write_json(RESULTS / "int8_accuracy.json", figures)
    print(json.dumps(figures, indent=1))


def test_reviews():
    from datasets import load_dataset

    return load_dataset(find_dataset(find_task("imdb"), TrainSettings()).folder, split="test")


if __name__ == "__main__":
    sys.exit(run(main))
