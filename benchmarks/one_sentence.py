"""One sentence on its way through a trained model, with the numbers in between, and one training step.

usage: python benchmarks/one_sentence.py [FOLDER]

FOLDER: what train.py wrote, a BERT with a pooler; default output. Writes results/one_sentence.md, which
theory_notes.md explains, and two pictures: docs/way.png and, of one head of the encoder that train.py starts from by
default, docs/attention.png.
"""

import json
import sys
from pathlib import Path

import numpy as np
from common import RESULTS

from tfbert.model.backend import load_keras

load_keras()

import tensorflow as tf

from tfbert.common.errors import run
from tfbert.common.files import write_text
from tfbert.data.batches import pad
from tfbert.data.sources import find_encoder
from tfbert.data.tokenizing import TextEncoder
from tfbert.model.configs import read_config, with_dropout
from tfbert.model.folders import load_classifier
from tfbert.report.calibration import softmax
from tfbert.report.plots import Picture
from tfbert.training.settings import TrainSettings
from tfbert.training.step import compile_classifier

DOCS = RESULTS.parent.parent / "docs"
SENTENCE = "A dull, overlong mess."
OTHERS = ["The film was boring and far too long.", "Der Film war langweilig und viel zu lang."]
PAIRS = [("##long", "over"), ("mess", "dull")]
BATCH = {
    "This movie is absolutely wonderful and inspiring.": "positive",
    "The plot has holes, and still I laughed all evening.": "positive",
    "Two hours of my life that I will never get back.": "negative",
    "A waste of a fine cast.": "negative",
}
SIZES = ["max_train_samples", "max_eval_samples", "max_seq_length"]
RATE = 1e-5  # of the one step
SHOWN = 16  # numbers of each vector in the picture


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "output"
    config = read_config(folder)
    without_dropout = TrainSettings(hidden_dropout=0.0, attention_dropout=0.0)
    model, _ = load_classifier(folder, with_dropout(config, without_dropout) | {"classifier_dropout": 0.0})
    encode, labels = TextEncoder.from_folder(folder, 64), list(model.config.id2label.values())
    temperature = config["tfbert"].get("temperature", 1.0)

    way = follow(model, encode, SENTENCE)
    chances = softmax(way["logits"][None] / temperature)[0]
    lines = [
        f"# One sentence\n\nMade by `python benchmarks/one_sentence.py`, after {command_of(folder)}.\n",
        f"| “{SENTENCE}” | |\n| --- | --- |",
        f"| pieces | {' '.join(f'`{piece}`' for piece in way['pieces'])} |",
        f"| their numbers | {' '.join(map(str, way['ids']))} |",
        *(f"| `dull` {where} | {some(vectors[way['pieces'].index('dull')])} |" for where, vectors in named_states(way)),
        f"| likeness of two pieces (cosine, mean) at these four places | "
        f"{', '.join(f'{likeness(vectors):.2f}' for _, vectors in named_states(way))} |",
        f"| `[CLS]` after the last block | {some(way['states'][-1][0])} |",
        f"| the same through the pooler | {some(way['pooled'])} |",
        f"| logits: {', '.join(labels)} | {', '.join(f'{logit:.2f}' for logit in way['logits'])} |",
        f"| divided by the temperature, {temperature:.2f} | "
        f"{', '.join(f'{logit / temperature:.2f}' for logit in way['logits'])} |",
        f"| probabilities | {', '.join(f'{chance:.1%}' for chance in chances)} |",
        "\n| text | pieces | label |\n| --- | --- | --- |",
    ]
    for text in OTHERS:
        other = follow(model, encode, text)
        chance = softmax(other["logits"][None] / temperature)[0]
        lines.append(f"| {text} | {' '.join(f'`{piece}`' for piece in other['pieces'][1:-1])} | "
                     f"{labels[chance.argmax()]} {chance.max():.1%} |")  # fmt: skip
    draw_way(way, labels, chances)
    lines += [draw_attention(), *one_step(model, encode, labels)]
    write_text(RESULTS / "one_sentence.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


def command_of(folder):
    """The command that made a run, as far as its metrics.json knows it, and how good its model is."""
    figures = json.loads(Path(folder, "metrics.json").read_text())
    flags = " ".join(f"--{name} {figures['settings'][name]}" for name in SIZES)
    return f"`python train.py {flags}` (accuracy {figures['accuracy']:.1%} on {figures['n_test']:,} test texts)"


def some(vector, count=4):
    return " ".join(f"{number:.2f}" for number in vector[:count]) + f" … ({len(vector)} numbers)"


def named_states(way):
    last = len(way["states"]) - 1
    names = ["as it begins", *(f"after block {number}" for number in range(1, last + 1))]
    return [(names[number], way["states"][number]) for number in (0, 1, last // 2, last)]


def likeness(vectors):
    """The mean cosine of two different ones of the vectors, float (S, D)."""
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return ((units @ units.T).sum() - len(units)) / (len(units) * (len(units) - 1))


def follow(model, encode, text):
    """All that a model computes of one text: pieces, ids, states (S, D) before and after each block, weights
    (H, S, S) of each block's attention, what is pooled, logits.
    """
    ids = np.array(encode([text])[0], np.int32)
    encoder, length = model.encoder, ids.shape[1]
    tokens = tf.reshape(encoder.embeddings(ids), (-1, model.config.hidden_size))
    mask, states, weights = tf.zeros((1, 1, 1, length)), [np.array(tokens)], []
    for block in encoder.blocks:
        query, key, _ = block.attention.parted(block.attention.qkv(tokens), length)
        scores = tf.matmul(query, key, transpose_b=True)[0] / np.sqrt(block.attention.head_size)
        weights.append(np.array(tf.nn.softmax(scores)))
        tokens = block(tokens, mask)
        states.append(np.array(tokens))
    return {"pieces": [encode.tokenizer.id_to_token(i) for i in ids[0]], "ids": ids[0], "states": states,
            "weights": weights, "pooled": np.array(model.pooled(*model.read({"input_ids": ids})))[0],
            "logits": np.array(model({"input_ids": ids}))[0]}  # fmt: skip


def draw_way(way, labels, chances):
    """docs/way.png: the pieces, the first numbers of their vectors between the blocks, of [CLS] alone, the label."""
    states = named_states(way)
    with Picture(DOCS, "way", (11, 3.6)) as axes:
        figure = axes.figure
        axes.remove()
        figure.get_layout_engine().set(wspace=0.15)
        parts = figure.subplots(1, len(states) + 2)
        for part, (where, vectors) in zip(parts, states):
            part.imshow(vectors[:, :SHOWN], cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
            part.set_title("embeddings" if where == "as it begins" else where, fontsize=10)
        parts[len(states)].imshow(way["pooled"][None, :SHOWN], cmap="RdBu", vmin=-1, vmax=1)
        parts[len(states)].set_title("[CLS], pooler", fontsize=10)
        for part in parts[:-1]:
            part.set(xticks=[], yticks=[])
        for part in parts[1:]:
            part.annotate("", (-0.02, 0.5), (-0.18, 0.5), "axes fraction", "axes fraction", {"arrowstyle": "->"})
        parts[len(states)].set_box_aspect(0.15)
        parts[0].set_yticks(range(len(way["pieces"])), way["pieces"])
        parts[-1].bar(labels, chances)
        for place, chance in enumerate(chances):
            parts[-1].annotate(f"{chance:.1%}", (place, chance), (0, 3), textcoords="offset points", ha="center")
        parts[-1].set(ylim=(0, 1.12), title="probability", yticks=[])
        parts[-1].title.set_fontsize(10)


def draw_attention():
    """docs/attention.png: of all heads, those in which one piece of PAIRS looks most at the other. Returns what they
    are, in words.
    """
    source = find_encoder()
    model, _ = load_classifier(source.folder)
    way = follow(model, TextEncoder.from_folder(source.folder, 64), SENTENCE)
    pieces, weights = way["pieces"], np.array(way["weights"])  # (layers, H, S, S)
    lines = [
        f"\nAttention in {source.name}, before any fine-tuning. Of its {weights.shape[0] * weights.shape[1]} heads,"
    ]
    with Picture(DOCS, "attention", (9.5, 5.3)) as axes:
        figure = axes.figure
        axes.remove()
        for part, (looks, is_looked_at) in zip(figure.subplots(1, len(PAIRS)), PAIRS):
            of_heads = weights[:, :, pieces.index(looks), pieces.index(is_looked_at)]
            layer, head = np.unravel_index(of_heads.argmax(), of_heads.shape)
            draw_head(part, weights[layer, head], pieces)
            part.set_title(f"block {layer + 1}, head {head + 1}", fontsize=11)
            lines.append(f"in head {head + 1} of block {layer + 1} `{looks}` gives `{is_looked_at}` the most: "
                         f"{of_heads.max():.2f} (on average {of_heads.mean():.2f}).")  # fmt: skip
    on_ends = weights[:, :, :, [0, -1]].sum(axis=-1).mean(axis=-1)  # (layers, H)
    lines.append(f"{(on_ends > 0.5).sum()} of them give more than half of all weight to `[CLS]` and `[SEP]`.")
    return "\n".join(lines)


def draw_head(axes, weights, pieces):
    axes.imshow(weights, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*weights.shape):
        if weights[row, column] >= 0.05:
            axes.text(column, row, f"{weights[row, column]:.1f}", ha="center", va="center", fontsize=8,
                      color="white" if weights[row, column] > 0.5 else "black")  # fmt: skip
    axes.set_xticks(range(len(pieces)), pieces, rotation=45)
    axes.set_yticks(range(len(pieces)), pieces)
    axes.set(xlabel="is looked at (key)", ylabel="looks (query)")


def one_step(model, encode, labels):
    """Lines on one training step with four texts, at a rate of RATE."""
    ids, lengths, _ = encode(list(BATCH))
    inputs = pad(ids, max(lengths))
    targets = np.array([labels.index(label) for label in BATCH.values()], np.int32)
    weight = model.classifier.kernel
    compile_classifier(model, TrainSettings(learning_rate=RATE, warmup_ratio=0.0), 1, xla=False)

    def measured():
        chances = softmax(np.array(model(inputs)))[np.arange(len(targets)), targets]
        return -np.log(chances).mean(), chances, float(weight[0, 0])

    with tf.GradientTape() as tape:
        loss = model.compute_loss(inputs, targets, model(inputs))
    gradient = float(tape.gradient(loss, weight.value)[0, 0])
    before = measured()
    model.train_step((inputs, targets))
    after = measured()
    rows = [f"| {text} ({label}) | {one:.1%} | {other:.1%} |"
            for (text, label), one, other in zip(BATCH.items(), before[1], after[1])]  # fmt: skip
    return [
        f"\n| one step at a learning rate of {RATE:g}: probability of the right label | before | after |",
        "| --- | ---: | ---: |",
        *rows,
        f"| loss, the mean of -log of these | {before[0]:.4f} | {after[0]:.4f} |",
        f"| one of the weights, whose gradient is {gradient:.5f} | {before[2]:.6f} | {after[2]:.6f} |",
    ]


if __name__ == "__main__":
    sys.exit(run(main))
