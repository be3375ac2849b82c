"""A job's model before it learns, and after."""

import gc

import keras

from tfbert.common.console import say
from tfbert.model.folders import load_classifier, new_classifier
from tfbert.report.calibration import fit_temperature, fit_thresholds, sigmoid
from tfbert.report.metrics import decided, score
from tfbert.training.evaluating import predict
from tfbert.training.outputs import begin


def new_model(job, seed):
    """A classifier with the encoder's weights and a new head; from scratch, with new weights throughout.

    Says where its weights are from, and before the first seed makes room for checkpoints.
    """
    settings, team = job.settings, job.device.team
    if seed > settings.seed:
        gc.collect()  # the model of the seed before: Keras's refer to themselves
    with job.stopwatch("building the model"), team.scope():
        keras.utils.set_random_seed(settings.seed if settings.average_seeds else seed)  # new weights and dropout
        if settings.from_scratch:
            model = new_classifier(job.config, job.device.policy)
            job.weights_line = f"all new, {model.count_params():,} numbers"
        else:
            model, job.weights_line = load_classifier(job.encoder.folder, job.config, job.device.policy)
    if seed == settings.seed:
        if team.cluster.is_chief:
            begin(settings, model, settings.seeds + bool(settings.teacher))
        say("Weights", job.weights_line)
    runs = settings.seeds + bool(settings.teacher)
    if runs > 1:
        alone = ", to compare with: without the teacher" * (seed == settings.seed + settings.seeds)
        say("Seed", f"{seed}, {seed - settings.seed + 1} of {runs}{alone}")
    return model


def trained_model(job, run, policy="float32"):
    """The trained model, by default in float32, as infer.py computes. policy: the name of a Keras dtype policy."""
    gc.collect()  # the one that learnt, with the optimizer's state
    model = new_classifier(job.config, policy)
    model.compile(jit_compile=job.device.xla)
    model.set_weights(run.weights)
    return model


def calibrate(job, model, run):
    """Fits temperature and, where several labels may hold, thresholds on held-out texts, and puts them into config.

    There the average of several runs, which nothing has validated yet, gets its validation score too.
    """
    with job.stopwatch("calibrating"):
        print(f"Calibrating on the {len(job.validation):,} held-out {job.task.unit} ...", flush=True)
        logits, labels = predict(model.predict_on_batch, job.validation, job.settings), job.validation.labels
        if run.averaged:
            run.validation_score = score(job.metric, decided(logits, job.several), labels)
        temperature = round(fit_temperature(logits, labels), 4)
        job.config["tfbert"]["temperature"] = temperature
        if job.several:
            thresholds = fit_thresholds(sigmoid(logits / temperature), labels)
            job.config["tfbert"]["thresholds"] = thresholds.tolist()
    job.doubt(logits, labels)
