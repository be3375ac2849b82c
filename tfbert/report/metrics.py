"""Metrics of what a model says of texts with known labels."""

import math

import numpy as np

from tfbert.report.calibration import (
    confidences,
    cross_entropies,
    expected_calibration_error,
    micro_f1,
    probabilities_of,
    sigmoid,
    softmax,
)

METRICS = {
    "accuracy": "accuracy",
    "matthews_correlation": "Matthews correlation",
    "f1_micro": "micro-F1",
}
LOWER_IS_BETTER = ("loss", "log_loss", "ece")
# what the best validation can be the best of, where one label holds and where several may
OF_ONE_LABEL = ("accuracy", "f1", "f1_macro", "matthews_correlation", "roc_auc", "log_loss", "ece")
OF_SEVERAL_LABELS = ("accuracy", "f1_micro", "f1_macro", "jaccard", "roc_auc", "roc_auc_micro", "log_loss", "ece")


def wilson_interval(successes, count, z=1.96):
    """The 95% interval of a proportion (Wilson 1927), as (low, high)."""
    share, spread = successes / count, z * z / count
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return centre - half, centre + half


def mean_and_deviation(metric, scores):
    """In words: the mean of several scores and their standard deviation (that of a sample), accuracies in per cent."""
    mean, deviation = np.mean(scores), np.std(scores, ddof=1)
    return f"{mean:.2%} +- {100 * deviation:.2f}" if metric == "accuracy" else f"{mean:.3f} +- {deviation:.3f}"


def decided(logits, several, thresholds=0.5):
    """float (N, L) -> what the model says: class numbers, int (N,), or where several labels may hold, bool (N, L)."""
    return sigmoid(logits) > thresholds if several else logits.argmax(axis=1)


def score(metric, predicted, labels):
    """One of METRICS, or f1_macro, the mean over the labels that some of the texts have.

    predicted, labels: int (N,), or (N, L) where several labels may hold: accuracy is then the share with all right.
    """
    from sklearn import metrics

    if metric == "matthews_correlation":
        return float(metrics.matthews_corrcoef(labels, predicted))
    if metric == "f1_micro":
        return float(micro_f1((predicted * labels).sum(), predicted.sum() + labels.sum()))
    if metric == "f1_macro":
        there = np.flatnonzero(labels.any(axis=0)) if labels.ndim == 2 else np.unique(labels)
        return float(metrics.f1_score(labels, predicted, average="macro", labels=there, zero_division=0))
    right = predicted == labels
    return float((right.all(axis=1) if right.ndim == 2 else right).mean())


def figure(name, logits, labels):
    """One of OF_ONE_LABEL or OF_SEVERAL_LABELS, as evaluate and evaluate_several give it, at a threshold of 0.5.

    Of a ROC AUC of single labels, the mean over those that some texts have and others have not; 0.5 where none is so.
    """
    from sklearn import metrics

    several, probabilities = labels.ndim == 2, probabilities_of(logits, labels)
    predicted = decided(logits, several)
    if name == "log_loss":
        return float(cross_entropies(np.float64(logits), labels).mean())
    if name == "ece":
        return expected_calibration_error(*confidences(probabilities, labels))
    if name == "jaccard":
        return float(metrics.jaccard_score(labels, predicted, average="samples", zero_division=1))
    if name == "f1":
        classes = np.arange(logits.shape[1])
        f1 = metrics.f1_score(labels, predicted, labels=classes, average=None, zero_division=0)
        return float(f1[1] if len(f1) == 2 else score("f1_macro", predicted, labels))
    if name in ("roc_auc", "roc_auc_micro"):
        truth = labels if several else labels[:, None] == np.arange(logits.shape[1])
        if name == "roc_auc_micro":
            truth, probabilities = truth.reshape(-1, 1), probabilities.reshape(-1, 1)
        areas = [metrics.roc_auc_score(true, scores) for true, scores in zip(truth.T, probabilities.T)
                 if 0 < true.sum() < len(true)]  # fmt: skip
        return float(np.mean(areas or 0.5))
    return score(name, predicted, labels)


def interval(metric, predicted, labels, draws=1000):
    """The 95% interval of a score, as (low, high): Wilson's for an accuracy, else the bootstrap's."""
    count = len(labels)
    if metric == "accuracy":
        return wilson_interval(round(score(metric, predicted, labels) * count), count)
    rng = np.random.default_rng(0)
    drawn = (rng.integers(0, count, count) for _ in range(draws))
    if metric == "f1_micro":  # from each text's own counts: as score, and far faster
        hits, claims = (predicted * labels).sum(axis=1), predicted.sum(axis=1) + labels.sum(axis=1)
        scores = [micro_f1(hits[rows].sum(), claims[rows].sum()) for rows in drawn]
    else:
        scores = [score(metric, predicted[rows], labels[rows]) for rows in drawn]
    return tuple(map(float, np.quantile(scores, (0.025, 0.975))))


