"""Metrics, calibration, baseline, worst mistakes."""

import math
import time

import numpy as np


def softmax(logits):
    """float (N, L) -> probabilities, float64 (N, L)."""
    exponentials = np.exp(np.float64(logits) - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def cross_entropies(logits, labels):
    """Of each text, float (N,); of each text and label, float (N, L), where labels is float (N, L), not int (N,)."""
    if labels.ndim == 2:
        return np.logaddexp(0, logits) - labels * logits
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]


def wilson_interval(successes, count, z=1.96):
    """The 95% interval of a proportion (Wilson 1927), as (low, high)."""
    share, spread = successes / count, z * z / count
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return centre - half, centre + half


def calibration_bins(probabilities, labels, bins=15):
    """Confidence, accuracy and count of each filled bin of equal width, float (bins, 3) (Guo et al. 2017)."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    member = np.minimum((confidence * bins).astype(int), bins - 1)
    filled = [member == number for number in range(bins) if (member == number).any()]
    return np.array([(confidence[rows].mean(), right[rows].mean(), rows.sum()) for rows in filled])


def expected_calibration_error(probabilities, labels):
    """The mean gap between confidence and accuracy over 15 bins, weighted by their counts (Guo et al. 2017)."""
    confidence, accuracy, count = calibration_bins(probabilities, labels).T
    return float((count / count.sum() * np.abs(confidence - accuracy)).sum())


def fit_temperature(logits, labels):
    """The divisor of the logits that makes these labels most likely.

    To be fitted on reviews that the model did not learn from (Guo et al. 2017, arXiv:1706.04599, section 4.2). It
    changes confidence, never a label. logits: float (N, L); labels: int (N,), or float (N, L) where several may hold.
    """
    from scipy.optimize import minimize_scalar

    def cross_entropy(log_temperature):
        return cross_entropies(np.float64(logits) / math.exp(log_temperature), labels).mean()

    return math.exp(minimize_scalar(cross_entropy, bounds=(math.log(0.1), math.log(10)), method="bounded").x)


def mean_and_deviation(shares):
    """In words: the mean of several shares and, in points, their standard deviation (that of a sample)."""
    return f"{np.mean(shares):.2%} +- {100 * np.std(shares, ddof=1):.2f}"


def evaluate(logits, labels, label_names, temperature=1.0):
    """All figures of a single-label test, and the curves that the plots need, as a dict.

    logits: float (N, L); labels: int (N,); temperature: what fit_temperature gave: confidence and its error are those
    of logits / temperature, the error without it is ece_before. ROC AUC and F1 are those of the second label where
    there are two, macro averages where there are more; ROC AUC is None where a label does not occur.
    """
    from sklearn import metrics

    probabilities, before = softmax(logits / temperature), softmax(logits)
    predicted, count = probabilities.argmax(axis=1), len(labels)
    classes = np.arange(len(label_names))
    right = int((predicted == labels).sum())
    low, high = wilson_interval(right, count)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        labels, predicted, labels=classes, zero_division=0
    )
    binary, roc_auc = len(label_names) == 2, None
    if binary:
        roc_auc = float(metrics.roc_auc_score(labels, probabilities[:, 1]))
    elif support.all():
        roc_auc = float(metrics.roc_auc_score(labels, probabilities, multi_class="ovr", labels=classes))
    return {
        "accuracy": right / count,
        "accuracy_low": low,
        "accuracy_high": high,
        "f1": float(f1[1] if binary else f1.mean()),
        "f1_macro": float(f1.mean()),
        "roc_auc": roc_auc,
        "log_loss": float(metrics.log_loss(labels, probabilities, labels=classes)),
        "log_loss_before": float(metrics.log_loss(labels, before, labels=classes)),
        "ece": expected_calibration_error(probabilities, labels),
        "ece_before": expected_calibration_error(before, labels),
        "temperature": temperature,
        "per_class": {
            name: dict(zip(("precision", "recall", "f1", "support"), (float(p), float(r), float(f), int(s))))
            for name, p, r, f, s in zip(label_names, precision, recall, f1, support)
        },
        "confusion_matrix": metrics.confusion_matrix(labels, predicted, labels=classes).tolist(),
    }


def accuracy_by_length(lengths, right, edges=(0, 64, 128, 192, 256, 384, 512, 1024)):
    """Rows of (from, to, count, share right) over full lengths in tokens. lengths: int (N,); right: bool (N,)."""
    rows = []
    for low, high in zip(edges, (*edges[1:], None)):
        member = (lengths > low) & (lengths <= high if high else True)
        if member.any():
            rows.append((low + 1, high, int(member.sum()), float(right[member].mean())))
    return rows


def worst_mistakes(logits, test, splits, count=10):
    """The mistakes with the highest confidence, the worst first.

    test: Examples; splits: with the texts. Returns dicts with row, label, predicted, confidence, tokens, text.
    """
    probabilities, names = softmax(logits), splits.label_names
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != test.labels)
    rows = wrong[np.argsort(-confidence[wrong], kind="stable")[:count]]
    return [
        {
            "row": int(row),
            "label": names[test.labels[row]],
            "predicted": names[predicted[row]],
            "confidence": float(confidence[row]),
            "tokens": int(test.full_lengths[row]),
            "text": splits.test[int(row)]["text"],
        }
        for row in rows
    ]


def baseline(train_texts, train_labels, test_texts, test_labels):
    """TF-IDF of words and word pairs with logistic regression on the same rows: accuracy and its seconds.

    What a model must beat to be worth its cost (Wang & Manning 2012 show how strong such baselines are).
    """
    from sklearn.dummy import DummyClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    start = time.perf_counter()
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    classifier = LogisticRegression(C=10, max_iter=1000)
    try:
        train_features, test_features = vectorizer.fit_transform(train_texts), vectorizer.transform(test_texts)
    except ValueError:  # no word stands in two texts: what remains is the most frequent label
        classifier = DummyClassifier()
        train_features, test_features = np.zeros((len(train_labels), 1)), np.zeros((len(test_labels), 1))
    accuracy = classifier.fit(train_features, train_labels).score(test_features, test_labels)
    return {"baseline_accuracy": float(accuracy), "baseline_seconds": time.perf_counter() - start}
