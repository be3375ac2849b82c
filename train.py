"""Fine-tunes a BERT-family encoder in TensorFlow on a text classification task, by default IMDb's movie reviews.

usage: python train.py
       python train.py --task_name emotions
       python train.py --train_file reviews.csv --text_column review --label_column sentiment

Leaves a model in output/, pictures in plots/ and a report in training_report.md.
"""

import sys
from dataclasses import replace

from tfbert.common.ahead import import_ahead
from tfbert.common.console import say
from tfbert.common.errors import run as run_command
from tfbert.common.files import replaced_folder, write_csv, write_json
from tfbert.common.settings import parse
from tfbert.common.timing import clock
from tfbert.model.folders import OUTPUT_FILES, save_classifier
from tfbert.training.jobs import prepare
from tfbert.training.outputs import holds_finished_model, remove_checkpoints
from tfbert.training.settings import TrainSettings
from tfbert.training.sizes import expected_duration

# TensorFlow takes seconds to import, as do these: the functions below do it when they need them
NEEDED_LATER = ("sklearn.linear_model", "sklearn.feature_extraction.text", "onnx", "onnxruntime", "seaborn")


def main(argv=None):
    settings = parse(TrainSettings, argv)
    with prepare(settings, argv) as job:
        import_ahead(*NEEDED_LATER)
        runs = learn(job)
        if runs[-1].interrupted:
            return stop(job, runs)
        model, run = finish(job, runs)
        save(job, run)
        metrics, logits = test(job, model, run, runs)
        report(job, run, metrics, logits)
        remove_checkpoints(settings.output_dir)


def learn(job):
    """A Run for each seed; fewer where the user interrupts. Where a teacher helps, job.alone is one without it."""
    from tfbert.training.features import fit_features
    from tfbert.training.models import new_model
    from tfbert.training.teaching import learn_from_teacher

    settings, runs = job.settings, []
    learn_once = fit_features if settings.method == "features" else fine_tune
    lessons = [(seed, job) for seed in range(settings.seed, settings.seed + settings.seeds)]
    if settings.teacher:
        learn_from_teacher(job)
        lessons.append((settings.seed + settings.seeds, replace(job, taught=None)))  # to compare with
    for seed, lesson in lessons:
        model = new_model(lesson, seed)
        with job.stopwatch("training and validation"):
            runs.append(learn_once(lesson, model, seed))
        if runs[-1].interrupted:
            break
    else:
        job.alone = runs.pop() if settings.teacher else None
    job.device.team.leave_to_chief(runs[-1].interrupted)
    return runs


def fine_tune(job, model, seed):
    """Trains the whole model, encoder and head: a Run. One step of it stands in tfbert/training/step.py."""
    from tfbert.training.evaluating import evaluation_of
    from tfbert.training.features import doubt_labels, start_head
    from tfbert.training.fitting import fit, run_facts
    from tfbert.training.runs import Run
    from tfbert.training.step import compile_classifier

    settings, team, batches = job.settings, job.device.team, job.batches(seed)
    if settings.head == "regression":
        start_head(job, model)
    elif job.task.is_own and seed == settings.seed:
        doubt_labels(job, model)
    with team.scope():
        compile_classifier(model, settings, job.total_steps, job.device.xla, job.class_weights)
    evaluate = evaluation_of(job.validation, settings, job.metric)
    facts = run_facts(settings, seed, job.encoder, job.data, batches, job.validation)

    def when_paced(seconds):
        if seed == settings.seed:
            say("Expected", expected_duration(job, seconds))

    progress = fit(model, batches, evaluate, settings, job.total_steps, facts, team, when_paced)
    return Run.of(progress, seed, job.metric)


def finish(job, runs):
    """The model, computing as it learnt, and the Run that it is of: the median of several, or their average.

    Texts held out of training say how far its confidence can be trusted.
    """
    from tfbert.training.models import calibrate, trained_model
    from tfbert.training.runs import average_run, median_run

    run = average_run(runs) if job.settings.average_seeds else median_run(runs)
    model = trained_model(job, run, job.device.policy)
    calibrate(job, model, run)
    return model, run


