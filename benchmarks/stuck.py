"""Why is accuracy stuck? A BERT from scratch on CoLA as a tutorial sets it up, and then one change at a time.

First the tutorial's set-up with one thing mended, then two that learn, a large and a small one, with one thing broken.

usage: python benchmarks/stuck.py [--data_dir FOLDER] [--steps 2000] [--only NAME ...]

The tutorial's model never leaves the share of the more frequent label, 70%, and its author asks why. Its set-up: 8
post-norm layers of width 512, 8 heads, inner width 1024, a WordPiece vocabulary of 4,000 from the corpus, 128 tokens,
fixed sinusoids for positions, a padding mask that is made but not given to the encoder, one sigmoid on the first
token, batches of 64, Adam at 1e-3 from the first step on. What it leaves open is as in Keras: embeddings drawn from
+-0.05, matrices as Glorot and Bengio (2010); dropout is BERT's 0.1.

Adds a row for each set-up to results/stuck.json, skips those that stand there, and writes results/stuck.md and .png.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, replace

import numpy as np
from common import RESULTS

from tfbert.training.device import find_device

DEVICE = find_device("auto", "auto")

import keras
from keras import ops

from tfbert.common.files import write_json, write_text
from tfbert.data.batches import Examples, TrainBatches, pad
from tfbert.data.sources import find_dataset
from tfbert.data.splits import load_splits, read_parts
from tfbert.data.tasks import find_task
from tfbert.data.tokenizing import TextEncoder
from tfbert.model import configs, scratch
from tfbert.model.modeling import Block, Encoder
from tfbert.report.metrics import score
from tfbert.training.optimizer import WarmupLinearDecay
from tfbert.training.settings import TrainSettings

LENGTH, BATCH = scratch.MAX_LENGTH, 64
SCORED = 1000  # training sentences that training accuracy is measured on


@dataclass(frozen=True)
class Setup:
    """One row of the table."""

    name: str
    what: str
    size: str = "document"  # of scratch.SCRATCH
    learning_rate: float = 1e-3
    warmup: bool = False  # over a tenth of the steps, and then a linear decay
    mask: bool = False  # whether the encoder is told where padding is
    pre_norm: bool = False
    sinusoids: float = 1.0  # how far fixed positions swing; 0: positions are learnt, and begin as BERT's
    bert_init: bool = False  # normal with a deviation of 0.02, as BERT's


DOCUMENT = Setup("document", "the tutorial's set-up")
MASKED = replace(DOCUMENT, name="mask", what="with the padding mask given to the encoder", mask=True)
LARGE = Setup("large", "the tutorial's size, all else as BERT's authors, at 1e-4", mask=True,
              sinusoids=0, bert_init=True, warmup=True, learning_rate=1e-4)  # fmt: skip
SMALL = Setup("small", "4 layers of width 256, and all as BERT's authors (`--from_scratch`)", "small", mask=True,
              sinusoids=0, bert_init=True, warmup=True, learning_rate=3e-4)  # fmt: skip
SETUPS = [
    DOCUMENT,
    MASKED,
    replace(MASKED, name="mask, init", what="mask, and BERT's initial weights", bert_init=True),
    replace(MASKED, name="mask, warmup", what="mask, and warmup and decay", warmup=True),
    replace(MASKED, name="mask, rate", what="mask, and a tenth of the learning rate", learning_rate=1e-4),
    replace(MASKED, name="mask, positions", what="mask, and learnt positions", sinusoids=0),
    LARGE,
    replace(LARGE, name="large, rate", what="large, but 1e-3", learning_rate=1e-3),
    replace(LARGE, name="large, no warmup", what="large, but without warmup and decay", warmup=False),
    replace(LARGE, name="large, sinusoids", what="large, but fixed sinusoids", sinusoids=1),
    SMALL,
    replace(SMALL, name="small, rate", what="small, but 1e-3", learning_rate=1e-3),
    replace(SMALL, name="small, no warmup", what="small, but without warmup and decay", warmup=False),
    replace(SMALL, name="small, sinusoids", what="small, but fixed sinusoids", sinusoids=1),
    replace(SMALL, name="small, faint sinusoids", what="small, but fixed sinusoids of a fiftieth of the size",
            sinusoids=0.02),
    replace(SMALL, name="small, init", what="small, but Keras's initial weights", bert_init=False),
    replace(SMALL, name="small, no mask", what="small, but without the mask", mask=False),
    replace(SMALL, name="small, pre-norm", what="small, but LayerNorm before each part, not after it", pre_norm=True),
]  # fmt: skip


class PreNormBlock(Block):
    """x + f(norm(x)) in place of norm(x + f(x)) (Xiong et al. 2020, arXiv:2002.04745)."""

    def call(self, x, mask, bias=None, training=False):
        nothing = ops.zeros_like(x)
        attended = self.attention(self.attention_norm(x, nothing), mask, bias, training=training)
        x = x + self.attention_norm.dropout(attended, training=training)
        inner = self.output_dense(self.intermediate(self.output_norm(x, nothing)))
        return x + self.output_norm.dropout(inner, training=training)


class Classifier(keras.Model):
    """An encoder and a sigmoid on its first token: probabilities, float32 (B, 1)."""

    def __init__(self, config, setup):
        super().__init__()
        self.setup, self.last_norm = setup, None
        self.encoder = Encoder(config, name="encoder")
        if setup.pre_norm:
            self.last_norm = keras.layers.LayerNormalization(name="last_norm")
            self.last_norm.build((None, config.hidden_size))
            self.encoder.blocks = [PreNormBlock(config, i, name=f"layer_{i}") for i in range(config.num_hidden_layers)]
        self.head = keras.layers.Dense(1, "sigmoid", dtype="float32", name="head")
        self.encoder.build()
        self.head.build((None, config.hidden_size))
        self.built = True

    def call(self, inputs, training=False):
        mask = inputs["attention_mask"]
        mask = mask if self.setup.mask else ops.ones_like(mask)
        first = self.encoder(inputs["input_ids"], mask, training=training)[:, 0]
        return self.head(self.last_norm(first) if self.last_norm else first)


def new_model(config, setup):
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(DEVICE.policy)
    model = Classifier(config, setup)
    if not setup.bert_init:
        for variable in model.encoder.trainable_variables:
            if variable.path.endswith("kernel"):
                variable.assign(keras.initializers.GlorotUniform(seed=len(variable.path))(variable.shape))
        word = model.encoder.embeddings.word
        word.assign(keras.initializers.RandomUniform(-0.05, 0.05, seed=1)(word.shape))
    if setup.sinusoids:
        position = model.encoder.embeddings.position
        position.assign(setup.sinusoids * sinusoids(*position.shape))
        position.trainable = False
    return model


def sinusoids(length, width):
    """float32 (length, width), of Vaswani et al. 2017 (arXiv:1706.03762), section 3.5."""
    angles = np.arange(length)[:, None] / 10000 ** (2 * (np.arange(width) // 2) / width)
    return np.where(np.arange(width) % 2, np.cos(angles), np.sin(angles)).astype(np.float32)


def inputs_of(examples, rows, setup):
    """A batch; without a mask padded to 128 as in the tutorial, with one, where padding changes nothing, shorter."""
    if setup.mask:
        return examples.batch(rows, LENGTH)
    return pad([examples.ids(row) for row in rows], LENGTH)


def run(setup, config, train, dev, steps):
    """The row of a set-up: its curve and its figures at the end."""
    model = new_model(config, setup)
    rate = WarmupLinearDecay(setup.learning_rate, steps // 10, steps) if setup.warmup else setup.learning_rate
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"], jit_compile=DEVICE.xla)
    batches, curve, started = TrainBatches(train, BATCH, LENGTH, seed=1), [], time.perf_counter()
    for step, rows in zip(range(1, steps + 1), batches.rows()):
        logs = model.train_on_batch(inputs_of(train, rows, setup), train.labels[rows][:, None], return_dict=True)
        if step % 20 == 0:
            curve.append({"step": step, "loss": float(logs["loss"]), "accuracy": float(logs["accuracy"])})
            print(
                f"{setup.name:10} step {step:4}/{steps}  loss {logs['loss']:.4f}  acc {logs['accuracy']:.3f}",
                flush=True,
            )
            model.reset_metrics()
    seconds = time.perf_counter() - started

    def predicted(examples, rows):
        parts = np.split(rows, range(BATCH, len(rows), BATCH))
        return np.concatenate(
            [np.asarray(model.predict_on_batch(inputs_of(examples, part, setup)))[:, 0] > 0.5 for part in parts]
        ).astype(int)

    some, every = np.arange(SCORED), np.arange(len(dev))
    on_dev = predicted(dev, every)
    return {
        "name": setup.name,
        "what": setup.what,
        "steps": steps,
        "seconds": seconds,
        "train_accuracy": score("accuracy", predicted(train, some), train.labels[some]),
        "dev_accuracy": score("accuracy", on_dev, dev.labels),
        "dev_matthews_correlation": score("matthews_correlation", on_dev, dev.labels),
        "curve": curve,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", help="CoLA as its authors publish it; default: the Hub")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--only", nargs="+", default=[setup.name for setup in SETUPS])
    arguments = parser.parse_args()
    task, settings = find_task("cola"), TrainSettings(data_dir=arguments.data_dir, validation_samples=2)
    splits = load_splits(task, read_parts(task, find_dataset(task, settings), settings), settings)
    path = RESULTS / "stuck.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        scratch.new_encoder("document", splits.train["text"], folder)
        encoder = TextEncoder.from_folder(folder, LENGTH)
        vocabulary = configs.read_config(folder)["vocab_size"]
        train, dev = (Examples.tokenized(part, encoder, "tokenizing") for part in (splits.train, splits.test))
    for setup in SETUPS:
        if setup.name in arguments.only and setup.name not in [row["name"] for row in rows]:
            config = configs.model_config(scratch.new_config(setup.size) | {"vocab_size": vocabulary})
            rows.append(run(setup, config, train, dev, arguments.steps))
            write_json(path, rows)
    write_results(rows, float(np.mean(dev.labels)), float(np.mean(train.labels[:SCORED])))


def write_results(rows, dev_majority, train_majority):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lines = [
        "# Why is accuracy stuck?",
        "",
        f"Made by `python benchmarks/stuck.py --steps N`. Training accuracy is that of {SCORED:,} training sentences. "
        f"The more frequent label alone gets {train_majority:.1%} of them, and {dev_majority:.1%} of the development "
        "split, with correlation 0. Losses: the mean of the last five that were recorded, a batch each; all see the "
        "same batches.",
        "",
        "| name | set-up | steps | loss | training accuracy | dev accuracy | dev Matthews correlation |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    figure, (large, small) = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    for row in rows:
        losses = [point["loss"] for point in row["curve"]]
        lines.append(f"| {row['name']} | {row['what']} | {row['steps']:,} | {np.mean(losses[-5:]):.3f} | "
                     f"{row['train_accuracy']:.1%} | {row['dev_accuracy']:.1%} | "
                     f"{row['dev_matthews_correlation']:.3f} |")  # fmt: skip
        smooth = np.convolve(losses, np.full(5, 1 / 5), "valid")
        axes = small if row["name"].startswith(SMALL.name) else large
        axes.plot([point["step"] for point in row["curve"][2:-2]], smooth, label=row["name"])
    large.set(xlabel="step", ylabel="training loss", title="The tutorial's size")
    small.set(xlabel="step", title="A small one, and one thing of it broken")
    for axes in (large, small):
        axes.legend()
    figure.savefig(RESULTS / "stuck.png", dpi=120)
    write_text(RESULTS / "stuck.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
