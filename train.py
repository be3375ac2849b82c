"""Fine-tunes a BERT-family encoder in TensorFlow on a text classification task, by default IMDb's movie reviews.

usage: python train.py
       python train.py --task_name emotions
       python train.py --train_file reviews.csv --text_column review --label_column sentiment

Leaves a model in output/, pictures in plots/ and a report in training_report.md.
"""

import contextlib
import gc
import shutil
import sys
import time
from dataclasses import dataclass, replace

import numpy as np

from tfbert import checkpoints
from tfbert.console import say
from tfbert.errors import run
from tfbert.files import replaced_folder, write_csv, write_json
from tfbert.jobs import expected_duration, prepare, results_paths
from tfbert.outputs import begin, holds_finished_model, remove_checkpoints
from tfbert.settings import TrainSettings, parse
from tfbert.splits import keys_of
from tfbert.timing import clock


def main(argv=None):
    settings = parse(TrainSettings, argv)
    with contextlib.ExitStack() as stack:
        job = prepare(settings, sys.argv[1:] if argv is None else argv, stack)
        runs = learn(job)
        interrupted = runs[-1].interrupted
        if not job.device.team.cluster.is_chief:
            return 130 if interrupted else 0
        if interrupted:
            stop(job, runs[-1])
            return 130
        saved = average_run(runs) if settings.average_seeds else median_run(runs)
        model = exact_model(job, saved)
        calibrate(job, model, saved)
        save(job, model, saved)
        test(job, model, runs, saved)
        remove_checkpoints(settings.output_dir)


@dataclass
class Run:
    """What one seed gave, or the average of several; the model that it trained may be freed."""

    seed: int  # of the average: of the run whose curves it has
    weights: list
    validation_score: float | None
    train_seconds: float
    first_step_seconds: float | None = None
    history: tuple = ()
    step: int = 0
    interrupted: bool = False
    strengths: tuple = ()  # C of the regressions of --method features
    averaged: bool = False


def learn(job):
    """One Run for each seed; fewer where the user interrupts."""
    import keras  # heavy imports wait until they are needed

    settings, team, runs = job.settings, job.device.team, []
    for seed in range(settings.seed, settings.seed + settings.seeds):
        with job.stopwatch("building the model"), team.scope():
            keras.utils.set_random_seed(settings.seed if settings.average_seeds else seed)  # new weights and dropout
            model = new_model(job)
        if not runs:
            if team.cluster.is_chief:
                begin(settings, model, settings.seeds)
            say("Weights", job.weights_line)
        if settings.seeds > 1:
            say("Seed", f"{seed}, {len(runs) + 1} of {settings.seeds}")
        with job.stopwatch("training and validation"):
            runs.append((fit_features if settings.method == "features" else fine_tune)(job, model, seed))
        if runs[-1].interrupted:
            break
        del model
        gc.collect()  # the next seed needs its memory
    return runs


def new_model(job):
    """A classifier with the encoder's weights and a new head; from scratch, with new weights throughout."""
    if job.settings.from_scratch:
        model = checkpoints.new_classifier(job.config, job.device.policy)
        job.weights_line = f"all new, {model.count_params():,} numbers"
    else:
        model, job.weights_line = checkpoints.load_classifier(job.encoder.folder, job.config, job.device.policy)
    return model


def fine_tune(job, model, seed):
    """Trains the whole model: a Run."""
    from tfbert import training

    settings, batches = job.settings, job.batches(seed)
    balanced = settings.class_weights == "balanced"
    weights = training.balanced_weights(job.train.labels, len(job.splits.label_names)) if balanced else None
    with job.device.team.scope():
        training.compile_model(model, settings, job.total_steps, job.device.xla, weights)
    if seed == settings.seed:
        say("Expected", expected_duration(job, model.config, batches))
    evaluate = training.evaluation_of(job.validation, settings, job.metric)
    facts = training.run_facts(settings, seed, job.encoder, job.data, batches)
    progress = training.fit(model, batches, evaluate, settings, job.total_steps, facts, job.device.team)
    last = progress.last_validation()
    return Run(seed, model.get_weights(), last and last[f"validation_{job.metric}"], progress.train_seconds,
               progress.first_step_seconds, progress.history, progress.step, progress.interrupted)  # fmt: skip


