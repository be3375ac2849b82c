"""Rows that are probably mislabelled: confident learning (Northcutt et al. 2021, arXiv:1911.00068)."""

import numpy as np

from tfbert.data.splits import keys_of


def suspects(probabilities, labels):
    """Row numbers of the texts whose label is probably wrong, the likeliest first, and the label that fits each better:
    two int (M,).

    probabilities: float (N, L), by models that did not learn from the text; labels: int (N,). A label fits a text where
    its probability is at least what the texts that have it get on average (section 3.1 there); a text is suspect where
    another label fits, and fits best, and they are ranked by how far it is ahead of the label given (section 3.2).
    """
    rows, count = np.arange(len(labels)), probabilities.shape[1]
    own = probabilities[rows, labels]
    texts = np.bincount(labels, minlength=count)
    usual = np.bincount(labels, own, count) / np.maximum(texts, 1)
    fits = (probabilities >= usual) & (texts > 0)
    best = np.where(fits, probabilities, -1).argmax(axis=1)
    ahead = probabilities[rows, best] - own
    wrong = np.flatnonzero(fits.any(axis=1) & (best != labels) & (ahead > 0))
    wrong = wrong[np.argsort(-ahead[wrong], kind="stable")]
    return wrong, best[wrong]


def suspects_of_several(probabilities, labels):
    """As suspects, where several labels may hold: row numbers, each once, and the label that is wrongly there or
    wrongly missing, two int (M,). Each label is a question of its own.

    probabilities: float (N, L); labels: float (N, L), zeros and ones.
    """
    found = []
    for label, (said, holds) in enumerate(zip(probabilities.T, labels.T.astype(int))):
        if 0 < holds.sum() < len(holds):
            rows, _ = suspects(np.stack([1 - said, said], axis=1), holds)
            found += [(-abs(2 * said[row] - 1), row, label) for row in rows]
    likeliest = {}
    for _, row, label in sorted(found):
        likeliest.setdefault(row, label)
    return np.array([*likeliest], int), np.array([*likeliest.values()], int)


def suspects_of(job):
    """The suspects among a job's training texts as rows for a table, a list of dicts; empty where nothing was held out.

    suggested: the label that fits better, or the labels; probability: of what it changes, and of what was given,
    without this text.
    """
    if job.held_out is None:
        return []
    said, labels = job.held_out, job.train.labels[: len(job.held_out)]
    rows, others = (suspects_of_several if job.several else suspects)(said, labels)
    texts = keys_of(job.splits.train.select(rows))
    return [
        as_given_and_suggested(said[row], labels[row], other, job.splits.label_names) | {"text": text}
        for row, other, text in zip(rows, others, texts)
    ]


def as_given_and_suggested(said, given, other, names):
    """The columns on a suspect: its label or labels, given and suggested, with probabilities."""
    if np.ndim(given):
        suggested = np.where(np.arange(len(names)) == other, 1 - given, given)
        probability = said[other] if suggested[other] else 1 - said[other]
        chances, labels = (probability, 1 - probability), (in_words(given, names), in_words(suggested, names))
    else:
        chances, labels = (said[other], said[given]), (names[given], names[other])
    return {
        "label": labels[0],
        "suggested": labels[1],
        "probability": round(float(chances[0]), 4),
        "probability_of_label": round(float(chances[1]), 4),
    }


def in_words(holds, names):
    """Those of the names that hold, zeros and ones."""
    return "+".join(name for name, yes in zip(names, holds) if yes) or "(none)"
