"""Fine-tunes a BERT-family encoder in TensorFlow, by default on IMDb's movie reviews.

usage: python train.py

Leaves a model in output/, pictures in plots/ and a report in training_report.md.
"""

import json
import math
import shlex
import shutil
import sys
import time
from pathlib import Path

import numpy as np

from tfbert import checkpoints, configs
from tfbert.batches import Examples, TextEncoder, TrainBatches
from tfbert.console import say
from tfbert.device import find_device, matmul_rate
from tfbert.distribution import find_cluster
from tfbert.errors import UserError, run
from tfbert.files import replaced_folder, write_csv, write_json
from tfbert.outputs import begin, check_output_dir
from tfbert.settings import TrainSettings, fill_in, parse
from tfbert.sources import find_dataset, find_encoder
from tfbert.tasks import find_task, load_splits
from tfbert.timing import Stopwatch, clock


def main(argv=None):
    started, stopwatch = time.strftime("%Y-%m-%d %H:%M"), Stopwatch()
    settings = parse(TrainSettings, argv)
    task = find_task(settings.task_name)
    cluster = find_cluster()
    if cluster.is_chief:
        check_places(settings)

    with stopwatch("finding model and data"):
        encoder = find_encoder(settings.model_name_or_path)
        encoder_config = configs.read_config(encoder.folder)
        pretraining = read_pretraining(encoder.folder)
        data = find_dataset(settings.dataset_name, task.dataset_name)
    with stopwatch("starting TensorFlow"):
        device = find_device(settings.precision, settings.xla, cluster)
    check_team(settings, device.team)
    job = choose_size(settings, device, configs.model_config(encoder_config, encoder.folder))
    say("Task", f"{task.name}: {task.title}")
    say("Device", f"{device.description}, {device.precision} products, XLA {'on' if device.xla else 'off'}")
    say("Encoder", encoder.description)
    say("Data", data.description)
    say("Job", job)
    if device.hint:
        say("Hint", device.hint)

    with stopwatch("tokenizing"):
        splits = load_splits(task, data, settings)
        tokenizer = checkpoints.load_tokenizer(encoder.folder, settings.max_seq_length, encoder_config)
        text_encoder = TextEncoder(
            tokenizer.backend_tokenizer, settings.max_seq_length, settings.truncation, settings.head_share
        )
        train = Examples.tokenized(splits.train, text_encoder, "tokenizing train")
        validation = Examples.tokenized(splits.validation, text_encoder, "tokenizing validation")
        test = Examples.tokenized(splits.test, text_encoder, "tokenizing test")
    batch_size = settings.per_device_train_batch_size * device.team.size
    batches = TrainBatches(train, batch_size, settings.max_seq_length, settings.seed)
    total_steps = batches.steps(settings.num_train_epochs, settings.gradient_accumulation_steps)
    settings.eval_steps = settings.eval_steps or math.ceil(total_steps / 5)
    settings.save_steps = settings.save_steps or settings.eval_steps
    say("Texts", f"{len(train):,} to train, {len(validation):,} held out of train, {len(test):,} to test")
    say("Padding", f"{batches.padding_share():.1%} of the tokens in training batches")
    say("Steps", f"{total_steps:,} of {batch_size} reviews" + f", with {settings.seeds} seeds" * (settings.seeds > 1))

    import keras  # heavy imports wait until they are needed

    from tfbert import evaluation, training

    config = configs.classifier_config(encoder_config, splits.label_names, task.problem_type, settings)
    evaluate = training.evaluation_of(validation, settings.max_seq_length, settings.per_device_eval_batch_size)
    weights_of_labels = class_weights(settings, train.labels, len(splits.label_names))
    runs = []
    for seed in range(settings.seed, settings.seed + settings.seeds):
        with stopwatch("building the model"), device.team.scope():
            keras.utils.set_random_seed(seed)
            model, weights_line = checkpoints.load_classifier(encoder.folder, config, device.policy)
            training.compile_model(model, settings, total_steps, device.xla, weights_of_labels)
        if not runs:
            if cluster.is_chief:
                begin(settings, model, settings.seeds)
            say("Weights", weights_line)
            say("Expected", expected_duration(settings, model.config, device, batches, validation, test, total_steps))
        if settings.seeds > 1:
            say("Seed", f"{seed}, {len(runs) + 1} of {settings.seeds}")
        with stopwatch("training and validation"):
            batches = TrainBatches(train, batch_size, settings.max_seq_length, seed)
            facts = training.run_facts(settings, seed, encoder, data, batches)
            progress = training.fit(model, batches, evaluate, settings, total_steps, facts, device.team)
        runs.append(Run(seed, model.get_weights(), progress))
        if progress.interrupted:
            break
    if not cluster.is_chief:
        return 130 if progress.interrupted else 0
    saved = runs[-1] if progress.interrupted else median_run(runs)

    exact = checkpoints.new_classifier(config)  # float32, as infer.py computes
    exact.compile(jit_compile=device.xla)
    exact.set_weights(saved.weights)
    some = validation.batch(range(min(8, len(validation))), settings.max_seq_length)
    if progress.interrupted:
        save_model(settings.output_dir, exact, config, tokenizer, some, saved.history)
        say("Stopped", f"after step {progress.step} of {total_steps}; the model so far is in {settings.output_dir}/")
        say("", "To go on: the same command with --resume_from_checkpoint last")
        return 130

    def logits_of(run, examples):
        exact.set_weights(run.weights)
        batch_size = settings.per_device_eval_batch_size
        return training.predict(exact.predict_on_batch, examples, settings.max_seq_length, batch_size)

    with stopwatch("calibrating"):
        temperature = round(evaluation.fit_temperature(logits_of(saved, validation), validation.labels), 4)
        config["tfbert"]["temperature"] = temperature
    with stopwatch("saving"):
        save_model(settings.output_dir, exact, config, tokenizer, some, saved.history)

    with stopwatch("evaluating"):
        print(f"Evaluating on {len(test):,} test reviews ...", flush=True)
        logits = {each.seed: logits_of(each, test) for each in runs}
        metrics = evaluation.evaluate(logits[saved.seed], test.labels, splits.label_names, temperature)
        metrics["seeds"] = [
            {
                "seed": each.seed,
                "accuracy": float((logits[each.seed].argmax(axis=1) == test.labels).mean()),
                "validation_accuracy": each.validation_accuracy,
                "train_seconds": each.train_seconds,
            }
            for each in runs
        ]
        right = logits[saved.seed].argmax(axis=1) == test.labels
        metrics["accuracy_by_length"] = evaluation.accuracy_by_length(test.full_lengths, right)
        metrics["truncated_share"] = float((test.full_lengths > settings.max_seq_length).mean())
    with stopwatch("baseline"):
        print("Training the TF-IDF baseline on the same reviews ...", flush=True)
        texts = splits.train["text"], train.labels, splits.test["text"], test.labels
        metrics |= evaluation.baseline(*texts)
    metrics |= {
        "n_train": len(train),
        "n_validation": len(validation),
        "n_test": len(test),
        "padding_share": batches.padding_share(),
        "seed": saved.seed,
        "train_seconds": saved.train_seconds,
        "first_step_seconds": saved.first_step_seconds,
        "durations": stopwatch.seconds,
        "model": encoder.name,
        "model_source": encoder.description,
        "dataset": data.name,
        "dataset_source": data.description,
        "device": device.description,
        "precision": device.precision,
        "settings": vars(settings),
    }
    record = {
        "command": shlex.join(["python", "train.py", *(sys.argv[1:] if argv is None else argv)]),
        "started": started,
        "durations": stopwatch.seconds,
        "title": task.title if data.name == task.dataset_name else f"the texts of {Path(data.name).name}",
        "job": job,
        "settings": settings,
        "device": device,
        "encoder": encoder,
        "data": data,
        "weights_line": weights_line,
        "pretraining": pretraining,
        "label_names": splits.label_names,
        "published": task.published if data.name == task.dataset_name else (),
        "metrics": metrics,
        "history": saved.history,
        "logits": logits[saved.seed],
        "labels": test.labels,
        "mistakes": evaluation.worst_mistakes(logits[saved.seed] / temperature, test, splits),
    }
    from tfbert import reporting

    plots, report = results_paths(settings.output_dir)
    reporting.write_all(plots, report, record)
    shutil.rmtree(Path(settings.output_dir, "checkpoints"))

    print()
    if len(runs) > 1:
        say("Seeds", evaluation.mean_and_deviation([row["accuracy"] for row in metrics["seeds"]])
            + f" over {len(runs)} seeds; saved is seed {saved.seed}, the median on held-out reviews")  # fmt: skip
    say("Accuracy", f"{metrics['accuracy']:.2%} on {len(test):,} test reviews "
                    f"(95%: {metrics['accuracy_low']:.2%} to {metrics['accuracy_high']:.2%})")  # fmt: skip
    say("Baseline", f"{metrics['baseline_accuracy']:.2%} by TF-IDF + logistic regression on the same reviews")
    say("Time", ", ".join(f"{name} {clock(seconds)}" for name, seconds in stopwatch.seconds.items()))
    say("Results", f"{settings.output_dir}/, {plots}/, {report}")
    model_dir = "" if settings.output_dir == "output" else f"--model_dir {shlex.quote(settings.output_dir)} "
    say("Try", f'python infer.py {model_dir}"This movie is absolutely wonderful and inspiring."')


