"""Adversarial training (Miyato et al. 2017, arXiv:1605.07725, section 3): each text is learnt twice, as it is and with
its word vectors moved a little to where the loss rises fastest, so that the answer does not hang on single words.
"""

import functools

import tensorflow as tf


def adversarial_step(model, batch, size):
    """As step.train_step, by the mean loss of the texts and of the moved ones, for twice the time.

    size: how far a text is moved, all its words together, as a share of the mean norm of its words' vectors. The loss
    returned is that of the texts as they are.
    """
    inputs, labels = batch[:2]
    learn = functools.partial(learnt, model)
    if not model.jit_compile:  # XLA takes ten times as long to compile it
        learn = tf.function(learn, autograph=False)  # traced once, used twice
    words = tf.gather(model.encoder.embeddings.word.value, inputs["input_ids"])
    logits, loss, uphill, gradients = learn(inputs, labels, tf.zeros_like(words))
    is_word = tf.cast(inputs["attention_mask"], words.dtype)[:, :, None]
    usual = tf.reduce_sum(norms(words, -1) * is_word, 1, True) / tf.reduce_sum(is_word, 1, True)
    length = norms(uphill, (1, 2))
    moved = uphill * tf.where(length > 0, size * usual / length, 0.0)
    *_, more = learn(inputs, labels, moved)
    gradients = [mean(one, other) for one, other in zip(gradients, more)]
    model.optimizer.apply_gradients(zip(gradients, model.trainable_weights))

    devices = tf.distribute.get_strategy().num_replicas_in_sync
    model.metrics[0].update_state(loss * devices)
    return model.compute_metrics(inputs, labels, logits)


def learnt(model, inputs, labels, shift):
    """Logits, loss, and the loss's gradients: towards the word vectors, float32 (B, S, E), and the weights, a list."""
    with tf.GradientTape() as tape:
        tape.watch(shift)
        logits = model(inputs | {"shift": shift}, training=True)
        loss = model.compute_loss(inputs, labels, logits)
        scaled = model.optimizer.scale_loss(loss)
    uphill, *gradients = tape.gradient(scaled, [shift, *model.trainable_weights])
    return logits, loss, uphill, gradients


def norms(vectors, axes):
    return tf.sqrt(tf.reduce_sum(tf.square(vectors), axes, keepdims=True))


def mean(one, other):
    """Of two gradients; that of an embedding table is sparse."""
    if isinstance(one, tf.IndexedSlices):
        values = tf.concat([one.values, other.values], 0) / 2
        return tf.IndexedSlices(values, tf.concat([one.indices, other.indices], 0), one.dense_shape)
    return (one + other) / 2
