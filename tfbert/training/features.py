"""Logistic regression on an encoder's vectors, put into the classifier's head.

The encoder stays as it is: one pass over the texts is all it does. As in Alammar 2019, A Visual Guide to Using BERT for
the First Time; logistic regression is a linear layer, so the fitted one is the head of an ordinary SequenceClassifier.
"""

import time
import warnings

import keras
import numpy as np
from keras import ops

from tfbert.common.console import say
from tfbert.common.errors import UserError
from tfbert.data.labels import shares_of
from tfbert.model.modeling import mean_of_tokens
from tfbert.report.calibration import cross_entropies
from tfbert.training.evaluating import evaluation_of, predict
from tfbert.training.runs import Run
from tfbert.training.sizes import FEW

STRENGTHS = np.logspace(-4, 2, 13)  # C of the regularization, chosen by cross-validation
FOLDS = 5
LEAST_SCALE = 0.01  # of a dimension, in medians of all
MOST_FOR_START = 10_000  # texts that the head is fitted to before it is fine-tuned
NEAR_TIE = 1.01  # times the lowest cross-entropy
LEAST_FACTOR = 1e-3  # of a head's logits
LEAST_PROBABILITY = 1e-7  # of a label that is in no text of a fold
SAYS_LITTLE = 0.97  # of the labels' entropy is left when the encoder's vectors are known


class Vectors(keras.Model):
    """What a SequenceClassifier's head classifies, or the mean of its tokens: float32 (B, D)."""

    def __init__(self, classifier, mean=False):
        super().__init__()
        self.classifier, self.mean = classifier, mean
        self.compile(jit_compile=False)

    def call(self, inputs):
        return (mean_of_tokens if self.mean else self.classifier.pooled)(*self.classifier.read(inputs))


def fit_features(job, model, seed):
    """Leaves the encoder as it is and fits the head by logistic regression: a Run.

    Raises UserError where a label holds for no text or for all.
    """
    names, started = job.splits.label_names, time.perf_counter()
    shares = shares_of(job.train.labels, len(names))
    if constant := [name for name, share in zip(names, shares) if share in (0, 1)]:
        raise UserError(f"--method features: no training text, or every one, has the label {constant[0]}; leave it out")
    model.compile(jit_compile=False)
    strengths, _ = fit_head(job, model, job.train, seed)
    seconds = time.perf_counter() - started
    scores = evaluation_of(job.validation, job.settings, job.metric)(model.predict_on_batch)
    return Run(seed, model.get_weights(), scores[job.metric], seconds, strengths=strengths)


def fit_head(job, model, examples, seed):
    """Fits the head of a SequenceClassifier, whose encoder stays, to the first of the job's training texts, Examples.

    Returns the C of each regression, and the logits of the texts.
    """
    balanced = job.settings.class_weights == "balanced"
    kernel, bias, strengths, logits = regress(job, Vectors(model).predict_on_batch, examples, seed, balanced)
    model.classifier.kernel.assign(kernel)
    model.classifier.bias.assign(bias)
    return strengths, logits


def regress(job, forward, examples, seed, balanced=False):
    """Fits logistic regression to the first of the job's training texts, Examples: kernel, bias, the C of each
    regression, and the logits of the texts.

    Gives the job what regressions say of the texts that they did not learn from. forward: from inputs to vectors.
    """
    features, groups = predict(forward, examples, job.settings), groups_of(job, examples)
    count = len(job.splits.label_names)
    kernel, bias, strengths, held_out = fit(features, examples.labels, count, seed, balanced, groups)
    if held_out is not None and not job.held_out:
        job.held_out = [held_out]
    return kernel, bias, strengths, features @ kernel + bias


