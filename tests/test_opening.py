"""A model folder that a run replaces while it is opened."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from tfbert.common.errors import UserError
from tfbert.common.files import read_whole, state_of
from tfbert.inference.predicting import Predictor

REPLACER = """
import shutil, sys, time
from pathlib import Path
from tfbert.common import files
if sys.argv[2] == "entries":
    files.exchange = lambda one, other: False
folder, owned = Path(sys.argv[1]), {"config.json", "tokenizer.json", "onnx", "vocab.txt"}
print("begun", flush=True)
while (folder / "go").exists():
    for model in ("one", "other"):
        with files.replaced_folder(folder / "model", owned) as staged:
            shutil.copytree(folder / model, staged, dirs_exist_ok=True, copy_function=shutil.copyfile)
        time.sleep(0.05)
"""
TEXT = "a great film"


@pytest.fixture
def two_models(trained, tmp_path):
    """Two models that differ in the names of their labels and, for one text, in the label's probability."""
    import onnx
    from onnx import numpy_helper

    for name, shift in (("one", -8.0), ("other", 8.0)):
        folder = tmp_path / name
        folder.mkdir()
        for each in ("config.json", "tokenizer.json"):
            shutil.copy(trained / each, folder)
        shutil.copytree(trained / "onnx", folder / "onnx")
        config = json.loads((folder / "config.json").read_text())
        config |= {"id2label": {"0": f"{name} 0", "1": f"{name} 1"}, "label2id": {f"{name} 0": 0, f"{name} 1": 1}}
        (folder / "config.json").write_text(json.dumps(config))
        model = onnx.load(folder / "onnx/model.onnx")
        bias = next(each for each in model.graph.initializer if each.name.endswith("classifier/bias"))
        bias.CopyFrom(numpy_helper.from_array(np.array([0, shift], np.float32), bias.name))
        shutil.rmtree(folder / "onnx")
        (folder / "onnx").mkdir()
        onnx.save(model, folder / "onnx/model.onnx", save_as_external_data=True, location="model.onnx.data")
    shutil.copytree(tmp_path / "one", tmp_path / "model")
    return tmp_path


@pytest.mark.parametrize("way", ["exchange", "entries"])
def test_a_predictor_is_of_one_model(two_models, way):
    (two_models / "go").write_text("")
    replacer = subprocess.Popen([sys.executable, "-c", REPLACER, two_models, way], cwd=ROOT, stdout=subprocess.PIPE)
    replacer.stdout.readline()
    seen = []
    for _ in range(60):
        predictor = Predictor(two_models / "model")
        seen.append((predictor.labels[0], predictor([TEXT])[0]["label"]))
    assert replacer.poll() is None
    os.unlink(two_models / "go")
    assert replacer.wait() == 0
    assert set(seen) == {("one 0", "one 0"), ("other 0", "other 1")}


def test_a_folder_whose_file_just_went_has_no_state(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    there = tmp_path / "gone"
    monkeypatch.setattr(Path, "iterdir", lambda folder: [there])
    monkeypatch.setattr(Path, "is_file", lambda path: True)
    assert state_of(tmp_path) is None


def test_an_error_of_a_folder_at_rest_is_that_error(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    tries = []

    def read():
        tries.append(1)
        raise UserError("no labels")

    with pytest.raises(UserError, match="no labels"):
        read_whole(tmp_path, read)
    assert len(tries) == 1


def test_a_folder_half_replaced_has_no_state(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    before = state_of(folder)
    assert before is not None
    (tmp_path / ".model.saving/.replaced").mkdir(parents=True)
    assert state_of(folder) is None
