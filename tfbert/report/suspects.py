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


def suspects_of(job):
    """The suspects among a job's training texts as rows for a table, a list of dicts; empty where nothing was held out,
    or several labels may hold.

    suggested: the label that fits better; probability: of it, and of the label given, without this text.
    """
    if job.held_out is None or job.several:
        return []
    looked_at, names = len(job.held_out), job.splits.label_names
    labels = job.train.labels[:looked_at]
    rows, better = suspects(job.held_out, labels)
    texts = list(keys_of(job.splits.train.select(rows)))
    return [
        {
            "label": names[labels[row]],
            "suggested": names[other],
            "probability": round(float(job.held_out[row, other]), 4),
            "probability_of_label": round(float(job.held_out[row, labels[row]]), 4),
            "text": text,
        }
        for row, other, text in zip(rows, better, texts)
    ]