def start_head(job, model):
    """Gives a model that is to be fine-tuned the head that fits the encoder as it is, from some of the texts.

    From a random head, large gradients would first spoil what the encoder knows (Kumar et al. 2022, arXiv:2202.10054).
    From one that is sure of every text that it was fitted to there would be hardly any, and nothing would be learnt:
    its logits are scaled until it is as unsure of these texts as held-out folds were.

    Where the vectors say little of the labels, texts are not moved either, unless the command line wants it or they are
    few: what they are told apart by has to be learnt yet, and would be moved away (benchmarks/RECIPES.md, "Your own
    data"); few are learnt by heart.
    """
    head = model.classifier
    if job.head is None:  # else it is that of the seed before, whose encoder was the same
        texts = job.train.first(MOST_FOR_START)
        model.compile(jit_compile=False)
        _, logits = fit_head(job, model, texts, job.settings.seed)
        scale = 1.0
        if job.held_out:
            unsure, labels = as_logits(job.held_out[0], texts.labels), texts.labels
            scale = humility(logits, unsure, labels)
            if "adversarial" in job.chosen and len(job.train) > FEW and share_left(unsure, labels) > SAYS_LITTLE:
                leave_in_place(job)
        job.head = [scale * ops.convert_to_numpy(weight) for weight in (head.kernel, head.bias)]
    for weight, value in zip((head.kernel, head.bias), job.head):
        weight.assign(value)


def leave_in_place(job):
    """Sets --adversarial to 0, and says so."""
    job.settings.adversarial = 0.0
    why = "--adversarial 0, as the encoder's vectors say little of these labels yet"
    job.size += f"; {why}"
    say("Job", why)


def as_logits(probabilities, labels):
    """Logits with these probabilities, float (N, L), by softmax, or where labels is float (N, L) by sigmoid."""
    sure = np.clip(probabilities, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.log(sure) if labels.ndim == 1 else np.log(sure / (1 - sure))


def share_left(logits, labels):
    """Cross-entropy, as a share of that of one who knows how frequent each label is and nothing of the texts.

    logits: float (N, L); labels: int (N,), or float (N, L).
    """
    shares = np.broadcast_to(shares_of(labels, logits.shape[1]), logits.shape)
    return cross_entropies(logits, labels).mean() / cross_entropies(as_logits(shares, labels), labels).mean()


def humility(logits, unsure, labels):
    """The factor of logits, 1 at most, with which their cross-entropy is that of the logits `unsure`.

    logits, unsure: float (N, L); labels: int (N,), or float (N, L).
    """
    from scipy.optimize import brentq

    wanted = cross_entropies(unsure, labels).mean()

    def excess(scale):
        return cross_entropies(logits * scale, labels).mean() - wanted

    return brentq(excess, LEAST_FACTOR, 1.0) if excess(1.0) < 0 < excess(LEAST_FACTOR) else 1.0


def doubt_labels(job, model):
    """Gives the job what regression on the mean of their tokens says of texts that it did not learn from."""
    if job.device.team.size == 1:
        forward = Vectors(model, mean=True).predict_on_batch
        regress(job, forward, job.train.first(MOST_FOR_START), job.settings.seed)


def groups_of(job, examples):
    """The groups of the first training texts, str (N,), or None."""
    train = job.splits.train
    return np.array(train["group"][: len(examples)]) if "group" in train.column_names else None


def fit(features, labels, count, seed, balanced=False, groups=None):
    """Logistic regression with the C that cross-validates best; one regression a label where several may hold.

    features: float32 (N, D), standardized on the way; labels: int (N,), or float (N, L); count: L; balanced: whether
    all labels weigh the same; groups: str (N,), of which none is on both sides of a fold, or None. Returns kernel,
    float32 (D, L), and bias, float32 (L,), for the features as they are; the C of each regression, None where it was
    not chosen; and each text's probabilities by a regression that did not learn from it, float (N, L), None where C
    was not chosen. A label that no text has, or of several every one, gets no weights.
    """
    scaler = scaler_of(features)
    scaled, kernel = scaler.transform(features), np.zeros((count, features.shape[1]))
    if labels.ndim == 1:
        fitted, held_out = regression(scaled, labels, seed, balanced, groups)
        strengths, there = [None if held_out is None else fitted.C], fitted.classes_
        weights, bias = fitted.coef_, fitted.intercept_
        if held_out is not None:  # the last labels may have no text here
            held_out = np.pad(held_out, ((0, 0), (0, count - held_out.shape[1])))
        if len(there) == 2:  # half of the difference for each
            weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
        kernel[there] = weights
        bias = np.where(np.isin(np.arange(count), there), np.bincount(there, bias, count), bias.min())
    else:
        strengths, held_out = [], np.repeat(labels.mean(axis=0, keepdims=True), len(labels), axis=0)
        bias = np.where(labels.all(axis=0), 1, -1) * np.log(2 * len(labels) + 1)  # of those that never differ
        for place in np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0)):
            fitted, said = regression(scaled, labels[:, place].astype(int), seed, balanced, groups)
            kernel[place], bias[place] = fitted.coef_[0], fitted.intercept_[0]
            strengths.append(None if said is None else fitted.C)
            if said is not None:
                held_out[:, place] = said[:, 1]
    bias = bias - kernel @ (scaler.mean_ / scaler.scale_)
    return (kernel / scaler.scale_).T.astype(np.float32), bias.astype(np.float32), strengths, held_out


