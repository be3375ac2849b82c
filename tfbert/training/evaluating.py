"""A model that is asked and does not learn: logits of many texts, scores on held-out ones."""

import contextlib

import numpy as np

from tfbert.common.errors import UserError
from tfbert.common.timing import Countdown
from tfbert.data.batches import by_length
from tfbert.data.masking import NO_PLACE
from tfbert.data.windows import combined
from tfbert.report.calibration import cross_entropies
from tfbert.report.metrics import decided, figure, score


def forward_of(model, team):
    """A function from a batch of inputs to logits; it computes on one device, also where a team learns."""
    if not team.strategy:
        return model.predict_on_batch
    import tensorflow as tf

    return tf.function(lambda inputs: model(inputs, training=False), reduce_retracing=True)


def predict(forward, examples, settings, length=None):
    """Logits of every example, float32 (N, L). forward: a function from a batch of inputs to logits; length: tokens of
    a batch at most, default settings.max_seq_length. Where it takes long, a line now and then says how far it is.
    """
    texts, length = settings.per_device_eval_batch_size, length or settings.max_seq_length
    batches = by_length(examples.lengths, texts)
    size = len(batches[0]) if examples.longest else 1  # XLA compiles each size anew: the last batch is filled up
    parts, countdown = [], Countdown(int(examples.lengths.sum()))
    with memory_errors_explained(texts, length, "--per_device_eval_batch_size"):
        for rows in batches:
            inputs = examples.batch(np.resize(rows, max(size, len(rows))), length)
            parts.append(np.asarray(forward(inputs))[: len(rows)])
            countdown.done(int(examples.lengths[rows].sum()))
    sorted_logits = np.concatenate(parts)
    logits = np.empty_like(sorted_logits)
    logits[np.concatenate(batches)] = sorted_logits
    return combined(logits, examples.owners)


def evaluation_of(examples, settings, metric):
    """The function that `fit` wants, for a classifier, these Examples and one of metrics.METRICS.

    Its accuracy is that of training batches: where several labels may hold, the share of right decisions. Between it
    and the metric comes what settings.metric_for_best_model names; the share of texts with all labels right, which the
    report calls accuracy there, as exact_match.
    """
    chosen = {settings.metric_for_best_model} - {"loss", "metric", "accuracy", metric}
    exact = examples.labels.ndim == 2 and settings.metric_for_best_model == "accuracy"

    def evaluate(forward):
        logits, labels = predict(forward, examples, settings), examples.labels
        predicted = decided(logits, several=labels.ndim == 2)
        return {
            "loss": float(cross_entropies(logits, labels).mean()),
            "accuracy": float((predicted == labels).mean()),
            **{name: figure(name, logits, labels) for name in chosen},
            **({"exact_match": figure("accuracy", logits, labels)} if exact else {}),
        } | ({} if metric == "accuracy" else {metric: score(metric, predicted, labels)})

    return evaluate


def evaluation_of_gaps(batches):
    """The function that `fit` wants, for a MaskedLanguageModel: of one epoch of MaskedBatches, with always the same
    gaps, the mean cross-entropy and the share guessed right.
    """

    def evaluate(forward):
        losses, right = [], []
        for _, (inputs, labels) in zip(range(batches.steps_per_epoch), batches.stream()):
            logits, is_gap = np.asarray(forward(inputs)), labels != NO_PLACE
            logits, labels = logits[is_gap], labels[is_gap]
            losses.append(cross_entropies(logits, labels))
            right.append(logits.argmax(axis=1) == labels)
        losses, right = np.concatenate(losses), np.concatenate(right)
        if not len(losses):
            raise UserError("the held-out texts have no word that the tokenizer knows: no gap can be made")
        return {"loss": float(losses.mean()), "accuracy": float(right.mean())}

    return evaluate


@contextlib.contextmanager
def memory_errors_explained(texts, tokens, flag):
    """Says what to lower where the device's memory is too small. flag: of the number of texts."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ != "ResourceExhaustedError" and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise UserError(
            f"the device's memory is too small for {texts} texts of {tokens} tokens: lower {flag} or --max_seq_length"
        ) from error
