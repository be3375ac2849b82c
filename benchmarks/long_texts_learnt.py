"""What learnt weights of a long text's windows give beside the fixed ones of `train.py`, where the last counts twice.

usage: python benchmarks/recipes.py --name quick -- ; python benchmarks/long_texts_learnt.py FOLDER [--reviews 5000]

FOLDER and the reviews are those of long_texts.py, of which only the long ones stay. What a row learns, it learns on one
half of them and is judged on the other, and the other way round. A window's weight is the softmax, over the windows of
its text, of a linear score: of its place, of how far apart its logits are, and of its vector as well, which is a small
attention (as over the words in Yang et al. 2016, "Hierarchical attention networks"). The last row learns a new layer on
the mean and the last of the vectors, in place of the model's own (Pappagari et al. 2019, arXiv:1910.10781, learn an
LSTM). Writes results/long_texts_learnt.md.
"""

import numpy as np
from common import RESULTS, commit
from long_texts import logits_of, parser_of, some_reviews

from tfbert.common.files import write_text
from tfbert.data.batches import by_length, pad, padded_length
from tfbert.data.tokenizing import TextEncoder
from tfbert.data.windows import combined
from tfbert.inference.predicting import Predictor
from tfbert.report.calibration import cross_entropies

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)  # on the squares of the vectors' part; the best on a fifth of what it learns from


def main():
    arguments = parser_of(__doc__, 5000).parse_args()
    texts, labels = some_reviews(arguments.work, arguments.reviews)
    predictor = Predictor(arguments.model)
    length = predictor.encoder.max_seq_length
    encoder = TextEncoder(predictor.encoder.tokenizer, length, long_texts="windows")
    ids, lengths, _ = encoder(texts)
    is_long = np.array(lengths) > length
    windows, owners = encoder.in_windows([each for each, long in zip(ids, is_long) if long])
    labels, owners = labels[is_long], np.array(owners)
    logits, vectors = logits_of(predictor, windows), vectors_of(arguments.model, predictor, windows)
    place = np.stack([np.diff(owners, prepend=-1) != 0, np.diff(owners, append=-1) != 0], axis=1)  # first, last
    sure = np.ptp(logits, axis=1)[:, None]
    vectors = (vectors - vectors.mean(axis=0)) / vectors.std()
    rows = [
        ("the mean", combined(logits, owners, 1)),
        ("the last one counts twice (`train.py`)", combined(logits, owners)),
        ("weights learnt by place", learnt(logits, owners, labels, place)),
        ("by place and by how far its logits are apart", learnt(logits, owners, labels, np.hstack([place, sure]))),
        ("by place and vector: an attention", learnt(logits, owners, labels, place, vectors)),
        ("a new layer on the mean and the last of the vectors", new_layer(vectors, owners, labels)),
    ]
    head = [
        "# Long reviews: weights of windows that are learnt\n",
        f"`python benchmarks/long_texts_learnt.py FOLDER`, commit {commit()}: {len(labels):,} reviews of films that "
        f"the model has not read, longer than its {length} tokens, {len(windows):,} windows. One half is learnt from, "
        f"the other judged, and the other way round; a standard error is {standard_error(labels, rows[1][1]):.2f} "
        "points, that of a difference less.\n",
        "| a window's weight | accuracy | log loss |",
        "| --- | ---: | ---: |",
    ]
    lines = [f"| {name} | {100 * right(labels, found).mean():.2f} | {cross_entropies(found, labels).mean():.4f} |"
             for name, found in rows]  # fmt: skip
    write_text(RESULTS / "long_texts_learnt.md", "\n".join([*head, *lines, ""]))
    print("\n".join(lines))


def vectors_of(folder, predictor, windows):
    """What the last layer reads of each window, the pooler's vector, float32 (W, D)."""
    from tfbert import TFAutoModel

    model = TFAutoModel.from_pretrained(folder)
    vectors = np.zeros((len(windows), model.config.hidden_size), np.float32)
    for rows in by_length([len(ids) for ids in windows], 32):
        batch = [windows[row] for row in rows]
        inputs = pad(batch, padded_length(max(map(len, batch)), predictor.encoder.max_seq_length))
        vectors[rows] = model(inputs).pooler_output
    return vectors


