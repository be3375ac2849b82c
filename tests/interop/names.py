"""Checks each TensorFlow class of transformers 4 that tfbert has, by name, against transformers 4 itself.

usage: python tests/interop/names.py [ENCODER] [--environments FOLDER]

For every type and head: ours loads what theirs saved, and gives the same outputs, loss, and losses of fit; theirs loads
what ours saved, as h5 and as safetensors, with no weight missing or left over. Then the vectors of ENCODER, what
train.py's --model_name_or_path takes, by default its default: one for each text, the mean of its tokens. The
environment is that of check.py. Exit code 0: all within 1e-4.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

from check import ENVIRONMENTS

import tfbert
from tfbert.data.sources import find_encoder
from tfbert.model.weight_names import HEADS, class_names
from tools.environments import python_in

TEXTS = [
    "A film for children.",
    "The plot makes no sense, and the ending makes less.",
    "Bread, butter and jam.",
    "Why?",
]


def numpy(output):
    return {name: np.stack(value) if isinstance(value, tuple) else np.asarray(value) for name, value in output.items()}


def fitted(model, inputs, labels):
    """Outputs and losses of one of our models before fit, and after it."""
    import keras

    found = numpy(model(inputs, labels=labels, output_hidden_states=True))
    if labels is not None:
        model.compile(keras.optimizers.SGD(0.01))
        history = model.fit(inputs | {"labels": labels}, batch_size=2, epochs=2, shuffle=False, verbose=0).history
        found |= {"losses": np.array(history["loss"]), "after": model.predict(inputs, verbose=0).logits}
    return found


def new_weights(model):
    rng = np.random.default_rng(5)
    for variable in model.keras_model.weights:
        around = 1.0 if variable.path.endswith("gamma") else 0.0
        variable.assign(around + 0.3 * rng.standard_normal(variable.shape))
    return model


def compare(name, ours, theirs, mask):
    """The largest difference of the arrays of two dicts, which must have the same names, padding left out."""
    assert ours.keys() == theirs.keys(), (name, list(ours), list(theirs))
    differences = {key: np.abs(ours[key] - theirs[key]) for key in ours}
    worst = max(float((each[..., mask == 1, :] if each.ndim > 2 else each).max()) for each in differences.values())
    print(f"{name}: {', '.join(ours)} differ by {worst:.1e} at most", flush=True)
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", nargs="?")
    parser.add_argument("--environments", default=".interop")
    arguments = parser.parse_args()
    environment = Path(arguments.environments, "with_transformers4")
    python = python_in(environment, *ENVIRONMENTS["with_transformers4.py"])
    encoder = find_encoder(arguments.encoder).folder
    fixtures = {kind: HERE.parent / "fixtures" / f"tiny_{kind.replace('-', '_')}_h5" for kind in class_names("Model")}
    names = {name: str(fixtures[kind]) for head in HEADS for kind, name in class_names(head).items()}

    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        (place / "job.json").write_text(json.dumps({"names": names, "encoder": str(encoder), "texts": TEXTS}))

        def theirs(step):
            command = [python, HERE / "names_with_transformers4.py", step, place]
            result = subprocess.run(command, stderr=subprocess.PIPE, text=True)
            if result.returncode:
                sys.exit(result.stderr[-2000:])
            with np.load(place / f"{step}.npz") as file:
                found = {}
                for key in file.files:
                    name, output = key.split("/")
                    found.setdefault(name, {})[output] = file[key]
            return found

        made, worst, ours = theirs("make"), 0.0, {}
        for name, fixture in names.items():
            given = made[name]
            inputs = {key: given.pop(key) for key in ("input_ids", "attention_mask")}
            mask = inputs["attention_mask"]
            model = getattr(tfbert, name).from_pretrained(place / "theirs" / name)
            worst = max(worst, compare(name, fitted(model, inputs, given.pop("labels", None)), given, mask))
            model = getattr(tfbert, name).from_config(tfbert.AutoConfig.from_pretrained(fixture))
            ours[name] = numpy(new_weights(model)(inputs, output_hidden_states=True))
            model.save_pretrained(place / "ours" / name)
            model.save_pretrained(place / "ours_safe" / name, safe_serialization=True)

        tokenizer, model = tfbert.AutoTokenizer.from_pretrained(encoder), tfbert.TFAutoModel.from_pretrained(encoder)
        inputs = tokenizer(TEXTS, padding=True, truncation=True, return_tensors="tf")
        vectors = tfbert.mean_of_tokens(model(inputs).last_hidden_state, inputs["attention_mask"])
        model.save_pretrained(place / "ours" / "encoder")
        ours |= {f"{name} as safetensors": outputs for name, outputs in ours.items()}
        ours[f"vectors of {Path(encoder).name}"] = {"mean_of_tokens": np.asarray(vectors)}
        read = theirs("read")
        read[f"vectors of {Path(encoder).name}"] = read.pop("encoder")
        for name, outputs in ours.items():
            worst = max(worst, compare(f"{name}, read by transformers 4", outputs, read[name], mask))
    return 0 if worst < 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
