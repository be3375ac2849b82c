"""--minutes: how many texts, epochs and runs fit into a time, by a few real steps on this machine."""

import math
import time
from itertools import islice

from tfbert.common.console import say
from tfbert.common.errors import UserError
from tfbert.data.splits import size_of_held_out
from tfbert.training.sizes import is_read_once, share_of_forward

TIMED = 5  # batches
RESERVED = 0.1  # of the time, for what cannot be foreseen: saving, TF-IDF, plots
MOST_SEEDS = 5
FEWEST = 64  # texts, below which nothing is learnt


def fit_into_minutes(job):
    """Lowers the settings of a job, its epochs, then its texts, until it takes about settings.minutes; where there is
    time for it, raises the number of runs, whose weights are averaged. What the command line gives stays.

    Gives the job flags that lead to the same without --minutes. Raises UserError where there is no time for FEWEST
    texts.
    """
    settings = job.settings
    with job.stopwatch("timing some steps"):
        pace = seconds_of_token(job)
    batches = job.batches(settings.seed)
    forward = share_of_forward(settings)
    spent = sum(job.stopwatch.seconds.values()) + pace * int(job.test.lengths.sum()) * forward
    left = settings.minutes * 60 * (1 - RESERVED) - spent
    validations = 5 * int(job.validation.lengths.sum()) * forward
    epoch = batches.padded_tokens(0, batches.steps_per_epoch)
    passes = (left / (pace * settings.seeds) - validations) / epoch
    flags, texts = {}, len(job.train)
    if "num_train_epochs" in job.chosen:
        if passes < settings.num_train_epochs:
            settings.num_train_epochs = max(1.0, math.floor(10 * passes) / 10)
        flags["num_train_epochs"] = settings.num_train_epochs
    if not settings.max_train_samples:
        if passes < settings.num_train_epochs:
            texts = int(texts * passes / settings.num_train_epochs)
            if texts < min(FEWEST, len(job.train)):
                least = spent + pace * settings.seeds * (validations + epoch * FEWEST / len(job.train))
                raise UserError(
                    f"--minutes {settings.minutes:g}: starting, validation and test leave no time to learn; on this "
                    f"machine give at least {math.ceil(least / 60 / (1 - RESERVED))}"
                )
        if not settings.validation_file:
            of_all = size_of_held_out(settings, len(job.train) + len(job.validation))
            flags["validation_samples"] = settings.validation_samples = of_all
        flags["max_train_samples"] = settings.max_train_samples = texts
        if texts < len(job.train) and "per_device_train_batch_size" in job.chosen:
            flags["per_device_train_batch_size"] = settings.per_device_train_batch_size  # of fewer, it might be less
    if settings.hidden_dropout is None and is_read_once(settings, job.task, job.device):
        flags["hidden_dropout"] = settings.hidden_dropout = 0.0
    if settings.head == "regression" and settings.adversarial is None:
        flags["adversarial"] = 0  # of fewer texts, it would be by default
    if settings.seeds == 1 and passes >= settings.num_train_epochs:
        seeds = int(min(MOST_SEEDS, left / (pace * (epoch * settings.num_train_epochs + validations))))
        if seeds > 1:
            settings.seeds, settings.average_seeds = seeds, True
            flags["seeds"], flags["average_seeds"] = seeds, ""
    job.minutes_as_flags = " ".join(f"--{name} {value}".strip() for name, value in flags.items())
    words = job.minutes_as_flags or "nothing has to change"
    if passes < settings.num_train_epochs and texts == len(job.train):
        words = f"what the command line gives takes longer; {job.minutes_as_flags}".rstrip("; ")
    job.size += f"; --minutes {settings.minutes:g}: {words}"
    say("Minutes", f"{settings.minutes:g}: {words}")


def seconds_of_token(job):
    """What a token of a training batch takes, padding counted: of some batches, the second time that they are read."""
    import tensorflow as tf

    from tfbert.model.folders import load_classifier, new_classifier
    from tfbert.training.feeding import signature
    from tfbert.training.step import compile_classifier, graph_of_step

    settings, batches = job.settings, job.batches(job.settings.seed)
    if settings.from_scratch:
        model = new_classifier(job.config, job.device.policy)
    else:
        model, _ = load_classifier(job.encoder.folder, job.config, job.device.policy)
    compile_classifier(model, settings, job.total_steps, job.device.xla, job.class_weights)
    model.optimizer.build(model.trainable_variables)
    step = graph_of_step(model, signature(batches))
    some = [tf.nest.map_structure(tf.constant, batch) for batch in islice(batches.stream(), TIMED)]
    for _ in range(2):
        start = time.perf_counter()
        for batch in some:
            float(step(batch)["loss"])
        seconds = time.perf_counter() - start
    return seconds / batches.padded_tokens(0, TIMED)
