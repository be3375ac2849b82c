"""Batches on their way to the device, made while it computes."""

import keras

from tfbert.training.team import ONE_DEVICE


def feed(batches, first_step, team=ONE_DEVICE):
    """The batches from `first_step` on; where several devices learn, each cut into a part for each."""

    def stream():
        return batches.stream(first_step)

    if keras.backend.backend() != "tensorflow":
        return stream()
    if team.strategy:
        return parts(stream, signature(batches), team)
    return prefetched(stream, signature(batches), 4)


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


def parts(stream, signature, team):
    """A tf.distribute.DistributedDataset of `stream()`, whose batches it cuts into one part for each device."""
    import tensorflow as tf

    def of_this_machine(context):
        here = team.size // context.num_input_pipelines
        first = context.input_pipeline_id * here

        def generate():
            for batch in stream():
                rows = len(batch[1]) // team.size
                for start in range(first * rows, (first + here) * rows, rows):
                    yield tf.nest.map_structure(lambda array: array[start : start + rows], batch)  # noqa: B023

        return prefetched(generate, signature, 4 * here)

    return team.strategy.distribute_datasets_from_function(of_this_machine)
