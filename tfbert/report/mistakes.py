"""The most confident mistakes: found, and shown."""

import numpy as np

from tfbert.report.calibration import confidences, sigmoid, softmax
from tfbert.report.markdown import table
from tfbert.report.metrics import decided


def worst_mistakes(logits, test, texts, label_names, thresholds=0.5, count=10):
    """The mistakes with the highest confidence, the worst first; of several labels, that of the worst decision counts.

    logits: at the model's temperature; test: Examples; texts: theirs, a list of str. Returns dicts with row, label,
    predicted, confidence, tokens, text.
    """
    names, labels = np.array(label_names), test.labels
    if labels.ndim == 2:
        probabilities, predicted = sigmoid(logits), decided(logits, True, thresholds)
        wrong_ones = predicted != labels
        confidence = np.where(wrong_ones, np.where(predicted, probabilities, 1 - probabilities), 0).max(axis=1)
        wrong = np.flatnonzero(wrong_ones.any(axis=1))

        def named(held):
            return ", ".join(names[held.astype(bool)]) or "(none)"
    else:
        predicted, (confidence, right) = decided(logits, False), confidences(softmax(logits), labels)
        wrong = np.flatnonzero(~right)
        named = names.__getitem__
    rows = wrong[np.argsort(-confidence[wrong], kind="stable")[:count]]
    return [
        {
            "row": int(row),
            "label": str(named(labels[row])),
            "predicted": str(named(predicted[row])),
            "confidence": float(confidence[row]),
            "tokens": int(test.full_lengths[row]),
            "text": texts[row],
        }
        for row in rows
    ]


def table_of_mistakes(rows, excerpt_words):
    """What worst_mistakes gives, in Markdown."""
    if not rows:
        return ["None: every text was labelled right."]
    head = ["label", "predicted", "confidence", "tokens", "how the text ends"]
    cells = [
        [row["label"], row["predicted"], f"{row['confidence']:.4f}", f"{row['tokens']:,}",
         excerpt(row["text"], excerpt_words)]
        for row in rows
    ]  # fmt: skip
    if excerpt_words:
        return table(head, cells)
    return [*table(head[:-1], [row[:-1] for row in cells]), "", "The texts are left out (`--excerpt_words 0`)."]


def excerpt(text, words):
    """The end of a text, where a review says most."""
    whole = " ".join(text.replace("<br />", " ").split())
    kept = " ".join(whole.split()[-words:])[-12 * words :]  # some languages have no spaces
    return kept if kept == whole else "... " + kept
