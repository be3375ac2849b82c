"""One training step, from a batch to new weights: forward pass, loss, backward pass, update.

`fitting.take_steps` runs it for every batch, on each device with its part of one; on JAX, Keras's `fit` does the same.
The forward pass is in model/modeling.py, the update in optimizer.py, the losses are below.
"""

import functools

import keras
from keras import ops

from tfbert.data.masking import NO_PLACE
from tfbert.data.tasks import MULTI_LABEL
from tfbert.model.flash import flash_works
from tfbert.training.optimizer import new_optimizer


def train_step(model, batch):
    """Changes the model's weights by one batch; returns the loss and accuracy since they were reset, a dict.

    batch: inputs, a dict of int32 (B, S), and labels, of which each has one loss. For TensorFlow; on JAX, Keras's own
    step does the same, where jax.value_and_grad stands for the tape.
    """
    import tensorflow as tf

    inputs, labels = batch[:2]
    with tf.GradientTape() as tape:  # remembers what is computed from the weights
        logits = model(inputs, training=True)  # forward pass
        loss = model.compute_loss(inputs, labels, logits)  # the mean over all texts of the step
        scaled = model.optimizer.scale_loss(loss)  # for float16, in which small gradients would become zero
    gradients = tape.gradient(scaled, model.trainable_weights)  # backward pass
    model.optimizer.apply_gradients(zip(gradients, model.trainable_weights))  # update

    devices = tf.distribute.get_strategy().num_replicas_in_sync
    model.metrics[0].update_state(loss * devices)  # each has its share of the mean
    return model.compute_metrics(inputs, labels, logits)


def compile_step(model, optimizer, loss, accuracy, xla, adversarial=0.0):
    """Makes train_step, with this optimizer, loss and accuracy, the model's. xla: whether XLA compiles it whole;
    adversarial: how far texts are moved, as in adversarial.py, or 0.
    """
    model.compile(optimizer, loss, metrics=[accuracy], jit_compile=xla)
    if keras.backend.backend() != "tensorflow":
        return
    model.train_step = functools.partial(train_step, model)
    if adversarial:
        from tfbert.training.adversarial import adversarial_step

        model.train_step = functools.partial(adversarial_step, model, size=adversarial)
    optimizer.compiled = xla
    for block in model.encoder.blocks:
        block.attention.flash = xla and flash_works(block.attention.head_size)


def graph_of_step(model, signature):
    """model.train_step as a graph: a function from a batch to logs, which returns before the device is done.

    signature: of a batch, as feeding.signature gives it. One graph takes all sizes; where XLA compiles it, which needs
    sizes, there is one for each, so that flash.py knows them too.
    """
    import tensorflow as tf

    if model.jit_compile:
        return tf.function(model.train_step, jit_compile=True, autograph=False)
    return tf.function(model.train_step, input_signature=[signature], autograph=False)


def compile_classifier(model, settings, total_steps, xla, class_weights=None):
    """For a SequenceClassifier. class_weights: float (L,), factors of the loss, or None."""
    if model.config.problem_type == MULTI_LABEL:
        right = share_of_decisions
        loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)
    else:
        right = share_right
        loss = classifier_loss(model.config.num_labels, settings.label_smoothing, class_weights)
    accuracy = keras.metrics.MeanMetricWrapper(right, name="accuracy")
    compile_step(model, new_optimizer(model, settings, total_steps), loss, accuracy, xla, settings.adversarial)


def classifier_loss(num_labels, smoothing=0.0, class_weights=None):
    """Cross-entropy of labels, int (B,), or a teacher's probabilities, float (B, L), and logits, float (B, L):
    float (B,).

    smoothing: the share of the target that goes to all labels alike (Szegedy et al. 2016, arXiv:1512.00567, section
    7). class_weights: as in compile_classifier.
    """

    def loss(labels, logits):
        if are_probabilities(labels):
            targets = ops.cast(labels, "float32")
        else:
            targets = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), num_labels)
        smoothed = targets * (1 - smoothing) + smoothing / num_labels
        losses = ops.categorical_crossentropy(smoothed, logits, from_logits=True)
        return losses if class_weights is None else losses * ops.sum(targets * class_weights, axis=-1)

    return loss


def are_probabilities(labels):
    """Whether what a model with one label a text learns is float (B, L), not int (B,), or (B, 1) as Keras has it."""
    return len(labels.shape) == 2 and labels.shape[1] != 1


def share_right(labels, logits):
    """1 for each text whose likeliest label is the right one, else 0: float (B,). labels: as classifier_loss's."""
    labels = ops.argmax(labels, axis=-1) if are_probabilities(labels) else ops.reshape(labels, (-1,))
    return ops.cast(ops.equal(ops.cast(labels, "int32"), ops.cast(ops.argmax(logits, axis=-1), "int32")), "float32")


def share_of_decisions(labels, logits):
    """The share of right decisions on each text, where several labels may hold: float (B,). labels: float (B, L)."""
    return ops.mean(ops.cast(ops.equal(labels > 0.5, logits > 0), "float32"), axis=-1)


def compile_masked_lm(model, settings, total_steps, xla):
    """For a MaskedLanguageModel: cross-entropy and accuracy of the gaps."""

    def accuracy_of_gaps(labels, logits):
        right = ops.equal(ops.cast(labels, "int32"), ops.cast(ops.argmax(logits, axis=-1), "int32"))
        is_gap = ops.not_equal(ops.cast(labels, "int32"), NO_PLACE)
        return ops.sum(ops.cast(right, "float32")) / ops.maximum(ops.sum(ops.cast(is_gap, "float32")), 1.0)

    accuracy = keras.metrics.MeanMetricWrapper(accuracy_of_gaps, name="accuracy")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=NO_PLACE)
    compile_step(model, new_optimizer(model, settings, total_steps), loss, accuracy, xla)
