"""Checks that transformers 4 with TensorFlow and transformers 5 with PyTorch read what train.py wrote.

usage: python tests/interop/check.py [MODEL_FOLDER] [--environments FOLDER]

Makes an environment for each (3 GB of packages, in .interop/ unless told otherwise, used again the next
time), runs with_transformers4.py on the folder and with_transformers5.py on its pytorch/, and compares their
logits for real reviews with ours, by Keras and by ONNX Runtime. Exit code 0: all within 1e-4.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent))

from tfbert.data.sources import find_dataset
from tfbert.data.tasks import find_task
from tfbert.inference.predicting import Predictor
from tfbert.inference.runtimes import keras_model, onnx_model
from tfbert.training.settings import TrainSettings
from tools.environments import python_in

ENVIRONMENTS = {
    "with_transformers4.py": ["transformers==4.57.6", "tf-keras==2.21.0", "tensorflow==2.21.0"],
    "with_transformers5.py": ["transformers==5.23.0", "torch==2.13.0"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_folder", nargs="?", default="output")
    parser.add_argument("--environments", default=".interop")
    arguments = parser.parse_args()
    folder = Path(arguments.model_folder)

    from datasets import load_dataset

    predictor = Predictor(folder)
    words = predictor.encoder.max_seq_length // 3  # so few that every way of truncation keeps them all
    reviews = load_dataset(find_dataset(find_task("imdb"), TrainSettings()).folder, split="test[:40]")["text"]
    texts = [" ".join(review.split()[:words]) for review in reviews]
    ids = predictor.encoder(texts)[0]
    logits = {}
    for name, function in (("ours, Keras", keras_model(folder)), ("ours, ONNX", onnx_model(folder))):
        predictor.logits_of_batch = function
        logits[name] = predictor.logits(ids)
    for script, packages in ENVIRONMENTS.items():
        python = python_in(Path(arguments.environments, script.removesuffix(".py")), *packages)
        place = folder / "pytorch" if "5" in script else folder
        with tempfile.TemporaryDirectory() as temporary:
            paths = Path(temporary, "texts.json"), Path(temporary, "logits.json")
            paths[0].write_text(json.dumps(texts))
            subprocess.run([python, HERE / script, place, *paths], check=True, stderr=subprocess.DEVNULL)
            logits[script] = np.array(json.loads(paths[1].read_text()))

    differences = {name: float(np.abs(each - logits["ours, Keras"]).max()) for name, each in logits.items()}
    print(f"{len(texts)} reviews, logits from {logits['ours, Keras'].min():.2f} to {logits['ours, Keras'].max():.2f}")
    for name, difference in differences.items():
        print(f"{name:24} differs from ours by {difference:.1e} at most")
    return 0 if max(differences.values()) < 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
