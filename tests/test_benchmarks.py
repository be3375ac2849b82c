"""The parts of benchmarks/ that call this project run; what they measure no test judges."""

import json
import re
import runpy
import subprocess
import sys
from argparse import Namespace

import keras
import numpy as np
import pytest
from conftest import FIXTURES, ROOT, reviews

from tfbert.data.tokenizing import TextEncoder
from tfbert.model.configs import read_config
from tfbert.model.folders import load_classifier
from tfbert.training import optimizer

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def contestant(monkeypatch, capsys):
    """Runs one in this process: a function of its name and arguments that returns its figures."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(BENCHMARKS / "contestants" / name), run_name="__main__")
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


def test_the_contestant_of_the_training_race(contestant, dataset_folder):
    options = json.dumps({"precision": "float32", "hidden_dropout": 0.0})
    figures = contestant("ours.py", 0, FIXTURES / "tiny_bert", dataset_folder / "train.parquet", 16, 64, options)
    assert figures["steady_reviews_per_second"] > 0


@pytest.mark.parametrize("way", ["onnx", "keras"])
def test_the_contestant_of_the_labelling_race(way, contestant, trained, tmp_path):
    (tmp_path / "texts.json").write_text(json.dumps(reviews(64, 1)[0]))
    assert contestant("infer_batches.py", way, trained, tmp_path / "texts.json", 64)["reviews_per_second"] > 0


def test_a_variant_of_a_step(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from step_budget import measure

    monkeypatch.setattr(optimizer, "AdamW", optimizer.AdamW)  # comes back when the test is done
    policy = keras.config.dtype_policy()
    try:
        figures = measure(
            Namespace(variant="keras optimizer", precision="bfloat16", batch_size=2, tokens=32, profile=False)
        )
    finally:
        keras.config.set_dtype_policy(policy)
    assert figures["seconds"] > 0


def test_a_variant_of_the_model():
    command = [sys.executable, "step_budget.py", "--variant", "op by op", "--batch_size", "2", "--tokens", "32"]
    result = subprocess.run(command, cwd=BENCHMARKS, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["seconds"] > 0


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="it takes TensorFlow's gradients")
def test_a_sentence_is_followed_as_the_model_reads_it(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import one_sentence

    folder = FIXTURES / "tiny_bert"
    without = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0}
    model, _ = load_classifier(folder, read_config(folder) | without)
    encode = TextEncoder.from_folder(folder, 64)
    way = one_sentence.follow(model, encode, "A dull film.")
    assert way["pieces"] == ["[CLS]", "a", "dull", "film", ".", "[SEP]"]
    np.testing.assert_allclose(np.array(way["weights"]).sum(axis=-1), 1, atol=1e-6)
    pooled = np.tanh(way["states"][-1][0] @ np.array(model.pooler.kernel) + np.array(model.pooler.bias))
    np.testing.assert_allclose(pooled, way["pooled"], atol=1e-5)

    *_, loss, weight = one_sentence.one_step(model, encode, ["negative", "positive"])
    before, after = map(float, loss.split("|")[2:4])
    assert after < before
    gradient = float(re.search(r"gradient is (\S+)", weight)[1])
    before, after = map(float, weight.split("|")[2:4])
    assert after - before == pytest.approx(-np.sign(gradient) * one_sentence.RATE, abs=2e-6)
