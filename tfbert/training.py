"""Loss, optimizer, fit and predict."""

import contextlib
import re
from pathlib import Path

import keras
import numpy as np
from keras import ops

from tfbert import distribution
from tfbert.batches import by_length
from tfbert.calibration import cross_entropies
from tfbert.configs import MULTI_LABEL
from tfbert.distribution import ONE_DEVICE
from tfbert.errors import UserError
from tfbert.evaluation import decided, score
from tfbert.optimizer import AdamW, WarmupLinearDecay
from tfbert.progress import Progress, SignalGuard


def compile_model(model, settings, total_steps, xla, class_weights=None):
    """Optimizer, loss and accuracy of a SequenceClassifier. class_weights: float (L,), factors of the loss, or None."""
    several = model.config.problem_type == MULTI_LABEL
    accuracy = keras.metrics.BinaryAccuracy(threshold=0.0) if several else keras.metrics.SparseCategoricalAccuracy()
    accuracy.name = "accuracy"
    if several:
        loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)
    else:
        loss = classifier_loss(model.config.num_labels, settings.label_smoothing, class_weights)
    model.compile(new_optimizer(model, settings, total_steps), loss, metrics=[accuracy], jit_compile=xla)


def balanced_weights(labels, count):
    """Factors of the loss under which all labels weigh the same, float32 (L,). labels: int (N,); count: L."""
    counts = np.bincount(labels, minlength=count)
    return (len(labels) / (count * np.maximum(counts, 1))).astype(np.float32)


def classifier_loss(num_labels, smoothing=0.0, class_weights=None):
    """Cross-entropy of labels, int (B,), and logits, float (B, L): float (B,).

    smoothing: the share of the target that goes to all labels alike (Szegedy et al. 2016, arXiv:1512.00567, section
    7). class_weights: as in compile_model.
    """

    def loss(labels, logits):
        labels = ops.cast(ops.reshape(labels, (-1,)), "int32")
        targets = ops.one_hot(labels, num_labels) * (1 - smoothing) + smoothing / num_labels
        losses = ops.categorical_crossentropy(targets, logits, from_logits=True)
        return losses if class_weights is None else losses * ops.take(class_weights, labels)

    return loss