def fit_features(job, model, seed):
    """Leaves the encoder as it is and fits the head by logistic regression: a Run."""
    from tfbert import features, training

    started = time.perf_counter()
    model.compile(jit_compile=False)
    strengths = features.fit_head(model, job.train, job.settings, seed)
    seconds = time.perf_counter() - started
    scores = training.evaluation_of(job.validation, job.settings, job.metric)(model.predict_on_batch)
    return Run(seed, model.get_weights(), scores[job.metric], seconds, strengths=strengths)


def median_run(runs):
    """The Run in the middle by its score on held-out texts; of two in the middle, the lower one."""
    return sorted(runs, key=lambda run: run.validation_score)[(len(runs) - 1) // 2]


def average_run(runs):
    """A Run with the average of all runs' weights, a model soup (Wortsman et al. 2022, arXiv:2203.05482).

    It costs no more to use than one run. The curves are those of the median run.
    """
    weights = [np.mean(each, axis=0) for each in zip(*(run.weights for run in runs))]
    seconds = sum(run.train_seconds for run in runs)
    return replace(median_run(runs), weights=weights, train_seconds=seconds, validation_score=None, averaged=True)


def stop(job, run):
    """Saves the model so far, unless a finished one is there, and says how to go on."""
    folder = job.settings.output_dir
    if holds_finished_model(folder):
        left = f"{folder}/ still holds the model of an earlier run"
    else:
        save(job, exact_model(job, run), run)
        left = f"the model so far is in {folder}/"
    say("Stopped", f"after step {run.step} of {job.total_steps}; {left}")
    if results_paths(folder)[1].exists():
        say("", "training_report.md and plots/ are those of an earlier run")
    say("", "To go on: the same command with --resume_from_checkpoint last")


def exact_model(job, saved):
    """The trained model in float32, as infer.py computes."""
    model = checkpoints.new_classifier(job.config)
    model.compile(jit_compile=job.device.xla)
    model.set_weights(saved.weights)
    return model


def calibrate(job, model, saved):
    """Fits temperature and, where several labels may hold, thresholds on held-out texts, and puts them into config.

    There the average of several runs, which nothing has validated yet, gets its validation score too.
    """
    from tfbert import calibration, evaluation, training

    with job.stopwatch("calibrating"):
        logits, labels = training.predict(model.predict_on_batch, job.validation, job.settings), job.validation.labels
        if saved.averaged:
            saved.validation_score = evaluation.score(job.metric, evaluation.decided(logits, job.several), labels)
        temperature = round(calibration.fit_temperature(logits, labels), 4)
        job.config["tfbert"]["temperature"] = temperature
        if job.several:
            thresholds = calibration.fit_thresholds(calibration.sigmoid(logits / temperature), labels)
            job.config["tfbert"]["thresholds"] = thresholds.tolist()


def save(job, model, saved):
    """Puts the model into --output_dir in one step: Hugging Face files, ONNX, history."""
    from tfbert.onnx_export import export_onnx
    from tfbert.predicting import onnx_model
    from tfbert.weights import get_weights

    some = job.validation.batch(range(min(8, len(job.validation))), job.settings.max_seq_length)
    with job.stopwatch("saving"), replaced_folder(job.settings.output_dir, owned=checkpoints.OUTPUT_FILES) as staged:
        checkpoints.save_classifier(staged, get_weights(model), job.config, job.tokenizer)
        onnx = staged / "onnx" / "model.onnx"
        onnx.parent.mkdir()
        export_onnx(model, onnx)
        difference = abs(onnx_model(staged)(some) - model.predict_on_batch(some)).max()
        if not difference < 1e-3:
            print(f"WARNING: the ONNX model differs by {difference:.1g} and is left out; infer.py will use Keras")
            shutil.rmtree(onnx.parent)
        write_json(staged / "history.json", list(saved.history))
        write_csv(staged / "history.csv", list(saved.history))


def test(job, model, runs, saved):
    """Evaluates all runs on the test split, which nothing has read before, and writes the report."""
    from tfbert import evaluation, reporting

    splits, labels, settings = job.splits, job.test.labels, job.settings
    temperature, thresholds = job.config["tfbert"]["temperature"], job.config["tfbert"].get("thresholds", 0.5)
    with job.stopwatch("evaluating"):
        print(f"Evaluating on {len(job.test):,} {job.task.unit} ...", flush=True)
        scores, logits = scores_of_runs(job, model, runs, saved)
        if job.several:
            metrics = evaluation.evaluate_several(logits, labels, splits.label_names, temperature, thresholds)
        else:
            metrics = evaluation.evaluate(logits, labels, splits.label_names, temperature, job.metric)
        predicted = evaluation.decided(logits / temperature, job.several, thresholds)
        right = (predicted == labels).reshape(len(labels), -1).all(axis=1)
        metrics["accuracy_by_length"] = evaluation.accuracy_by_length(job.test.full_lengths, right)
        metrics["truncated_share"] = float((job.test.full_lengths > settings.max_seq_length).mean())
    with job.stopwatch("baselines"):
        print(f"Training the TF-IDF baseline on the same {job.task.unit} ...", flush=True)
        texts = list(keys_of(splits.train)), list(keys_of(splits.test))
        metrics |= evaluation.baselines(job.metric, *texts, job.train.labels, labels)
    metrics |= facts(job, saved) | {"metric": job.metric, "seeds": scores}
    plots, report = results_paths(settings.output_dir)
    mistakes = evaluation.worst_mistakes(logits / temperature, job.test, texts[1], splits.label_names, thresholds)
    record = reporting.Record(job, metrics, saved.history, logits, mistakes, saved.strengths)
    reporting.write_all(plots, report, record)
    print()
    for line in reporting.headline(metrics, job.task):
        say(*line)
    say("Time", ", ".join(f"{name} {clock(seconds)}" for name, seconds in job.stopwatch.seconds.items()))
    say("Results", f"{settings.output_dir}/, {plots}/, {report}")
    say("Try", job.infer_command)


def scores_of_runs(job, model, runs, saved):
    """What each run reaches on the test split, and last their average where that is saved, a list of dicts; and the
    logits of the saved one, float32 (N, L).
    """
    from tfbert import evaluation, training

    scores = []
    others = [one for one in runs if one is not saved]
    for each in [*others, saved]:  # it comes last: the model keeps its weights
        model.set_weights(each.weights)
        logits = training.predict(model.predict_on_batch, job.test, job.settings)
        value = evaluation.score(job.metric, evaluation.decided(logits, job.several), job.test.labels)
        scores.append({"seed": "average" if each.averaged else each.seed, job.metric: value,
                       f"validation_{job.metric}": each.validation_score,
                       "train_seconds": each.train_seconds})  # fmt: skip
    return sorted(scores, key=lambda row: (row["seed"] == "average", row["seed"])), logits


def facts(job, saved):
    """What metrics.json says of a run beside its scores."""
    return {
        "n_train": len(job.train),
        "n_validation": len(job.validation),
        "n_test": len(job.test),
        "padding_share": job.batches(job.settings.seed).padding_share() if job.settings.method == "finetune" else None,
        "seed": saved.seed,
        "train_seconds": saved.train_seconds,
        "first_step_seconds": saved.first_step_seconds,
        "durations": job.stopwatch.seconds,
        "model": job.encoder.name,
        "model_source": job.encoder.description,
        "dataset": job.data.name,
        "dataset_source": job.data.description,
        "device": job.device.description,
        "precision": job.device.precision,
        "settings": vars(job.settings),
    }


if __name__ == "__main__":
    sys.exit(run(main))
