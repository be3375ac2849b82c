"""Rows that may be mislabelled: a simple form of confident learning (Northcutt et al. 2021, arXiv:1911.00068)."""

import numpy as np

from tfbert.data.columns import COLUMNS, PLACE, places_of
from tfbert.data.splits import keys_of

PARTS = ("train", "held out", "test")
LEAST = 0.5  # probability of another label
TIMES = 5  # that of the label given


def suspects(probabilities, labels):
    """Row numbers of the texts whose label may be wrong, the likeliest first, and the label that fits each better: two
    int (M,).

    probabilities: float (N, L), by models that did not learn from the text; labels: int (N,). A text is suspect where
    another label has the probability LEAST, and is TIMES as likely as the one given; they are ranked by how far it is
    ahead (section 3.2 there). Labels are rarely wrong, so that it takes more than a likelier one: where labels can
    hardly be told, what section 3.1 counts would be half of the texts (benchmarks/mislabelled.py). Where the label
    given has the probability 0, the model learnt nothing of it, and the text is no suspect.
    """
    rows = np.arange(len(labels))
    own, others = probabilities[rows, labels], probabilities.copy()
    others[rows, labels] = -1
    best = others.argmax(axis=1)
    of_best = others[rows, best]
    wrong = np.flatnonzero((own > 0) & (of_best >= LEAST) & (of_best >= TIMES * own))
    wrong = wrong[np.argsort((own - of_best)[wrong], kind="stable")]
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
    """The suspects among a job's texts as rows for a table, a list of dicts; empty where nothing was held out.

    Looked at are those of which job.held_out has probabilities: by regression the first texts of train; by the model
    itself, where they are one's own, those held out and those to test on. place: of one's own data, file and line of
    the text; part: one of PARTS; suggested: the label that fits better, or the labels; probability: of what it changes,
    and of what was given, without this text.
    """
    from datasets import concatenate_datasets

    if not job.held_out:
        return []
    counts = [len(each) for each in job.held_out]
    examples, splits = (job.train, job.validation, job.test), (job.splits.train, job.splits.validation, job.splits.test)
    labels = np.concatenate([part.labels[:count] for part, count in zip(examples, counts)])
    parts, said = np.repeat(PARTS[: len(counts)], counts), job.held_out
    if job.several:  # a label of which a model learnt nothing has the same probability in all texts
        said = [np.where(np.ptp(each, axis=0) > 0, each, part.labels[:count])
                for each, part, count in zip(said, examples, counts)]  # fmt: skip
    said = np.concatenate(said)
    rows, others = (suspects_of_several if job.several else suspects)(said, labels)
    shown = [name for name in (PLACE, *COLUMNS) if name in job.splits.train.column_names]
    found = concatenate_datasets(
        [part.select_columns(shown).select(range(count)) for part, count in zip(splits, counts)]
    ).select(rows)
    places = places_of(found)
    return [
        ({"place": places[number]} if places else {})
        | {"part": str(parts[row])}
        | as_given_and_suggested(said[row], labels[row], other, job.splits.label_names)
        | {"text": text}
        for number, (row, other, text) in enumerate(zip(rows, others, keys_of(found)))
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
