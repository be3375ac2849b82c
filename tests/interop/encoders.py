"""Checks that encoders from the Hub give the hidden states that PyTorch transformers gives.

usage: python tests/interop/encoders.py [ENCODER ...] [--environments FOLDER]

An encoder is what train.py's --model_name_or_path takes; by default the tiny ones of all types. The environment is that
of check.py. Exit code 0: all within 1e-4.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

from check import ENVIRONMENTS

from tfbert.data.sources import find_encoder
from tfbert.model.backend import load_keras
from tools.environments import python_in

THEIRS = """
import sys, numpy as np, torch
from transformers import AutoModel
folder, inputs, outputs = sys.argv[1:]
given = {name: torch.tensor(value) for name, value in np.load(inputs).items()}
with torch.no_grad():
    np.save(outputs, AutoModel.from_pretrained(folder).eval()(**given).last_hidden_state.numpy())
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tiny = sorted(str(path.parent) for path in (HERE.parent / "fixtures").glob("tiny_*/tokenizer.json"))
    parser.add_argument("encoders", nargs="*", default=tiny)
    parser.add_argument("--environments", default=".interop")
    arguments = parser.parse_args()
    load_keras()
    from tfbert.data.tasks import SINGLE_LABEL
    from tfbert.model.configs import classifier_config, model_config, read_config
    from tfbert.model.folders import load_classifier

    python = python_in(Path(arguments.environments, "with_transformers5"), *ENVIRONMENTS["with_transformers5.py"])
    worst = 0.0
    for name in arguments.encoders:
        folder = find_encoder(name).folder
        config = classifier_config(read_config(folder), ["negative", "positive"], SINGLE_LABEL)
        size = model_config(config, folder)
        lengths = np.array([size.max_length, size.max_length // 2, 7])
        mask = (np.arange(size.max_length) < lengths[:, None]).astype(np.int64)
        ids = np.random.default_rng(0).integers(5, size.vocab_size, mask.shape)
        inputs = {"input_ids": np.where(mask, ids, size.pad_token_id), "attention_mask": mask}
        with tempfile.TemporaryDirectory() as temporary:
            paths = Path(temporary, "inputs.npz"), Path(temporary, "outputs.npy")
            np.savez(paths[0], **inputs)
            subprocess.run([python, "-c", THEIRS, folder, *paths], check=True, stderr=subprocess.DEVNULL)
            theirs = np.load(paths[1])
        model, _ = load_classifier(folder, config)
        ours = np.asarray(model.encoder(*(value.astype(np.int32) for value in inputs.values())))
        difference = np.abs(ours - theirs)[mask == 1].max()
        print(
            f"{name}: hidden states up to {np.abs(theirs[mask == 1]).max():.2f}, different by {difference:.1e} at most"
        )
        worst = max(worst, difference)
    return 0 if worst < 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
