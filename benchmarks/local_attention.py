"""What ModernBERT's local layers save by the length of a text, beside layers that see all, and beside PyTorch.

usage: python benchmarks/local_attention.py [--ways local ...] [--environments FOLDER]

An encoder of ModernBERT-base's width with random weights, 6 of its 22 layers, of which every third sees all tokens; one
text at a time, float32, on all cores of a CPU. Each figure is of a process of its own: seconds of the third of three
passes, and how much the peak of its memory rose over that of a text of 64 tokens. Writes results/local_attention.md and
.json.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from common import HERE, RESULTS, python_of, save

LENGTHS = (512, 1024, 2048, 4096, 8192)
SIZES = {"vocab_size": 1000, "hidden_size": 768, "num_hidden_layers": 6, "num_attention_heads": 12,
         "intermediate_size": 1152, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1,
         "sep_token_id": 2}  # fmt: skip
WAYS = {
    "ours": "this project",
    "local": "the same, no layer sees all",
    "square": "the same, all layers see all",
    "onnx": "this project, ONNX",
    "pytorch": "PyTorch, SDPA",
    "ours-step": "a training step",
    "square-step": "a training step, all layers see all",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS, help="the others' figures stay")
    parser.add_argument("--environments", default=".benchmarks", help="a folder for PyTorch's environment")
    parser.add_argument("--one", nargs=2, metavar=("WAY", "LENGTH"), help="measure this in this process")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measured(arguments.one[0], int(arguments.one[1]))))
        return
    known = RESULTS / "local_attention.json"
    rows = [row for row in json.loads(known.read_text()) if row["way"] not in arguments.ways] if known.exists() else []
    for length in LENGTHS:
        for way in arguments.ways:
            if way.endswith("step") and length > 4096:
                continue
            python = python_of("peers" if way == "pytorch" else "ours", arguments.environments)
            command = [python, __file__, "--one", way, str(length)]
            done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr[-2000:])
            rows.append({"way": way, "length": length} | json.loads(done.stdout.splitlines()[-1]))
            print(rows[-1], flush=True)
    save(RESULTS / "local_attention", table(rows), rows)


def measured(way, length):
    """{seconds, megabytes} of one pass over a text of this length."""
    run = {"pytorch": pytorch, "onnx": onnx}.get(way, ours)(way)
    run(64)
    before, seconds = peak(), []
    for _ in range(3):
        began = time.perf_counter()
        run(length)
        seconds.append(time.perf_counter() - began)
    return {"seconds": seconds[-1], "megabytes": peak() - before}


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def text_of(length):
    import numpy as np

    return np.random.default_rng(0).integers(5, 1000, (1, length))


def classifier(way):
    from tfbert.model.folders import new_classifier

    kind = {"square": "full_attention", "local": "sliding_attention"}.get(way.split("-")[0])
    types = {"layer_types": [kind] * SIZES["num_hidden_layers"]} if kind else {}
    return new_classifier(SIZES | types | {"model_type": "modernbert"})


def ours(way):
    import os

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from tfbert.model.backend import load_keras

    load_keras()
    import tensorflow as tf

    model = classifier(way)

    def forward(ids):
        return model({"input_ids": ids, "attention_mask": tf.ones_like(ids)}, training=way.endswith("step"))

    def step(ids):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(forward(ids))
        gradients = tape.gradient(loss, model.trainable_weights)
        return tf.add_n([tf.reduce_sum(tf.convert_to_tensor(each)) for each in gradients])

    one = tf.TensorSpec((None, None), tf.int32)
    graph = tf.function(step if way.endswith("step") else forward, input_signature=[one], autograph=False)
    return lambda length: graph(text_of(length).astype("int32")).numpy()


def onnx(way):
    import tempfile

    from tfbert.model.backend import load_keras

    load_keras()
    from tfbert.inference.onnx_export import export_onnx
    from tfbert.inference.runtimes import onnx_model

    folder = Path(tempfile.mkdtemp())
    (folder / "onnx").mkdir()
    export_onnx(classifier(way), folder / "onnx" / "model.onnx")
    run = onnx_model(folder)
    return lambda length: run({"input_ids": text_of(length), "attention_mask": text_of(length) ** 0})


def pytorch(way):
    import torch
    from transformers import AutoModelForSequenceClassification, ModernBertConfig

    config = ModernBertConfig(**SIZES, attn_implementation="sdpa")
    model = AutoModelForSequenceClassification.from_config(config).eval()

    def run(length):
        ids = torch.tensor(text_of(length))
        with torch.inference_mode():
            return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.numpy()

    return run


def table(rows):
    found = {(row["way"], row["length"]): row for row in rows}
    lines = [
        "`python benchmarks/local_attention.py`: an encoder of ModernBERT-base's width with random weights, 6 of its "
        "22 layers, of which every third sees all tokens, the others 128; one text at a time, float32 on two cores."
    ]
    for figure, title, form in (
        ("microseconds", "Microseconds a token", "{:,.0f}"),
        ("megabytes", "Memory, MB above that of 64 tokens", "{:,.0f}"),
    ):
        lines += ["", f"## {title}", "", f"| tokens | {' | '.join(WAYS.values())} |", "| ---: " * (1 + len(WAYS)) + "|"]
        for length in LENGTHS:
            cells = []
            for way in WAYS:
                row = found.get((way, length))
                value = row and {"microseconds": 1e6 * row["seconds"] / length, **row}[figure]
                cells.append(form.format(value) if row else "")
            lines.append(f"| {length:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