def evaluate(logits, labels, label_names, temperature=1.0, metric="accuracy"):
    """All figures of a test with one label a text, as a dict.

    logits: float (N, L); labels: int (N,); temperature: what fit_temperature gave: confidence and its error are those
    of logits / temperature, the error without it is ece_before; metric: one of METRICS, beside accuracy. ROC AUC and
    F1 are those of the second label where there are two, macro averages where there are more, F1's over the labels that
    occur; ROC AUC is None where one does not.
    """
    from sklearn import metrics

    probabilities, predicted = softmax(logits / temperature), decided(logits, several=False)
    classes = np.arange(len(label_names))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        labels, predicted, labels=classes, zero_division=0
    )
    binary, roc_auc = len(label_names) == 2, None
    if support.all():
        scores = probabilities[:, 1] if binary else probabilities
        roc_auc = float(metrics.roc_auc_score(labels, scores, multi_class="ovr", labels=classes))
    return {
        **scores_with_intervals(dict.fromkeys(("accuracy", metric)), predicted, labels),
        "f1": float(f1[1]) if binary else score("f1_macro", predicted, labels),
        "f1_macro": score("f1_macro", predicted, labels),
        "roc_auc": roc_auc,
        **confidence_figures(logits, labels, temperature),
        "per_class": {
            name: dict(zip(("precision", "recall", "f1", "support"), (float(p), float(r), float(f), int(s))))
            for name, p, r, f, s in zip(label_names, precision, recall, f1, support)
        },
        "confusion_matrix": metrics.confusion_matrix(labels, predicted, labels=classes).tolist(),
    }


def evaluate_several(logits, labels, label_names, temperature=1.0, thresholds=0.5):
    """All figures of a test where several labels may hold, as a dict; those at a threshold of 0.5 end in _at_half.

    logits, labels: float (N, L); thresholds: float (L,), of the probabilities of logits / temperature. accuracy is the
    share of texts with all labels right; roc_auc the mean over labels, roc_auc_micro that of all scores together,
    roc_auc_of_labels that of the decisions at 0.5, as some tutorials give it.
    """
    from sklearn import metrics

    probabilities, truth = sigmoid(logits / temperature), labels.astype(int)
    thresholds = np.broadcast_to(thresholds, len(label_names))
    predicted, at_half = (decided(logits / temperature, True, limit).astype(int) for limit in (thresholds, 0.5))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, predicted, zero_division=0)
    areas = [
        float(metrics.roc_auc_score(true, scores)) if 0 < true.sum() < len(true) else None
        for true, scores in zip(truth.T, probabilities.T)
    ]
    known = [area for area in areas if area is not None]

    def more(predicted):
        return {
            "f1_macro": score("f1_macro", predicted, truth),
            "jaccard": float(metrics.jaccard_score(truth, predicted, average="samples", zero_division=1)),
        }

    of_half = scores_with_intervals(("f1_micro", "accuracy"), at_half, truth) | more(at_half)
    columns = ("precision", "recall", "f1", "support", "roc_auc", "threshold")
    return {
        **scores_with_intervals(("f1_micro", "accuracy"), predicted, truth),
        **more(predicted),
        **{f"{name}_at_half": value for name, value in of_half.items()},
        "roc_auc": float(np.mean(known)) if known else None,
        "roc_auc_micro": float(metrics.roc_auc_score(truth.ravel(), probabilities.ravel())),
        "roc_auc_of_labels": float(metrics.roc_auc_score(truth.ravel(), at_half.ravel())),
        **confidence_figures(logits, labels, temperature),
        "per_class": {
            name: dict(zip(columns, (float(p), float(r), float(f), int(s), area, float(threshold))))
            for name, p, r, f, s, area, threshold in zip(label_names, precision, recall, f1, support, areas, thresholds)
        },
    }


def scores_with_intervals(names, predicted, labels):
    figures = {}
    for name in names:
        low, high = interval(name, predicted, labels)
        figures |= {name: score(name, predicted, labels), f"{name}_low": low, f"{name}_high": high}
    return figures


def confidence_figures(logits, labels, temperature):
    """Cross-entropy and calibration error, with the temperature and, as *_before, without."""
    figures = {"temperature": temperature}
    for end, divisor in (("", temperature), ("_before", 1.0)):
        scaled = np.float64(logits) / divisor
        figures[f"log_loss{end}"] = float(cross_entropies(scaled, labels).mean())
        figures[f"ece{end}"] = expected_calibration_error(*confidences(probabilities_of(scaled, labels), labels))
    return figures


def accuracy_by_length(lengths, right, edges=(0, 64, 128, 192, 256, 384, 512, 1024)):
    """Rows of (from, to, count, share right) over full lengths in tokens. lengths: int (N,); right: bool (N,)."""
    rows = []
    for low, high in zip(edges, (*edges[1:], None)):
        member = (lengths > low) & (lengths <= high if high else True)
        if member.any():
            rows.append((low + 1, high, int(member.sum()), float(right[member].mean())))
    return rows


def has_roc(metrics):
    """Whether there is one ROC curve: for two labels, both of which occur."""
    return "confusion_matrix" in metrics and len(metrics["per_class"]) == 2 and metrics["roc_auc"] is not None
