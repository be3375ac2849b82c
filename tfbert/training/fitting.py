"""A training run from its first step, or from a checkpoint, to its last."""

import contextlib

import keras

from tfbert.common.errors import UserError
from tfbert.training import distribution
from tfbert.training.evaluating import memory_errors_explained
from tfbert.training.feeding import feed, signature
from tfbert.training.progress import Progress, SignalGuard
from tfbert.training.step import graph_of_step
from tfbert.training.team import ONE_DEVICE, is_loss_of_worker


def run_facts(settings, seed, encoder, data, batches, validation):
    """What a run and its continuation must share for the continuation to end where the run would have, a dict."""
    lasting = (*settings.LASTING, *(["eval_steps"] if settings.keeps_best else []))  # the best of which validations
    return {name: getattr(settings, name) for name in lasting} | {
        "seed": seed,
        "model": encoder.name,
        "dataset": data.name,
        "training texts": len(batches.examples),
        "a hash of texts and labels of": batches.examples.fingerprint(),
        "a hash of held-out texts and labels of": validation.fingerprint(),
        "texts in a step": batches.batch_size,
    }


def fit(model, batches, evaluate, settings, total_steps, run_facts, team=ONE_DEVICE, when_paced=None):
    """Trains up to `total_steps`, resuming where settings say so.

    model: compiled by step.py; batches: TrainBatches; evaluate: a function from `forward`, which takes inputs to
    logits, to scores on what is held out, a dict of loss, accuracy and, last, the task's metric; run_facts: what must
    agree between a run and its continuation, and between machines, a dict; team: the devices, whose scope the model
    was made in; when_paced: called once, with the seconds that a token of a training batch takes, padding counted.
    Returns the Progress, with its history and whether it was interrupted.
    """
    with team.scope():
        model.optimizer.build(model.trainable_variables)
    progress = Progress(model, batches, evaluate, settings, total_steps, run_facts, team, when_paced)
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
            take_steps(model, batches, steps, progress, team)
    if progress.stop_asked and not progress.ended_early:
        progress.interrupted = True  # also where the signal came after the last step
    if not progress.interrupted:
        progress.take_best()
    return progress


def take_steps(model, batches, steps, progress, team):
    """The loop over batches: fetch one, learn from it, see how it goes.

    Keras's `fit` would wait for the device after every step, a tenth of the time on a fast GPU
    (benchmarks/results/gpu.md), and fails in Keras 3.15 with MultiWorkerMirroredStrategy.
    """
    data = feed(batches, progress.step, team)
    if keras.backend.backend() != "tensorflow":
        model.fit(data, steps_per_epoch=steps, callbacks=[progress], shuffle=False, verbose=0)
        return
    if team.strategy:
        step = distribution.graph_of_step(model, team, lambda: progress.stop_asked)
    else:
        step = graph_of_step(model, signature(batches))
    progress.on_train_begin()
    model.stop_training, batch = False, iter(data)
    for number in range(steps):
        progress.on_train_batch_begin(number)
        progress.on_train_batch_end(number, step(next(batch)))
        if model.stop_training:
            break


@contextlib.contextmanager
def lost_workers_explained(progress):
    """Leaves a checkpoint, and says how to go on, where another machine of the job is gone."""
    try:
        yield
    except Exception as error:
        cluster = progress.team.cluster
        if len(cluster.workers) == 1 or not is_loss_of_worker(error):
            raise
        if cluster.is_chief and progress.step:
            progress.model.optimizer.iterations.assign(progress.step)  # the step that failed does not count
            progress.save()
        raise UserError(
            f"another machine of the job is gone, after step {progress.step} of {progress.total_steps}: start all "
            f"again with --resume_from_checkpoint last (the checkpoint is on {cluster.workers[0]})"
        ) from error
