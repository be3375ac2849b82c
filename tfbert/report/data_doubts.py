"""The report's section on the data: what stands twice, what is probably mislabelled, what there is too little of."""

import numpy as np

from tfbert.common.text import agreeing
from tfbert.data.labels import shares_of
from tfbert.report.confusions import confused_pairs
from tfbert.report.markdown import one_line, table
from tfbert.report.mistakes import excerpt
from tfbert.report.suspects import TIMES, in_words

SHOWN = 20  # suspects
HEAD = {"place": "where", "part": "part", "label": "label", "probability_of_label": "its probability",
        "suggested": "fits better", "probability": "its probability", "text": "how the text ends"}  # fmt: skip
FEW = 10  # texts of a label
OFTEN = 0.1  # of the texts of a label, that another label gets


def what_may_be_wrong(record):
    """Lines of Markdown."""
    parts = (repeated, mislabelled, rare_labels, alike_labels, cut)
    lines = [line for part in parts for line in part(record)]
    return ["## What may be wrong with the data", "", *(lines or ["Nothing that was looked for."])]


def repeated(record):
    """How many texts stand more than once, and those with different labels."""
    job, repeats = record.job, record.job.splits.repeats
    sentences = repeats.in_words(job.task.unit)
    lines = [f"- {sentence[0].upper()}{sentence[1:]}." for sentence in sentences] + [""] * bool(sentences)
    words = job.settings.excerpt_words
    if repeats.contradictions and words:
        names = job.splits.label_names

        def named(label):
            return in_words(label, names) if isinstance(label, tuple) else names[label]

        rows = [[", ".join(f"{named(label)} ({count})" for label, count in counts.items()), excerpt(text, words)]
                for text, counts in repeats.contradictions[:SHOWN]]  # fmt: skip
        lines += [*table(["labels of the same text, and rows", "how it ends"], rows), ""]
    return lines


def mislabelled(record):
    """The suspects, the likeliest first."""
    job, suspects = record.job, record.job.suspects
    if not job.held_out:
        return []
    looked_at = f"{job.looked_at:,} {job.task.unit}"
    if not suspects:
        return [f"None of {looked_at} is suspected of a wrong label.", ""]
    rule = f"another label is likely, and at least {TIMES} times as likely as the one given"
    if job.several:
        rule = (f"that one of the labels is wrongly there, or missing, is at least {TIMES} times as likely as that it "
                "is right; the probabilities are of that one")  # fmt: skip
    how = (
        f"**{len(suspects):,} of {looked_at} may be mislabelled**: {rule} (after confident learning, Northcutt et al. "
        "2021). So says, of texts to train on, logistic regression on the encoder's vectors that learnt from others"
        f"{', of all others this model' * (len(job.held_out) > 1)}. Read them: hard texts are among them."
    )
    if tested := sum(row["part"] == "test" for row in suspects):
        how += (
            f" Of those to test on {tested:,} {agreeing(tested, 'is', 'are')} among them: mend there what is wrong, "
            "not what the model doubts. Figures from before and after cannot be compared, as the test is another then."
        )
    words = job.settings.excerpt_words
    shown = [row | {"text": excerpt(row["text"], words)}
             | {name: f"{row[name]:.2f}" for name in ("probability", "probability_of_label")}
             for row in suspects[:SHOWN]]  # fmt: skip
    names = [name for name in HEAD if name in shown[0] and (words or name != "text")]
    rows = [[row[name] for name in names] for row in shown]
    more = f"The {SHOWN} likeliest; all are in `suspects.csv` beside the model:" if words and len(rows) == SHOWN else ""
    return [how, "", *([more, ""] if more else []), *table([HEAD[name] for name in names], rows), ""]


def rare_labels(record):
    """Labels with too few texts to learn from."""
    labels, names = record.job.train.labels, record.job.splits.label_names
    counts = np.rint(shares_of(labels, len(names)) * len(labels)).astype(int)
    rare = [f"{names[label]} ({counts[label]})" for label in np.argsort(counts, kind="stable") if counts[label] < FEW]
    if not rare:
        return []
    more = f" and {len(rare) - SHOWN} more" if len(rare) > SHOWN else ""
    return [f"- Fewer than {FEW} texts to train on: {one_line(', '.join(rare[:SHOWN]))}{more}.", ""]


def alike_labels(record):
    """Pairs of labels that are told apart badly."""
    matrix, names = record.metrics.get("confusion_matrix"), record.job.splits.label_names
    if not matrix or len(names) == 2:
        return []
    pairs = [pair for pair in confused_pairs(matrix, len(names) ** 2) if pair[3] >= OFTEN and pair[2] >= 3]
    said = [f"{names[true]} is taken for {names[other]} ({share:.0%} of {sum(matrix[true])})"
            for true, other, _, share in pairs[:5]]  # fmt: skip
    return [f"- Told apart badly: {one_line('; '.join(said))}.", ""] if said else []


def cut(record):
    """The share of the training texts that was cut."""
    job, longest = record.job, record.job.settings.max_seq_length
    share = float((job.train.full_lengths > longest).mean())
    return [f"- {share:.1%} of the {job.task.unit} to train on were cut to {longest} tokens.", ""] if share else []
