"""Batches on their way to the device, made while it computes."""

import keras


def feed(batches, first_step):
    """The batches from `first_step` on, as `keras.Model.fit` takes them."""
    if keras.backend.backend() != "tensorflow":
        return batches.stream(first_step)
    return prefetched(lambda: batches.stream(first_step), signature(batches), 4)


def signature(batches):
    """What TensorFlow must know of a batch: its structure and dtypes; every size may change."""
    import tensorflow as tf

    def spec(array):
        return tf.TensorSpec((None,) * array.ndim, array.dtype)

    return tf.nest.map_structure(spec, next(batches.stream()))


def prefetched(stream, signature, count):
    """A tf.data.Dataset of `stream()`, which makes `count` batches ahead."""
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False  # its thread wakes ever more rarely, and the end of `fit` waits for it: a minute
    return tf.data.Dataset.from_generator(stream, output_signature=signature).prefetch(count).with_options(options)
