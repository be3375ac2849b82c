"""What a model must beat to be worth its cost."""

import time
import warnings

import numpy as np

from tfbert.report.metrics import score

BASELINE_WEIGHTS = 10_000_000  # of logistic regression, at most: L-BFGS holds some 25 float64 for each


def baselines(metric, train, test, train_labels, test_labels):
    """What a model must beat to be worth its cost, on the same texts, as a dict: scores by one of METRICS, and seconds.

    baseline_*: TF-IDF of words and word pairs with logistic regression (Wang and Manning 2012 show how strong such
    baselines are); majority_*: the most frequent label for every text. train, test: lists of str; labels: int (N,), or
    float (N, L).
    """
    from sklearn.dummy import DummyClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    start, several = time.perf_counter(), train_labels.ndim == 2
    truth = train_labels.astype(int)
    most = BASELINE_WEIGHTS // (train_labels.shape[1] if several else truth.max() + 1)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, max_features=most)
    classifier = LogisticRegression(C=10, max_iter=1000)
    try:
        features = vectorizer.fit_transform(train), vectorizer.transform(test)
    except ValueError:  # no word stands in two texts: what remains is the most frequent label
        classifier = DummyClassifier()
        features = np.zeros((len(train), 1)), np.zeros((len(test), 1))
    if several:
        classifier = OneVsRestClassifier(classifier)
    with warnings.catch_warnings(category=UserWarning, action="ignore"):  # of labels that no text or every text has
        predicted = classifier.fit(features[0], truth).predict(features[1])
    frequent = truth.sum(axis=0).argmax() if several else np.bincount(truth).argmax()
    majority = np.full_like(predicted, frequent)
    if several:
        majority[:] = np.arange(predicted.shape[1]) == frequent
    return {
        f"baseline_{metric}": score(metric, predicted, test_labels),
        **{f"majority_{name}": score(name, majority, test_labels) for name in dict.fromkeys((metric, "accuracy"))},
        "baseline_seconds": time.perf_counter() - start,
    }
