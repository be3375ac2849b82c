"""Data parallel training by tf.distribute: over the GPUs of one machine, over several machines.

Every device has all weights and a part of each batch; gradients are summed over the devices, so that a step
equals that of one device with the whole batch (Goyal et al. 2017, arXiv:1706.02677, section 2), but for
dropout: every device draws the same mask for its part.
"""

import json
import zlib

import numpy as np

from tfbert.common.errors import UserError


def graph_of_step(model, team, stop_asked):
    """As step.graph_of_step, for the parts of a batch. stop_asked: a function that says whether this machine was."""
    import tensorflow as tf

    def part_of_step(batch, interrupted):
        return model.train_step(batch) | {"interrupted": interrupted}  # whoever is asked to stop, all shall stop

    @tf.function(reduce_retracing=True)
    def step(*arguments):
        logs = team.strategy.run(part_of_step, arguments)
        return {name: team.strategy.reduce("MEAN", value, axis=None) for name, value in logs.items()}

    return lambda batch: step(batch, tf.constant(float(stop_asked())))


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