def save(job, run):
    """Puts the model into --output_dir in one step: Hugging Face files, ONNX, history."""
    from tfbert.inference.onnx_export import save_onnx
    from tfbert.model.weights import get_weights
    from tfbert.training.models import trained_model

    settings = job.settings
    with job.stopwatch("saving"), replaced_folder(settings.output_dir, owned=OUTPUT_FILES) as folder:
        model = trained_model(job, run)
        save_classifier(folder, get_weights(model), job.config, job.tokenizer)
        save_onnx(folder / "onnx", model, job.some_texts())
        write_json(folder / "history.json", list(run.history))
        write_csv(folder / "history.csv", list(run.history))


def test(job, model, run, runs):
    """Reads the test split, from which nothing was learnt: the figures of metrics.json, and the logits, (N, L)."""
    from tfbert.report.figures import baselines_on_test, facts, scores_on_test
    from tfbert.training.runs import gain_of_windows, scores_of_runs
    from tfbert.training.teaching import teacher_and_student

    with job.stopwatch("evaluating"):
        print(f"Evaluating on {len(job.test):,} {job.task.unit} ...", flush=True)
        by_run, logits = scores_of_runs(job, model, run, runs)
        job.doubt(logits, job.test.labels)
        metrics = scores_on_test(job, logits) | gain_of_windows(job, model, logits)
        if job.teacher:
            metrics["teaching"] = teacher_and_student(job, model, logits)
    with job.stopwatch("baselines"):
        print(f"Training the TF-IDF baseline on the same {job.task.unit} ...", flush=True)
        metrics |= baselines_on_test(job, logits)
    return metrics | facts(job, run) | {"seeds": by_run}, logits


def report(job, run, metrics, logits):
    """Writes report, pictures, metrics.json and model card, and says what matters most."""
    from tfbert.inference.explaining import answers_to, reasons_for
    from tfbert.inference.predicting import Predictor
    from tfbert.report.record import Record, write_all
    from tfbert.report.wording import headline

    predictor = Predictor(job.settings.output_dir)
    reasons, shown = reasons_for(predictor, job.splits.test), answers_to(predictor, job.shown or [])
    record = Record(job, run, metrics, logits, reasons, shown)
    write_all(record)
    print()
    for line in headline(metrics, job.task):
        say(*line)
    if job.suspects:
        looked_at = f"{job.looked_at:,} {job.task.unit}"
        say("Suspects", f"{len(job.suspects):,} of {looked_at} may be mislabelled: see the report")
    for note in record.notes:
        say("Note", note)
    say("Time", ", ".join(f"{name} {clock(seconds)}" for name, seconds in job.stopwatch.seconds.items()))
    say("Results", f"{job.settings.output_dir}/, {job.plots_dir}/, {job.report_path}")
    say("Try", job.infer_command)


def stop(job, runs):
    """Saves the model so far, that of the last seed that came to its end or else of the one that was stopped, unless a
    finished one is there, and says how to go on. Returns the exit code.
    """
    folder, (*done, run) = job.settings.output_dir, runs
    if holds_finished_model(folder):
        left = f"{folder}/ still holds the model of an earlier run"
    else:
        save(job, done[-1] if done else run)
        left = f"the model {f'of seed {done[-1].seed}' if done else 'so far'} is in {folder}/"
    say("Stopped", f"after step {run.step} of {job.total_steps}; {left}")
    if job.report_path.exists():
        say("", "training_report.md and plots/ are those of an earlier run")
    instead = f", and in place of --minutes: {job.minutes_as_flags or 'nothing'}" if job.settings.minutes else ""
    say("", f"To go on: the same command with --resume_from_checkpoint last{instead}")
    return 130


if __name__ == "__main__":
    sys.exit(run_command(main))