def new_optimizer(model, settings, total_steps):
    """AdamW with warmup and linear decay; biases and LayerNorm do not decay.

    The learning rate falls by settings.layerwise_lr_decay from each layer to the one below it, down to the embeddings
    (Howard and Ruder 2018, arXiv:1801.06146, section 3.2; Sun et al. 2019, arXiv:1905.05583, section 5.3.4).
    """
    accumulated, depth = settings.gradient_accumulation_steps, model.config.num_hidden_layers
    optimizer = AdamW(
        WarmupLinearDecay(settings.learning_rate, int(settings.warmup_ratio * total_steps), total_steps),
        shares=[settings.layerwise_lr_decay ** (depth + 1 - layer_of(v, depth)) for v in model.trainable_variables],
        weight_decay=settings.weight_decay,
        epsilon=1e-6,
        global_clipnorm=settings.max_grad_norm,
        gradient_accumulation_steps=accumulated if accumulated > 1 else None,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def layer_of(variable, depth):
    """0 for the embeddings, 1 to `depth` for the blocks, depth + 1 for the head. ALBERT's only block counts as 1."""
    if number := re.search(r"/layer_(\d+)/", variable.path):
        return int(number[1]) + 1
    return 0 if "embeddings/" in variable.path or "position_bias/" in variable.path else depth + 1


def run_facts(settings, seed, encoder, data, batches):
    """What a run and its continuation must share for the continuation to end where the run would have, a dict."""
    return {name: getattr(settings, name) for name in settings.LASTING} | {
        "seed": seed,
        "model": encoder.name,
        "dataset": data.name,
        "training texts": len(batches.examples),
        "a hash of texts and labels of": batches.examples.fingerprint(),
        "texts in a step": batches.batch_size,
    }


def fit(model, batches, evaluate, settings, total_steps, run_facts, team=ONE_DEVICE):
    """Trains up to `total_steps`, resuming where settings say so.

    batches: TrainBatches; evaluate: a function from `forward`, which takes inputs to logits, to scores on what is held
    out, a dict of loss, accuracy and, last, the task's metric; run_facts: what must agree between a run and its
    continuation, and between machines, a dict; team: the devices, whose scope the model was made in.
    Returns the Progress, with its history and whether it was interrupted.
    """
    checkpoints = Path(settings.output_dir, "checkpoints", f"seed-{run_facts['seed']}")
    with team.scope():
        model.optimizer.build(model.trainable_variables)
    progress = Progress(model, batches, evaluate, settings, total_steps, checkpoints, run_facts, team)
    if settings.resume_from_checkpoint and team.cluster.is_chief:
        progress.restore(settings.resume_from_checkpoint)
    if len(team.cluster.workers) > 1:
        with lost_workers_explained(progress):
            progress.follow_chief()
    steps = 0 if progress.ended_early else total_steps - progress.step
    if steps > 0:
        texts, flag = batches.batch_size // team.size, "--per_device_train_batch_size"
        explained = memory_errors_explained(texts, batches.max_seq_length, flag)
        with SignalGuard(progress.interrupt), explained, lost_workers_explained(progress):
            if team.strategy:
                first = progress.step
                distribution.fit(model, team, lambda: batches.stream(first), signature(batches), steps, progress)
            else:
                data = feed(batches, progress.step)
                model.fit(data, steps_per_epoch=steps, callbacks=[progress], shuffle=False, verbose=0)
    if progress.stop_asked and not progress.ended_early:
        progress.interrupted = True  # also where the signal came after the last step
    if not progress.interrupted:
        progress.take_best()
    return progress


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


@contextlib.contextmanager
def lost_workers_explained(progress):
    """Leaves a checkpoint, and says how to go on, where another machine of the job is gone."""
    try:
        yield
    except Exception as error:
        cluster = progress.team.cluster
        if len(cluster.workers) == 1 or not distribution.is_loss_of_worker(error):
            raise
        if cluster.is_chief and progress.step:
            progress.model.optimizer.iterations.assign(progress.step)  # the step that failed does not count
            progress.save()
        raise UserError(
            f"another machine of the job is gone, after step {progress.step} of {progress.total_steps}: start all "
            f"again with --resume_from_checkpoint last (the checkpoint is on {cluster.workers[0]})"
        ) from error


def feed(batches, first_step):
    """The batches from `first_step` on, as `keras.Model.fit` takes them."""
    if keras.backend.backend() != "tensorflow":
        return batches.stream(first_step)
    return distribution.prefetched(lambda: batches.stream(first_step), signature(batches), 4)


def signature(batches):
    """What TensorFlow must know of a batch: its structure and dtypes; every size may change."""
    import tensorflow as tf

    def spec(array):
        return tf.TensorSpec((None,) * array.ndim, array.dtype)

    return tf.nest.map_structure(spec, next(batches.stream()))


def predict(forward, examples, settings):
    """Logits of every example, float32 (N, L). forward: a function from a batch of inputs to logits."""
    texts, length = settings.per_device_eval_batch_size, settings.max_seq_length
    batches = by_length(examples.lengths, texts)
    with memory_errors_explained(texts, length, "--per_device_eval_batch_size"):
        sorted_logits = np.concatenate([np.asarray(forward(examples.batch(rows, length))) for rows in batches])
    logits = np.empty_like(sorted_logits)
    logits[np.concatenate(batches)] = sorted_logits
    return logits


def evaluation_of(examples, settings, metric):
    """The function that `fit` wants, for a classifier, these Examples and one of evaluation.METRICS.

    Its accuracy is that of training batches: where several labels may hold, the share of right decisions.
    """

    def evaluate(forward):
        logits, labels = predict(forward, examples, settings), examples.labels
        several = labels.ndim == 2
        predicted = decided(logits, several)
        return {
            "loss": float(cross_entropies(logits, labels).mean()),
            "accuracy": float((predicted == labels).mean()),
        } | ({} if metric == "accuracy" else {metric: score(metric, predicted, labels)})

    return evaluate
