"""Data parallel training by tf.distribute: over the GPUs of one machine, over several machines.

Every device has all weights and a part of each batch; gradients are summed over the devices, so that a step
equals that of one device with the whole batch (Goyal et al. 2017, arXiv:1706.02677, section 2), but for
dropout: every device draws the same mask for its part.
"""

import json
import zlib

import numpy as np

from tfbert.common.errors import UserError
from tfbert.training.feeding import prefetched


def fit(model, team, stream, signature, steps, callback):
    """keras.Model.fit over several devices; that of Keras 3.15 fails with MultiWorkerMirroredStrategy.

    stream: a function that returns an iterator of (inputs, labels), numpy arrays, the same on every machine.
    signature: their tf.TensorSpecs.
    """
    import tensorflow as tf

    def part_of_step(batch, interrupted):
        return model.train_step(batch) | {"interrupted": interrupted}  # whoever is asked to stop, all shall stop

    @tf.function(reduce_retracing=True)
    def step(*arguments):
        logs = team.strategy.run(part_of_step, arguments)
        return {name: team.strategy.reduce("MEAN", value, axis=None) for name, value in logs.items()}

    callback.set_model(model)
    callback.on_train_begin()
    model.stop_training = False
    for number, batch in zip(range(steps), parts(stream, signature, team)):
        callback.on_train_batch_begin(number)
        callback.on_train_batch_end(number, step(batch, tf.constant(float(callback.stop_asked))))
        if model.stop_training:
            return


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


def agree(team, facts, arrays):
    """The chief's `arrays` on every machine. Raises UserError where a machine's `facts` are not the chief's."""
    import tensorflow as tf

    mine = zlib.crc32(json.dumps(facts, sort_keys=True, default=str).encode())

    @tf.function
    def share(values):
        context = tf.distribute.get_replica_context()
        is_first = context.replica_id_in_sync_group == 0
        return [context.all_reduce("SUM", tf.where(is_first, value, tf.zeros_like(value))) for value in values]

    values = [tf.convert_to_tensor(value) for value in (np.array([mine], np.int64), *arrays)]
    shared = team.strategy.run(share, args=(values,))
    chiefs, *arrays = [team.strategy.experimental_local_results(value)[0].numpy() for value in shared]
    if chiefs[0] != mine:
        raise UserError(
            f"worker {team.cluster.index} has another job than {team.cluster.workers[0]}: "
            "give every machine the same command, model and data"
        )
    return arrays
