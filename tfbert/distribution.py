"""Data parallel training by tf.distribute: over the GPUs of one machine, over several machines.

Every device has all weights and a part of each batch; gradients are summed over the devices, so that a step
equals that of one device with the whole batch (Goyal et al. 2017, arXiv:1706.02677, section 2), but for
dropout: every device draws the same mask for its part.
"""

import contextlib
import json
import os
import re
import sys
import zlib
from dataclasses import dataclass

import numpy as np

from tfbert.errors import UserError


@dataclass(frozen=True)
class Cluster:
    """The machines of a job, as the environment variable TF_CONFIG names them; `index` is this one's number."""

    workers: tuple = ("this machine",)
    index: int = 0

    @property
    def is_chief(self):
        """The chief prints, validates and writes; the others only compute."""
        return self.index == 0


THIS_MACHINE = Cluster()


def find_cluster():
    """The Cluster that TF_CONFIG describes, or one of this machine alone. Raises UserError where it is wrong."""
    text = os.environ.get("TF_CONFIG")
    if not text:
        return THIS_MACHINE
    example = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
    try:
        config = json.loads(text)
        chiefs, workers = (config["cluster"].get(kind, []) for kind in ("chief", "worker"))
        kind, index = config["task"]["type"], int(config["task"]["index"])
        if kind not in ("chief", "worker") or set(config["cluster"]) - {"chief", "worker"}:
            raise ValueError("only the types chief and worker are known")
        for address in [*chiefs, *workers]:
            if not (isinstance(chiefs, list) and isinstance(workers, list) and re.fullmatch(r".+:\d+", address)):
                raise ValueError("chief and worker must be lists of host:port")
        if not 0 <= index < len({"chief": chiefs, "worker": workers}[kind]):
            raise ValueError(f"there is no {kind} {index}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"TF_CONFIG is not as expected ({error}); an example: {example}") from error
    return Cluster((*chiefs, *workers), index + (len(chiefs) if kind == "worker" else 0))


@dataclass(frozen=True)
class Team:
    """The devices that train together; strategy: their tf.distribute.Strategy, None for one device alone."""

    strategy: object = None
    cluster: Cluster = THIS_MACHINE

    @property
    def size(self):
        return self.strategy.num_replicas_in_sync if self.strategy else 1

    @contextlib.contextmanager
    def scope(self):
        """The context in which variables are made, a copy on every device."""
        if not self.strategy:
            yield
            return
        try:
            with self.strategy.scope():
                yield
        except Exception as error:
            if not is_loss_of_worker(error):
                raise
            raise UserError("another machine of the job is gone before training began: see what it says") from error


ONE_DEVICE = Team()


def join(cluster, devices):
    """The Team of this machine's `devices` in `cluster`. Waits until every machine of the cluster is there."""
    import tensorflow as tf

    if len(cluster.workers) > 1:
        print(f"Waiting for the machines of TF_CONFIG: {', '.join(cluster.workers)}", flush=True)
        try:
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            raise UserError(f"cannot join the machines of TF_CONFIG: {str(error)[:300]}") from error
        if not cluster.is_chief:
            print(f"Worker {cluster.index} of {cluster.workers[0]}, which prints and writes everything", flush=True)
            sys.stdout = open(os.devnull, "w")
        return Team(strategy, cluster)
    return Team(tf.distribute.MirroredStrategy(devices)) if len(devices) > 1 else ONE_DEVICE


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


def prefetched(stream, signature, count):
    """A tf.data.Dataset of `stream()`, which makes `count` batches ahead."""
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False  # its thread wakes ever more rarely, and the end of `fit` waits for it: a minute
    return tf.data.Dataset.from_generator(stream, output_signature=signature).prefetch(count).with_options(options)


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


def forward(model):
    """A function from a batch of inputs to logits, computed on one device."""
    import tensorflow as tf

    return tf.function(lambda inputs: model(inputs, training=False), reduce_retracing=True)


def is_loss_of_worker(error):
    """Whether a step failed because another machine is gone."""
    import tensorflow as tf

    return isinstance(error, (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError))
