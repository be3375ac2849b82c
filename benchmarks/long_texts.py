"""What windows give to reviews that are longer than what a model reads: by overlap, and by what the last window counts.

usage: python benchmarks/recipes.py --name quick -- ; python benchmarks/long_texts.py FOLDER [--reviews 5000]

FOLDER is the model that recipes.py leaves in its --work folder; the reviews are those of other films that it is judged
by, of IMDb's train split. The first half of them is for choosing, the second tells what the choice is worth. Writes
results/long_texts.md.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from common import RESULTS, commit
from recipes import split_of_train

from tfbert.common.files import write_text
from tfbert.data.batches import by_length, pad, padded_length
from tfbert.data.tokenizing import TextEncoder
from tfbert.data.windows import combined, places
from tfbert.inference.predicting import Predictor
from tfbert.report.calibration import cross_entropies

OVERLAPS, LASTS = (0.0, 0.25, 0.5), (1, 2, 3, 4)


def main():
    arguments = parser_of(__doc__, 5000).parse_args()
    texts, labels = some_reviews(arguments.work, arguments.reviews)
    predictor = Predictor(arguments.model)
    tokenizer, length = predictor.encoder.tokenizer, predictor.encoder.max_seq_length
    cut, whole = (TextEncoder(tokenizer, length, long_texts=kind) for kind in ("cut", "windows"))
    ids, lengths, _ = whole(texts)
    is_long = np.array(lengths) > length
    rows = [row_of("cut: head+tail", logits_of(predictor, cut(texts)[0]), labels, is_long, 1.0)]
    for overlap in OVERLAPS:
        windows, owners = [], []
        for owner, each in enumerate(ids):
            words = each[1:-1]
            for start in places(len(words), length - 2, overlap):
                windows.append([each[0], *words[start : start + length - 2], each[-1]])
                owners.append(owner)
        cost = sum(map(len, windows)) / sum(np.minimum(lengths, length))
        of_windows = logits_of(predictor, windows)
        rows += [
            row_of(f"windows, overlap {overlap}, last counts {last}", combined(of_windows, owners, last), labels,
                   is_long, cost)
            for last in LASTS
        ]  # fmt: skip
        print("\n".join(rows[-len(LASTS) :]), flush=True)
    head = [
        "# Long reviews: cut, or read in windows\n",
        f"`python benchmarks/long_texts.py FOLDER`, commit {commit()}: {len(texts):,} reviews of films that the model "
        f"({length} tokens) has not read, {is_long.sum():,} of them longer. Accuracy of the long ones in the first and "
        "in the second half, of all, their log loss, and tokens read for each when cut.\n",
        "| | long, first half | long, second half | long | all | log loss | tokens |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    write_text(RESULTS / "long_texts.md", "\n".join([*head, *rows, ""]))


def parser_of(description, reviews, name="model", shown="FOLDER"):
    """An ArgumentParser of what benchmarks with reviews of other films take.

    reviews: how many, by default; name: of the folder that comes first; shown: what the usage calls it.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(name, metavar=shown)
    parser.add_argument("--reviews", type=int, default=reviews)
    parser.add_argument("--work", default=tempfile.gettempdir() + "/tfbert-recipes", help="as of recipes.py")
    return parser


def some_reviews(work, count):
    """Texts, a list of str, and labels, int (N,), of so many reviews in random order. work: as of recipes.py."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(split_of_train(Path(work), None) / "test.parquet")
    order = np.random.default_rng(0).permutation(len(table))[:count]
    return table.column("text").take(order).to_pylist(), np.array(table.column("label").take(order))


def logits_of(predictor, token_ids):
    """float32 (N, L) of token ids that the model can read."""
    logits = np.zeros((len(token_ids), len(predictor.labels)), np.float32)
    for rows in by_length([len(ids) for ids in token_ids], 32):
        batch = [token_ids[row] for row in rows]
        length = padded_length(max(map(len, batch)), predictor.encoder.max_seq_length)
        logits[rows] = predictor.logits_of_batch(pad(batch, length))
    return logits


def row_of(name, logits, labels, is_long, cost):
    right = logits.argmax(axis=1) == labels
    first = np.arange(len(labels)) < len(labels) // 2
    shares = [right[is_long & first], right[is_long & ~first], right[is_long], right]
    figures = " | ".join(f"{100 * each.mean():.2f}" for each in shares)
    return f"| {name} | {figures} | {cross_entropies(logits, labels).mean():.4f} | {cost:.2f} |"


if __name__ == "__main__":
    main()
