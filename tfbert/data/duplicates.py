"""Texts that stand more than once: word for word or nearly, with the same label or with others, in train and test."""

import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from tfbert.common.text import agreeing, counted

SIGNS = re.compile(r"[\W_]+")


@dataclass
class Repeats:
    """What stands more than once; a text is nearly another if it has the same words in the same order.

    exact, near: rows of train, beyond the first, whose text stood before, word for word or nearly; in_test,
    nearly_in_test: different texts of test that stand in train. contradictions: a list of (text, {label: rows}) of all
    parts, exact or near, the most rows first; the label of several that hold is a tuple.
    """

    exact: int = 0
    near: int = 0
    in_test: int = 0
    nearly_in_test: int = 0
    contradictions: list = field(default_factory=list)

    def in_words(self, unit):
        """What is to be said of it, a list of sentences."""
        found = []
        if self.in_test:
            more = f", and {self.nearly_in_test:,} more with the same words" * bool(self.nearly_in_test)
            stand = agreeing(self.in_test, "stands", "stand")
            found.append(f"{counted(self.in_test, unit)} {stand} both in train and in test{more}")
        elif self.nearly_in_test:
            have = agreeing(self.nearly_in_test, "has", "have")
            found.append(f"{counted(self.nearly_in_test, unit)} to test on {have} the words of one to "
                         "train on")  # fmt: skip
        repeat = agreeing(self.exact or self.near, "repeats", "repeat")
        if self.exact:
            more = f", and {self.near:,} more its words" * bool(self.near)
            found.append(f"{self.exact:,} of the {unit} to train on {repeat} another's text{more}")
        elif self.near:
            found.append(f"{self.near:,} of the {unit} to train on {repeat} another's words")
        if self.contradictions:
            rows = sum(sum(labels.values()) for _, labels in self.contradictions)
            stand = agreeing(len(self.contradictions), "stands", "stand")
            found.append(f"{counted(len(self.contradictions), unit)} {stand} with different labels, in {rows:,} rows")
        return found


def repeats(texts, labels, test_texts, others=()):
    """The Repeats of train and test. texts, test_texts: lists of str; labels: of train, (N,) or (N, L); others: pairs
    of such texts and labels, of the other parts, for contradictions.
    """
    found, firsts, labelled, parts = Repeats(), {}, {}, [(texts, labels), *others]
    words = {text: words_of(text) for part in (test_texts, *(part for part, _ in parts)) for text in part}
    for text in texts:
        stood = firsts.setdefault(words[text], set())
        if text in stood:
            found.exact += 1
        elif stood:
            found.near += 1
        stood.add(text)
    for part, of_part in parts:
        for text, label in zip(part, in_tuples(of_part)):
            least, counts = labelled.get(words[text], (text, Counter()))
            counts[label] += 1
            labelled[words[text]] = min(least, text), counts
    different = [each for each in labelled.values() if len(each[1]) > 1]
    found.contradictions = sorted(different, key=lambda each: -each[1].total())
    train = set(texts)
    for text in set(test_texts):
        if text in train:
            found.in_test += 1
        elif words[text] in firsts:
            found.nearly_in_test += 1
    return found


def in_tuples(labels):
    """Labels, (N,) or (N, L), as numbers or tuples of them."""
    return [tuple(label) if isinstance(label, list) else label for label in np.asarray(labels).tolist()]


def words_of(text):
    """A text without case, signs and what of space is too much; one of signs alone stays as it is."""
    return SIGNS.sub(" ", text.casefold()).strip() or text