def learnt(logits, owners, labels, features, vectors=None):
    """The logits of texts, float32 (N, L), each by weights that the other half of the texts has taught."""
    found = np.zeros((len(labels), logits.shape[1]), np.float32)
    of_text = np.arange(len(labels)) % 2
    columns = features if vectors is None else np.hstack([features, vectors])
    penalised = np.arange(columns.shape[1]) >= features.shape[1]
    for half in (0, 1):
        known = of_text != half
        penalty = 0.0
        if vectors is not None:
            some = known & (np.arange(len(labels)) % 10 < 8)
            losses = [
                cross_entropies(
                    weighted(logits, owners, columns @ fitted(logits, owners, labels, columns, some, each * penalised)),
                    labels,
                )[known & ~some].mean()
                for each in PENALTIES
            ]
            penalty = PENALTIES[int(np.argmin(losses))]
        scores = columns @ fitted(logits, owners, labels, columns, known, penalty * penalised)
        found[~known] = weighted(logits, owners, scores)[~known]
    return found


def fitted(logits, owners, labels, columns, known, penalties):
    """What each column of the score counts, float (K,): the least cross-entropy of the known texts."""
    from scipy.optimize import minimize

    onehot, starts = np.eye(logits.shape[1])[labels], np.flatnonzero(np.diff(owners, prepend=-1))

    def loss(counts):
        weights = softmax_of_texts(columns @ counts, owners)
        combined_logits = np.add.reduceat(weights[:, None] * logits, starts)
        exponentials = np.exp(combined_logits - combined_logits.max(axis=1, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        value = -np.log(probabilities[known][onehot[known] == 1]).mean() + (penalties * counts**2).sum()
        by_logit = (probabilities - onehot) * known[:, None] / known.sum()
        by_weight = (by_logit[owners] * logits).sum(axis=1)
        mean = np.add.reduceat(weights * by_weight, starts)[owners]
        return value, columns.T @ (weights * (by_weight - mean)) + 2 * penalties * counts

    return minimize(loss, np.zeros(columns.shape[1]), jac=True, method="L-BFGS-B").x


def softmax_of_texts(scores, owners):
    """Weights of windows, float (W,), that add up to 1 in each text."""
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    exponentials = np.exp(scores - np.maximum.reduceat(scores, starts)[owners])
    return exponentials / np.add.reduceat(exponentials, starts)[owners]


def weighted(logits, owners, scores):
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    return np.float32(np.add.reduceat(softmax_of_texts(scores, owners)[:, None] * logits, starts))


def new_layer(vectors, owners, labels):
    """Logits by logistic regression on the mean and the last of a text's vectors, learnt from the other half."""
    from sklearn.linear_model import LogisticRegressionCV

    starts, lasts = np.flatnonzero(np.diff(owners, prepend=-1)), np.flatnonzero(np.diff(owners, append=-1))
    means = np.add.reduceat(vectors, starts) / np.bincount(owners)[:, None]
    inputs, found = np.hstack([means, vectors[lasts]]), np.zeros((len(labels), 2), np.float32)
    for half in (0, 1):
        judged = np.arange(len(labels)) % 2 == half
        model = LogisticRegressionCV(Cs=np.logspace(-5, 0, 6), cv=5, scoring="neg_log_loss", max_iter=1000,
                                     l1_ratios=(0,), use_legacy_attributes=False)  # fmt: skip
        found[judged, 1] = model.fit(inputs[~judged], labels[~judged]).decision_function(inputs[judged])
    return found


def right(labels, logits):
    return logits.argmax(axis=1) == labels


def standard_error(labels, logits):
    return 100 * right(labels, logits).std() / np.sqrt(len(labels))


if __name__ == "__main__":
    main()
