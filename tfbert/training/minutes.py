"""--minutes: how many texts, epochs and runs fit into a time, by a few real steps on this machine."""

import math
import time
from itertools import islice

from tfbert.common.console import say
from tfbert.training.sizes import share_of_forward

TIMED = 5  # batches
RESERVED = 0.1  # of the time, for what cannot be foreseen: saving, TF-IDF, plots
MOST_SEEDS = 5


def fit_into_minutes(job, by_default):
    """Lowers a job's epochs, then its texts, until it takes about settings.minutes; where there is time for it, raises
    the number of runs, whose weights are averaged. What the command line gives stays.

    by_default: the names of the settings that it left open.
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
    passes = (left / pace - validations) / epoch
    chosen = {}
    if passes < settings.num_train_epochs:
        if "num_train_epochs" in by_default:
            chosen["num_train_epochs"] = settings.num_train_epochs = max(1.0, math.floor(10 * passes) / 10)
        if passes < settings.num_train_epochs and not settings.max_train_samples:
            texts = max(8, int(len(job.train) * max(passes, 0) / settings.num_train_epochs))
            chosen["max_train_samples"] = settings.max_train_samples = texts
            job.splits.train, job.train = job.splits.train.select(range(texts)), job.train.first(texts)
    elif settings.seeds == 1:
        seeds = int(min(MOST_SEEDS, left / (pace * (epoch * settings.num_train_epochs + validations))))
        if seeds > 1:
            settings.seeds, settings.average_seeds = seeds, True
            chosen["seeds"], chosen["average_seeds"] = seeds, ""
    flags = " ".join(f"--{name} {value}".strip() for name, value in chosen.items()) or "nothing has to change"
    job.size += f"; --minutes {settings.minutes:g}: {flags}"
    say("Minutes", f"{settings.minutes:g}: {flags}")


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