class Run:
    """What one seed gave: final weights, and figures from its Progress, which itself, with its model, may be freed."""

    def __init__(self, seed, weights, progress):
        self.seed, self.weights, self.history = seed, weights, progress.history
        self.train_seconds, self.first_step_seconds = progress.train_seconds, progress.first_step_seconds
        last = progress.last_validation()
        self.validation_accuracy = last and last["validation_accuracy"]


def median_run(runs):
    """The Run in the middle by accuracy on held-out reviews; of two in the middle, the lower one."""
    return sorted(runs, key=lambda run: run.validation_accuracy)[(len(runs) - 1) // 2]


def class_weights(settings, labels, count):
    """Balanced weights of the labels where asked for, else None. labels: int (N,); count: how many labels there are."""
    if settings.class_weights == "none":
        return None
    counts = np.bincount(labels, minlength=count)
    return (len(labels) / (count * np.maximum(counts, 1))).astype(np.float32)


def check_places(settings):
    """Refuses, before anything else happens, seeds that there are not, or places of results that cannot be written."""
    if settings.seed + settings.seeds > 2**32:
        raise UserError(f"--seed {settings.seed} --seeds {settings.seeds}: seeds end at {2**32 - 1}")
    if settings.seeds > 1 and settings.resume_from_checkpoint not in (None, "last"):
        raise UserError("--resume_from_checkpoint with several seeds: give last, which finds the checkpoint of each")
    folder = Path(settings.output_dir)
    for path in sorted([*folder.glob("model.safetensors*"), *folder.glob("pytorch_model*")]):
        # transformers 4 would choose it instead of tf_model.h5
        raise UserError(f"--output_dir {folder} holds {path.name}, which train.py did not write: choose another")
    check_output_dir(settings, checkpoints.OUTPUT_FILES, "metrics.json", "tf_model.h5")
    plots, report = results_paths(settings.output_dir)
    for path, is_wrong in ((plots, plots.is_file()), (report, report.is_dir())):
        if is_wrong:
            raise UserError(f"{path} is in the way: move it, or choose another --output_dir")


def check_team(settings, team):
    """Refuses what does not work on several devices or machines."""
    if settings.gradient_accumulation_steps > 1 and team.size > 1:
        raise UserError("--gradient_accumulation_steps works on one device: leave it out, or CUDA_VISIBLE_DEVICES=0")
    if settings.early_stopping_patience and len(team.cluster.workers) > 1:
        raise UserError("--early_stopping_patience works on one machine: --load_best_model_at_end works on several")


def results_paths(output_dir):
    """Where plots and report go: beside output/, or into an output folder of another name."""
    home = Path(".") if output_dir == "output" else Path(output_dir)
    return home / "plots", home / "training_report.md"


def choose_size(settings, device, config):
    """Fills in what the command line left open, for a GPU or a CPU and the encoder's width; returns it in words."""
    small = config.hidden_size <= 512
    chosen = {"learning_rate": 1e-4 if small else 2e-5}
    if device.is_gpu:
        # the recipe of Devlin et al. 2018, appendix A.3, at the length of Sun et al. 2019
        words = "full, as there is a GPU"
        chosen |= {"max_seq_length": 512, "num_train_epochs": 3.0, "per_device_train_batch_size": 32}
    else:
        words = "quick, as there is no GPU"
        chosen |= {"max_seq_length": 256, "num_train_epochs": 1.0, "per_device_train_batch_size": 16}
        chosen |= {"max_train_samples": 8000 if small else 2000, "max_eval_samples": 2000 if small else 1000}
        chosen |= {"hidden_dropout": 0.0}  # one epoch needs none, and its random numbers cost a tenth of the time
    chosen = fill_in(settings, chosen, config.max_length)
    return words + (": " + " ".join(f"--{name} {value}" for name, value in chosen.items()) if chosen else "")


def expected_duration(settings, config, device, batches, validation, test, total_steps):
    """In words, from the count of floating-point operations and the speed of a matrix product on this device."""
    width, inner = config.hidden_size, config.intermediate_size
    per_token = 2 * config.num_hidden_layers * (4 * width * width + 2 * width * inner)
    epoch_tokens = batches.tokens()[1]
    forward = int(test.lengths.sum()) + 5 * int(validation.lengths.sum())
    tokens = 3 * epoch_tokens * total_steps / batches.steps_per_epoch / device.team.size + forward
    tokens *= settings.seeds
    rate = 0.45 * matmul_rate(device.precision)  # the share of it that training reaches
    return f"about {max(1, round(tokens * per_token / rate / 60 + 0.5))} min of training and evaluation"


def read_pretraining(folder):
    """What pretrain.py did to the encoder in `folder`, its pretraining.json as a dict, or None."""
    path = Path(folder, "pretraining.json")
    if not path.exists():
        return None
    try:
        done = json.loads(path.read_text(encoding="utf-8"))
        return {name: done[name] for name in ("command", "model_source", "dataset_source", "texts", "train_seconds")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error!r}): delete it, or run pretrain.py again") from error


def save_model(folder, model, config, tokenizer, batch, history):
    """Puts the model into `folder` in one step: Hugging Face files, ONNX, history."""
    from tfbert.onnx_export import export_onnx, largest_difference
    from tfbert.weights import get_weights

    with replaced_folder(folder, owned=checkpoints.OUTPUT_FILES) as staged:
        checkpoints.save_classifier(staged, get_weights(model), config, tokenizer)
        onnx = staged / "onnx" / "model.onnx"
        onnx.parent.mkdir()
        export_onnx(model, onnx)
        difference = largest_difference(onnx, model, batch)
        if not difference < 1e-3:
            print(f"WARNING: the ONNX model differs by {difference:.1g} and is left out; infer.py will use Keras")
            shutil.rmtree(onnx.parent)
        write_json(staged / "history.json", history)
        write_csv(staged / "history.csv", history)


if __name__ == "__main__":
    sys.exit(run(main))