def scaler_of(features):
    """A StandardScaler that does not enlarge a dimension that hardly varies, as an encoder may have one.

    Such a dimension says nothing; enlarged, it would be all that counts.
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    scaler.scale_ = np.maximum(scaler.scale_, LEAST_SCALE * np.median(scaler.scale_))
    return scaler


def regression(features, labels, seed, balanced, groups=None):
    """A fitted LogisticRegression, and what best_strength says of the texts; where there are no folds, with
    scikit-learn's own C, and None.

    Newton's method with conjugate gradients needs a tenth of the steps of scikit-learn's default, and keeps float32.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    weights = "balanced" if balanced else None
    model, held_out = LogisticRegression(solver="newton-cg", class_weight=weights, warm_start=True), None
    with (
        warnings.catch_warnings(category=ConvergenceWarning, action="ignore"),  # where labels can be parted at once
        threadpool_limits(1),  # of these small products: beside another process, more threads wait for each other
    ):
        if folds := folds_of(labels, seed, groups):
            strength, held_out = best_strength(model, features, labels, folds)
            model.set_params(C=strength)
        return model.fit(features, labels), held_out


def best_strength(model, features, labels, folds):
    """The C with the lowest cross-entropy on held-out folds, of near ties the smallest, a float; and the probabilities
    that it gives the texts held out, float (N, L).

    From the strongest regularization on, each fit starts where the last one ended; the first that does worse is the
    last one, as what comes after it takes longest and does worse still. The folds are fitted side by side.
    """
    from joblib import Parallel, delayed
    from sklearn.base import clone

    models, losses, answers = [clone(model) for _ in folds], [], []

    def answer(model, train, held_out):
        model.fit(features[train], labels[train])
        return model.predict_proba(features[held_out])

    with Parallel(FOLDS, prefer="threads") as side_by_side:
        for strength in STRENGTHS:
            calls = (delayed(answer)(each.set_params(C=strength), *fold) for each, fold in zip(models, folds))
            said = np.zeros((len(labels), labels.max() + 1))
            for (_, held_out), model, probabilities in zip(folds, models, side_by_side(calls)):
                said[np.ix_(held_out, model.classes_)] = probabilities
            answers.append(said)
            losses.append(-np.log(np.maximum(said[np.arange(len(labels)), labels], LEAST_PROBABILITY)).mean())
            if losses[-1] > min(losses):
                break
    best = np.argmax(np.array(losses) <= NEAR_TIE * min(losses))
    return STRENGTHS[best], answers[best]


def folds_of(labels, seed, groups):
    """FOLDS pairs of row numbers, of the texts to learn from and those held out, each with its share of every label.

    Labels with fewer texts than folds count as one. groups: as in fit. None where there is too little for folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    strata = np.where(np.bincount(labels)[labels] < FOLDS, -1, labels)
    if len(np.unique(strata)) < 2 or groups is not None and len(np.unique(groups)) < FOLDS:
        return None
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings(action="ignore"):  # of a stratum with fewer texts than folds
        folds = list(kind(FOLDS, shuffle=True, random_state=seed).split(labels, strata, groups))
    return folds if all(len(np.unique(labels[train])) > 1 for train, _ in folds) else None
