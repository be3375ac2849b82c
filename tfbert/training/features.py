"""Logistic regression on an encoder's vectors, put into the classifier's head.

The encoder stays as it is: one pass over the texts is all it does. As in Alammar 2019, A Visual Guide to Using BERT for
the First Time; logistic regression is a linear layer, so the fitted one is the head of an ordinary SequenceClassifier.
"""

import time
import warnings

import keras
import numpy as np

from tfbert.common.errors import UserError
from tfbert.data.labels import shares_of
from tfbert.training.evaluating import evaluation_of, predict
from tfbert.training.runs import Run

STRENGTHS = np.logspace(-4, 2, 13)  # C of the regularization, chosen by cross-validation
FOLDS = 5
LEAST_SCALE = 0.01  # of a dimension, in medians of all
MOST_FOR_START = 10_000  # texts that the head is fitted to before it is fine-tuned
NEAR_TIE = 1.01  # times the lowest cross-entropy


class Vectors(keras.Model):
    """What a SequenceClassifier's head classifies: float32 (B, D)."""

    def __init__(self, classifier):
        super().__init__()
        self.classifier = classifier

    def call(self, inputs):
        return self.classifier.pooled(inputs)


def fit_features(job, model, seed):
    """Leaves the encoder as it is and fits the head by logistic regression: a Run."""
    started = time.perf_counter()
    model.compile(jit_compile=False)
    strengths = fit_head(model, job.train, job.settings, seed)
    seconds = time.perf_counter() - started
    scores = evaluation_of(job.validation, job.settings, job.metric)(model.predict_on_batch)
    return Run(seed, model.get_weights(), scores[job.metric], seconds, strengths=strengths)


def fit_head(model, examples, settings, seed):
    """Fits the head of a SequenceClassifier, whose encoder stays, to Examples. Returns the C of each regression."""
    vectors = Vectors(model)
    vectors.compile(jit_compile=False)
    features = predict(vectors.predict_on_batch, examples, settings)
    balanced = settings.class_weights == "balanced"
    kernel, bias, strengths = fit(features, examples.labels, seed, list(model.config.id2label.values()), balanced)
    model.classifier.kernel.assign(kernel)
    model.classifier.bias.assign(bias)
    return strengths


def start_head(job, model, seed):
    """Gives a model that is to be fine-tuned the head that fits the encoder as it is, from some of the texts.

    From a random head, large gradients would first spoil what the encoder knows (Kumar et al. 2022, arXiv:2202.10054).
    Where a label holds for none of these texts, or for all, the head stays random.
    """
    texts = job.train.first(MOST_FOR_START)
    shares = shares_of(texts.labels, model.config.num_labels)
    if 0 < shares.min() and shares.max() < 1:
        model.compile(jit_compile=False)
        fit_head(model, texts, job.settings, seed)


def fit(features, labels, seed, label_names, balanced=False):
    """Logistic regression with the C that cross-validates best; one regression a label where several may hold.

    features: float32 (N, D), standardized on the way; labels: int (N,), or float (N, L); balanced: whether all labels
    weigh the same. Returns kernel, float32 (D, L), and bias, float32 (L,), for the features as they are, and the C of
    each regression, None where it was not chosen. Raises UserError where a label holds for no text or for all.
    """
    from sklearn.preprocessing import StandardScaler

    shares = shares_of(labels, len(label_names))
    if constant := [name for name, share in zip(label_names, shares) if share in (0, 1)]:
        raise UserError(f"--method features: no training text, or every one, has the label {constant[0]}; leave it out")
    scaler = StandardScaler().fit(features)
    # a dimension that hardly varies, as an encoder may have one, says nothing: enlarged, it would be all that counts
    scaler.scale_ = np.maximum(scaler.scale_, LEAST_SCALE * np.median(scaler.scale_))
    scaled = scaler.transform(features)
    columns = (labels.T if labels.ndim == 2 else labels[None]).astype(int)
    fitted = [regression(scaled, column, seed, balanced) for column in columns]
    kernel = np.concatenate([each.coef_ for each in fitted])
    bias = np.concatenate([each.intercept_ for each in fitted])
    if labels.ndim == 1 and len(kernel) == 1:  # two labels: half of the difference for each
        kernel, bias = np.concatenate([-kernel, kernel]) / 2, np.concatenate([-bias, bias]) / 2
    bias = bias - kernel @ (scaler.mean_ / scaler.scale_)
    strengths = [None if is_rare(column) else each.C for column, each in zip(columns, fitted)]
    return (kernel / scaler.scale_).T.astype(np.float32), bias.astype(np.float32), strengths


def is_rare(labels):
    """Whether a label is too rare for cross-validation. labels: int (N,)."""
    return np.bincount(labels).min() < FOLDS


def regression(features, labels, seed, balanced):
    """A fitted LogisticRegression; where a label is too rare for folds, with scikit-learn's own C.

    Newton's method with conjugate gradients needs a tenth of the steps of scikit-learn's default, and keeps float32.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    weights = "balanced" if balanced else None
    model = LogisticRegression(solver="newton-cg", class_weight=weights, warm_start=True)
    with (
        warnings.catch_warnings(category=ConvergenceWarning, action="ignore"),  # where labels can be parted at once
        threadpool_limits(1),  # of these small products: beside another process, more threads wait for each other
    ):
        if not is_rare(labels):
            model.set_params(C=best_strength(model, features, labels, seed))
        return model.fit(features, labels)


def best_strength(model, features, labels, seed):
    """The C with the lowest cross-entropy on held-out folds, of near ties the smallest, a float.

    From the strongest regularization on, each fit starts where the last one ended; the first that does worse is the
    last one, as what comes after it takes longest and does worse still. The folds are fitted side by side.
    """
    from joblib import Parallel, delayed
    from sklearn.base import clone
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold

    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(features, labels))
    models, losses = [clone(model) for _ in folds], []

    def loss(model, train, held_out):
        model.fit(features[train], labels[train])
        return log_loss(labels[held_out], model.predict_proba(features[held_out]), labels=model.classes_)

    with Parallel(FOLDS, prefer="threads") as side_by_side:
        for strength in STRENGTHS:
            calls = (delayed(loss)(each.set_params(C=strength), *fold) for each, fold in zip(models, folds))
            losses.append(np.mean(side_by_side(calls)))
            if losses[-1] > min(losses):
                break
    return STRENGTHS[np.argmax(np.array(losses) <= NEAR_TIE * min(losses))]
