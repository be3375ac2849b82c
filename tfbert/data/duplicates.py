"""Texts that stand more than once: word for word or nearly, with the same label or with others, in train and test."""

import re
from dataclasses import dataclass, field

import numpy as np

SIGNS = re.compile(r"[\W_]+")


@dataclass
class Repeats:
    """What stands more than once; a text is nearly another if it has the same words in the same order.

    exact, near: rows of train, beyond the first, whose text stood before, word for word or nearly; in_test,
    nearly_in_test: different texts of test that stand in train. contradictions: a list of (text, {label: rows}) of
    train, exact or near, the most rows first; the label of several that hold is a tuple.
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
            found.append(f"{self.in_test:,} different {unit} stand in train and in test{more}")
        elif self.nearly_in_test:
            found.append(f"{self.nearly_in_test:,} different {unit} to test on have the words of one to train on")
        if self.exact:
            more = f", and {self.near:,} more its words" * bool(self.near)
            found.append(f"{self.exact:,} of the {unit} to train on repeat another's text{more}")
        elif self.near:
            found.append(f"{self.near:,} of the {unit} to train on repeat another's words")
        if self.contradictions:
            rows = sum(sum(labels.values()) for _, labels in self.contradictions)
            found.append(f"{len(self.contradictions):,} {unit} stand with different labels, in {rows:,} rows")
        return found


def repeats(texts, labels, test_texts):
    """The Repeats of train and test. texts, test_texts: lists of str; labels: of train, (N,) or (N, L)."""
    found, firsts, labels_of, of_words = Repeats(), {}, {}, [words_of(text) for text in texts]
    for text, words, label in zip(texts, of_words, np.asarray(labels).tolist()):
        label = tuple(label) if isinstance(label, list) else label
        stood = firsts.setdefault(words, set())
        if text in stood:
            found.exact += 1
        elif stood:
            found.near += 1
        stood.add(text)
        counts = labels_of.setdefault(words, {})
        counts[label] = counts.get(label, 0) + 1
    different = [(words, counts) for words, counts in labels_of.items() if len(counts) > 1]
    different.sort(key=lambda each: -sum(each[1].values()))
    found.contradictions = [(min(firsts[words]), counts) for words, counts in different]
    train = set(texts)
    for text in set(test_texts):
        if text in train:
            found.in_test += 1
        elif words_of(text) in firsts:
            found.nearly_in_test += 1
    return found


def words_of(text):
    """A text without case, signs and what of space is too much; one of signs alone stays as it is."""
    return SIGNS.sub(" ", text.casefold()).strip() or text
