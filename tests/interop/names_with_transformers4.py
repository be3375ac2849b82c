"""What names.py asks of transformers 4: classes by name, made and saved with all that they give; those of ours, read.

usage: names_with_transformers4.py make|read FOLDER, with a job.json; writes FOLDER/make.npz or read.npz
"""

import json
import os
import sys
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
import tf_keras
import transformers

transformers.logging.set_verbosity_error()
step, place = sys.argv[1], Path(sys.argv[2])
job = json.loads((place / "job.json").read_text())


def inputs_of(config):
    mask = (np.arange(24) < np.array([24, 15, 4, 9])[:, None]).astype(np.int32)
    ids = np.random.default_rng(3).integers(2 if config.pad_token_id else 1, 40, (4, 24), dtype=np.int32)
    return {"input_ids": np.where(mask, ids, config.pad_token_id), "attention_mask": mask}


def outputs_of(model, **inputs):
    found = model(**inputs, output_hidden_states=True)
    return {name: np.stack(value) if name == "hidden_states" else value.numpy() for name, value in found.items()}


def make(name, fixture):
    config = transformers.AutoConfig.from_pretrained(fixture)
    for key, value in config.to_dict().items():
        if "drop" in key and isinstance(value, float):
            setattr(config, key, 0.0)
    model, inputs, rng = getattr(transformers, name)(config), inputs_of(config), np.random.default_rng(4)
    model(inputs)
    for variable in model.weights:
        around = 1.0 if variable.name.endswith("gamma:0") else 0.0
        variable.assign(around + 0.3 * rng.standard_normal(variable.shape).astype(np.float32))
    model.save_pretrained(place / "theirs" / name)
    if name.endswith("Model"):
        return inputs | outputs_of(model, **inputs)
    labels = np.array([0, 1, 2, 0])
    if name.endswith("MaskedLM"):
        labels = np.where(np.arange(24) % 3 == 1, inputs["input_ids"], -100) * inputs["attention_mask"]
        labels = np.where(inputs["attention_mask"], labels, -100)
    found = inputs | {"labels": labels} | outputs_of(model, labels=labels, **inputs)
    model.compile(tf_keras.optimizers.SGD(0.01))
    history = model.fit(inputs | {"labels": labels}, batch_size=2, epochs=2, shuffle=False, verbose=0).history
    return found | {"losses": np.array(history["loss"]), "after": model.predict(inputs, verbose=0).logits}


def read(name, folder):
    model, info = getattr(transformers, name).from_pretrained(place / folder / name, output_loading_info=True)
    # a dropout, which has no weights, counts as a layer, and TFMPNetForMaskedLM has a pooler that it does not use
    missing = [key for key in info["missing_keys"] if "mpnet/pooler" not in key and "dropout" not in key]
    assert not missing and not info["unexpected_keys"] and not info["mismatched_keys"], (name, info)
    return outputs_of(model, **inputs_of(model.config))


def vectors():
    tokenizer = transformers.AutoTokenizer.from_pretrained(job["encoder"])
    model = transformers.TFAutoModel.from_pretrained(place / "ours" / "encoder")
    inputs = tokenizer(job["texts"], padding=True, truncation=True, return_tensors="tf")
    weights = tf.cast(inputs["attention_mask"], tf.float32)[:, :, None]
    hidden = model(**inputs).last_hidden_state
    return {"mean_of_tokens": (tf.reduce_sum(hidden * weights, 1) / tf.reduce_sum(weights, 1)).numpy()}


if step == "make":
    found = {name: make(name, fixture) for name, fixture in job["names"].items()}
else:
    found = {name: read(name, "ours") for name in job["names"]}
    found |= {f"{name} as safetensors": read(name, "ours_safe") for name in job["names"]}
    found["encoder"] = vectors()
np.savez(
    place / f"{step}.npz", **{f"{name}/{key}": value for name, each in found.items() for key, value in each.items()}
)
