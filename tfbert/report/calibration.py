"""From logits to probabilities, how far they can be trusted, and what held-out texts mend: temperature, thresholds."""

import math

import numpy as np


def softmax(logits):
    """float (N, L) -> probabilities, float64 (N, L)."""
    exponentials = np.exp(np.float64(logits) - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def sigmoid(logits):
    """float (N, L) -> the probability of each label by itself, float64 (N, L)."""
    return 1 / (1 + np.exp(-np.float64(logits)))


def probabilities_of(logits, labels):
    """Softmax, or where several labels may hold a sigmoid: float64 (N, L)."""
    return sigmoid(logits) if labels.ndim == 2 else softmax(logits)


def cross_entropies(logits, labels):
    """Of each text, float (N,); of each text and label, float (N, L), where labels is float (N, L), not int (N,)."""
    if labels.ndim == 2:
        return np.logaddexp(0, logits) - labels * logits
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]


def confidences(probabilities, labels):
    """The confidence of each decision and whether it was right: (N,) each, or (N L,) where several labels may hold."""
    if labels.ndim == 2:
        confidence, right = np.maximum(probabilities, 1 - probabilities), (probabilities > 0.5) == labels
        return confidence.ravel(), right.ravel()
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == labels


def calibration_bins(confidence, right, bins=15):
    """Confidence, accuracy and count of each filled bin of equal width, float (bins, 3) (Guo et al. 2017)."""
    member = np.minimum((confidence * bins).astype(int), bins - 1)
    filled = [member == number for number in range(bins) if (member == number).any()]
    return np.array([(confidence[rows].mean(), right[rows].mean(), rows.sum()) for rows in filled])


def expected_calibration_error(confidence, right):
    """The mean gap between confidence and accuracy over 15 bins, weighted by their counts (Guo et al. 2017)."""
    confidence, accuracy, count = calibration_bins(confidence, right).T
    return float((count / count.sum() * np.abs(confidence - accuracy)).sum())


def micro_f1(hits, claims):
    """From how many labels are rightly given, and how many are given or hold, both counted; numbers or arrays."""
    return 2 * hits / np.maximum(claims, 1)


WIDTH = 0.4  # of the prior on the log of a temperature


def fit_temperature(logits, labels, width=WIDTH):
    """The divisor of the logits that makes these labels, and itself, most likely.

    To be fitted on texts that the model did not learn from (Guo et al. 2017, arXiv:1706.04599, section 4.2). It changes
    confidence, never a label. logits: float (N, L); labels: int (N,), or float (N, L) where several may hold. From 0.1
    to 10; where no decision is wrong, not below 1, as ever lower ones would make them ever more likely. width: of the
    log-normal prior around 1, to which few texts yield (benchmarks/temperature.py); None: no prior.
    """
    from scipy.optimize import minimize_scalar

    none_wrong = confidences(probabilities_of(logits, labels), labels)[1].all()
    lowest = 1.0 if none_wrong else 0.1

    def cross_entropy(log_temperature):
        surprise = cross_entropies(np.float64(logits) / math.exp(log_temperature), labels).mean()
        return surprise + (log_temperature / width) ** 2 / (2 * len(labels)) if width else surprise

    return math.exp(minimize_scalar(cross_entropy, bounds=(math.log(lowest), math.log(10)), method="bounded").x)


def fit_thresholds(probabilities, labels, rounds=3):
    """For each label, a threshold in steps of 0.01 with which micro-F1 is highest, float (L,).

    To be fitted on texts that the model did not learn from. From the best threshold that all labels share, one label
    after the other takes the one that is best beside the others', the nearest of equals: so a rare label, which few
    texts could throw far off, weighs little. probabilities, labels: float (N, L).
    """
    grid = np.round(np.arange(0.05, 0.951, 0.01), 2)
    columns = np.arange(labels.shape[1])
    if not labels.any():
        return np.full(len(columns), 0.5)

    def counts(above):
        return (above * labels).sum(axis=0), above.sum(axis=0)

    hits, claims = np.swapaxes([counts(probabilities > threshold) for threshold in grid], 0, 1)  # (G, L) each

    def best_of(hits, claims):
        """Places in the grid with the highest micro-F1. hits, claims: of all labels together, (G,)."""
        scores = micro_f1(hits, claims + labels.sum())
        return np.flatnonzero(scores > scores.max() - 1e-12)

    best = best_of(hits.sum(axis=1), claims.sum(axis=1))
    chosen = np.full(len(columns), best[len(best) // 2])
    for _ in range(rounds):
        for label in columns:
            others = columns != label
            totals = (each[:, label] + each[chosen[others], columns[others]].sum() for each in (hits, claims))
            best = best_of(*totals)
            chosen[label] = best[np.abs(best - chosen[label]).argmin()]
    return grid[chosen]
