"""The parts of benchmarks/ that call this project run; what they measure no test judges."""

import json
import subprocess
import sys

import pytest
from conftest import FIXTURES, ROOT, reviews


def run(*arguments):
    command = [sys.executable, *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT / "benchmarks", capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_the_contestant_of_the_training_race(dataset_folder):
    options = json.dumps({"precision": "float32", "hidden_dropout": 0.0})
    figures = run("contestants/ours.py", 0, FIXTURES / "tiny_bert", dataset_folder / "train.parquet", 16, 64, options)
    assert figures["steady_reviews_per_second"] > 0


@pytest.mark.parametrize("way", ["onnx", "keras"])
def test_the_contestant_of_the_labelling_race(way, trained, tmp_path):
    (tmp_path / "texts.json").write_text(json.dumps(reviews(64, 1)[0]))
    assert run("contestants/infer_batches.py", way, trained, tmp_path / "texts.json", 64)["reviews_per_second"] > 0


@pytest.mark.parametrize("variant", ["op by op", "keras optimizer"])
def test_variants_of_a_step(variant):
    arguments = ["--variant", variant, "--batch_size", 2, "--tokens", 32]
    assert run("step_budget.py", *arguments)["seconds"] > 0
