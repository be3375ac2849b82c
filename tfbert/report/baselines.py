"""What a model must beat to be worth its cost."""

import re
import time
import warnings

import numpy as np

from tfbert.report.metrics import score

BASELINE_WEIGHTS = 10_000_000  # of logistic regression, at most: L-BFGS holds some 25 float64 for each
UNSPACED = re.compile("[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
LONG_WORD = 12  # signs between spaces on average: more than any language has that parts its words
WORDS = {"ngram_range": (1, 2), "min_df": 2, "sublinear_tf": True}
CHARACTERS = WORDS | {"analyzer": "char", "ngram_range": (1, 3)}


def baselines(metric, train, test, train_labels, test_labels):
    """What a model must beat to be worth its cost, on the same texts, as a dict: scores by one of METRICS, and seconds.

    baseline_*: TF-IDF of words and word pairs with logistic regression (Wang and Manning 2012 show how strong such
    baselines are), where texts have no spaces between words of characters, if a fifth of train that is held out for it
    says so; baseline says which; baseline_right: whether it has a text right, bool (M,); majority_*: the most frequent
    label for every text. train, test: lists of str; labels: int (N,), or float (N, L).
    """
    start, several = time.perf_counter(), train_labels.ndim == 2
    truth = train_labels.astype(int)
    of_characters = lacks_spaces(train) and characters_do_better(metric, train, truth)
    predicted = predictions(CHARACTERS if of_characters else WORDS, train, truth, test)
    frequent = truth.sum(axis=0).argmax() if several else np.bincount(truth).argmax()
    majority = np.full_like(predicted, frequent)
    if several:
        majority[:] = np.arange(predicted.shape[1]) == frequent
    return {
        "baseline": f"TF-IDF of {'characters' if of_characters else 'words'}",
        "baseline_right": (predicted == test_labels.astype(int)).reshape(len(predicted), -1).all(axis=1),
        **{f"baseline_{name}": score(name, predicted, test_labels) for name in (metric, "f1_macro")},
        **{f"majority_{name}": score(name, majority, test_labels) for name in dict.fromkeys((metric, "accuracy"))},
        "baseline_seconds": time.perf_counter() - start,
    }


def lacks_spaces(texts):
    """Whether words are not parted by spaces, as in Chinese, Japanese or Thai, to judge by some of the texts."""
    sample = " ".join(texts[:: len(texts) // 1000 + 1])
    letters = sum(map(str.isalpha, sample))
    return 5 * len(UNSPACED.findall(sample)) > letters or len(sample) > (LONG_WORD + 1) * len(sample.split())


def characters_do_better(metric, texts, labels):
    """Whether TF-IDF of characters is at least as good as that of words on a fifth of these texts, learnt from the
    others.
    """
    order = np.random.default_rng(0).permutation(len(texts))
    held_out, rest = np.split(order, [len(texts) // 5 or 1])
    of_rest, of_held_out = ([texts[row] for row in rows] for rows in (rest, held_out))
    words, characters = (
        score(metric, predictions(kind, of_rest, labels[rest], of_held_out), labels[held_out])
        for kind in (WORDS, CHARACTERS)
    )
    return characters >= words


def predictions(kind, train, labels, test):
    """What logistic regression on TF-IDF says of the texts in `test`, int, shaped as labels. kind: how a
    TfidfVectorizer counts; labels: int (N,) or (N, L). Where no two texts have anything in common, or all have the same
    label, the most frequent label.
    """
    from sklearn.dummy import DummyClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    several = labels.ndim == 2
    most = BASELINE_WEIGHTS // (labels.shape[1] if several else labels.max() + 1)
    vectorizer = TfidfVectorizer(**kind, max_features=most)
    classifier = LogisticRegression(C=10, max_iter=1000)
    try:
        features = vectorizer.fit_transform(train), vectorizer.transform(test)
    except ValueError:  # nothing stands in two texts
        classifier = DummyClassifier()
        features = np.zeros((len(train), 1)), np.zeros((len(test), 1))
    if several:
        classifier = OneVsRestClassifier(classifier)
    elif len(np.unique(labels)) == 1:
        classifier = DummyClassifier()
    with warnings.catch_warnings(category=UserWarning, action="ignore"):  # of labels that no text or every text has
        return classifier.fit(features[0], labels).predict(features[1])
