"""The devices that train together: the GPUs of one machine, or several machines, as TF_CONFIG names them."""

import contextlib
import json
import os
import re
import sys
from dataclasses import dataclass

from tfbert.common.errors import UserError


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

    def leave_to_chief(self, interrupted):
        """Ends every process but the chief's, which evaluates and writes."""
        if not self.cluster.is_chief:
            sys.exit(130 if interrupted else 0)


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


def is_loss_of_worker(error):
    """Whether a step failed because another machine is gone."""
    import tensorflow as tf

    return isinstance(error, (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError))
