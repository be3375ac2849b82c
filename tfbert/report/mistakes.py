"""The most confident mistakes: found, and shown."""

import numpy as np

from tfbert.report.calibration import confidences, sigmoid, softmax
from tfbert.report.markdown import table
from tfbert.report.metrics import decided

BOLD, FAINT = 5, 0.15  # words in bold; of the strongest word's score, below which none is


def worst_mistakes(logits, test, texts, label_names, thresholds=0.5, count=10):
    """The mistakes with the highest confidence, the worst first; of several labels, that of the worst decision counts.

    logits: at the model's temperature; test: Examples; texts: theirs, a list of str. Returns dicts with row, label,
    predicted, about (the label that was decided so), confidence, tokens, text.
    """
    names, labels = np.array(label_names), test.labels
    if labels.ndim == 2:
        probabilities, predicted = sigmoid(logits), decided(logits, True, thresholds)
        wrong_ones = predicted != labels
        decisions = np.where(wrong_ones, np.where(predicted, probabilities, 1 - probabilities), 0)
        confidence, about = decisions.max(axis=1), decisions.argmax(axis=1)
        wrong = np.flatnonzero(wrong_ones.any(axis=1))

        def named(held):
            return ", ".join(names[held.astype(bool)]) or "(none)"
    else:
        about = predicted = decided(logits, False)
        confidence, right = confidences(softmax(logits), labels)
        wrong = np.flatnonzero(~right)
        named = names.__getitem__
    rows = wrong[np.argsort(-confidence[wrong], kind="stable")[:count]]
    return [
        {
            "row": int(row),
            "label": str(named(labels[row])),
            "predicted": str(named(predicted[row])),
            "about": str(names[about[row]]),
            "confidence": float(confidence[row]),
            "tokens": int(test.full_lengths[row]),
            "text": texts[row],
        }
        for row in rows
    ]


def surest_right(logits, test, label_names, thresholds=0.5, count=3):
    """The right answers with the highest confidence, of different labels first, as worst_mistakes without the text."""
    names, labels = np.array(label_names), test.labels
    if labels.ndim == 2:
        probabilities, predicted = sigmoid(logits), decided(logits, True, thresholds)
        confidence = np.where(predicted, probabilities, 1 - probabilities).min(axis=1)
        right = (predicted == labels).all(axis=1) & labels.any(axis=1)
        said = [", ".join(names[row.astype(bool)]) for row in labels]
        about = np.where(labels, probabilities, 0).argmax(axis=1)
    else:
        confidence, right = confidences(softmax(logits), labels)
        said, about = names[labels], labels
    rows = [row for row in np.argsort(-confidence, kind="stable") if right[row]]
    firsts = {}
    for row in rows:
        firsts.setdefault(said[row], row)
    rows = list(dict.fromkeys([*firsts.values(), *rows]))[:count]
    return [{"row": int(row), "label": str(said[row]), "predicted": str(said[row]), "about": str(names[about[row]]),
             "confidence": float(confidence[row])} for row in rows]  # fmt: skip


def table_of_mistakes(rows, excerpt_words, reasons, several):
    """What worst_mistakes gives, in Markdown; a row may also say where the text stands.

    reasons: a function from the number of a test text and a label to the texts, one or two, and the words for the
    label, as inference/explaining.py gives them; several: whether several labels may hold.
    """
    if not rows:
        return ["None: every text was labelled right."]
    names = ["where"] * ("where" in rows[0]) + ["label", "predicted", "confidence", "tokens"]
    shown = [row | {"confidence": f"{row['confidence']:.1%}", "tokens": f"{row['tokens']:,}"} for row in rows]
    cells = [[row[name] for name in names] for row in shown]
    if not excerpt_words:
        return [*table(names, cells), "", "The texts are left out (`--excerpt_words 0`)."]
    cells = [
        [*each, what_mattered(*reasons(row["row"], row["about"]), excerpt_words)] for each, row in zip(cells, rows)
    ]
    return [*table([*names, "the part that mattered most"], cells), "",
            what_is_bold(several)]  # fmt: skip


def what_is_bold(several):
    """The sentence below a table with the words that mattered."""
    if several:
        return "Words that speak for one label are **bold**: where it is wrong, the one that it is most wrong on."
    return "Words that speak for what it says are **bold**."


def what_mattered(texts, words, count):
    """The part of a text, or of the two of a pair, with the weightiest so many words, in Markdown.

    words: as inference/explaining.py gives them.
    """
    if not words:
        return excerpt(texts[0], count)
    weights = np.abs([word["score"] for word in words])
    sums = np.convolve(weights, np.ones(min(count, len(words))), "valid")
    first = int(sums.argmax())
    part = words[first].get("part", 0)
    kept = [word for word in words[first : first + count] if word.get("part", 0) == part]
    spoken = [word for word in kept if word["score"] > 0 and can_be_bold(word["text"])]
    bold = sorted(spoken, key=lambda word: -word["score"])[:BOLD]
    text, place, shown = texts[part], kept[0]["start"], ""
    for word in kept:
        shown += plain(text[place : word["start"]])
        cell = plain(text[word["start"] : word["end"]])
        shown += f"**{cell}**" if word in bold and word["score"] > FAINT * weights.max() else cell
        place = word["end"]
    shown = shown.replace("****", "")  # between bold words that touch
    return "... " * bool(text[: kept[0]["start"]].strip()) + shown + " ..." * (place < len(text.rstrip()))


def can_be_bold(word):
    """Whether Markdown shows **word** as bold wherever it stands: not where it begins or ends with a sign."""
    return word[0].isalnum() and word[-1].isalnum()


def plain(text):
    """With signs that Markdown would obey as they are."""
    return text.replace("<br />", " ").replace("\\", "\\\\").replace("*", "\\*").replace("_", "\\_")


def excerpt(text, words):
    """The end of a text, where a review says most."""
    whole = " ".join(text.replace("<br />", " ").split())
    kept = " ".join(whole.split()[-words:])[-12 * words :]  # some languages have no spaces
    return kept if kept == whole else "... " + kept
