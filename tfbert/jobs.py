"""A training job: what train.py's settings lead to, checked, completed and tokenized before TensorFlow has work."""

import json
import shlex
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tfbert import checkpoints, configs, scratch
from tfbert.batches import Examples, TextEncoder, TrainBatches
from tfbert.console import say
from tfbert.device import find_device, matmul_rate
from tfbert.distribution import find_cluster
from tfbert.errors import UserError
from tfbert.outputs import check_output_dir
from tfbert.settings import TrainSettings, command_of, fill_in
from tfbert.sources import find_dataset, find_encoder
from tfbert.splits import keys_of, load_splits, shares_of_labels
from tfbert.tasks import chosen_task
from tfbert.timing import Stopwatch

FOR_FINE_TUNING = ("learning_rate", "num_train_epochs", "per_device_train_batch_size", "hidden_dropout")


@dataclass
class Job:
    """What is to be done, with what: the settings and all that they led to."""

    settings: TrainSettings
    command: str
    started: str
    stopwatch: Stopwatch
    task: object
    encoder: object  # sources.Source, as data
    data: object
    device: object
    size: str  # what the device decided, in words
    pretraining: dict | None
    splits: object
    tokenizer: object
    config: dict  # config.json of the classifier
    train: Examples
    validation: Examples
    test: Examples
    weights_line: str = ""

    @property
    def several(self):
        """Whether several labels may hold."""
        return self.splits.problem_type == configs.MULTI_LABEL

    @property
    def metric(self):
        return "f1_micro" if self.several else self.task.metric

    @property
    def encoder_name(self):
        """In words, with what pretrain.py did to it."""
        done = self.pretraining
        return f"{done['model']} after masked language modelling" if done else self.encoder.name

    @property
    def infer_command(self):
        """How infer.py is called with the result."""
        folder = self.settings.output_dir
        words = [] if folder == "output" else ["--model_dir", shlex.quote(folder)]
        texts = 2 if "text_pair" in self.splits.train.column_names else 1
        return " ".join(["python infer.py", *words, *[f'"{self.task.example}"'] * texts])

    def batches(self, seed):
        size = self.settings.per_device_train_batch_size * self.device.team.size
        return TrainBatches(self.train, size, self.settings.max_seq_length, seed)

    @property
    def total_steps(self):
        batches = self.batches(self.settings.seed)
        return batches.steps(self.settings.num_train_epochs, self.settings.gradient_accumulation_steps)


def prepare(settings, arguments, stack):
    """The Job: finds encoder, data and device, says so, and tokenizes. stack: an ExitStack for what is temporary."""
    started, stopwatch = time.strftime("%Y-%m-%d %H:%M"), Stopwatch()
    task, cluster = chosen_task(settings), find_cluster()
    check_settings(settings)
    if cluster.is_chief:
        check_places(settings)
    with stopwatch("finding model and data"):
        data = find_dataset(task, settings)
        encoder = None if settings.from_scratch else find_encoder(settings.model_name_or_path)
        config = configs.read_encoder_config(encoder.folder) if encoder else scratch.new_config(settings.from_scratch)
        pretraining = read_pretraining(encoder.folder) if encoder else None
    with stopwatch("starting TensorFlow"):
        device = find_device(settings.precision, settings.xla, cluster)
    check_team(settings, device.team)
    size = choose_size(settings, task, device, configs.model_config(config, encoder.folder if encoder else "new"))
    say("Task", f"{task.name}: {task.title}")
    say("Device", device.in_words)
    say("Data", data.description)
    with stopwatch("tokenizing"):
        splits = load_splits(task, data, settings)
        if pretraining and splits.test_is_drawn and pretraining["dataset"] == data.name:
            if pretraining["seed"] != settings.seed:
                splits.notes.append(
                    f"pretrain.py drew with --seed {pretraining['seed']}, so it has read texts that are tested on here"
                )
        if not encoder:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            encoder = scratch.new_encoder(settings.from_scratch, list(keys_of(splits.train)), folder)
            config = configs.read_encoder_config(encoder.folder)
        say("Encoder", encoder.description)
        say("Job", size)
        if device.hint:
            say("Hint", device.hint)
        tokenizer = checkpoints.load_tokenizer(encoder.folder, settings.max_seq_length, config)
        text_encoder = TextEncoder(
            tokenizer.backend_tokenizer, settings.max_seq_length, settings.truncation, settings.head_share
        )
        pair = "text_pair" in splits.train.column_names
        job = Job(
            settings, command_of("train.py", arguments), started, stopwatch, task, encoder, data, device,
            size, pretraining, splits, tokenizer,
            configs.classifier_config(config, splits.label_names, splits.problem_type, settings, pair),
            Examples.tokenized(splits.train, text_encoder, "tokenizing train", device.xla),
            Examples.tokenized(splits.validation, text_encoder, "tokenizing validation", device.xla),
            Examples.tokenized(splits.test, text_encoder, "tokenizing test", device.xla),
        )  # fmt: skip
    if job.several and settings.class_weights == "balanced":
        raise UserError("--class_weights balanced is for tasks with one label a text")
    if not task.is_own:
        job.config["tfbert"]["example"] = task.example
    describe(job)
    return job


def describe(job):
    """Says what there is to learn from."""
    settings, splits = job.settings, job.splits
    origin = "from --validation_file" if settings.validation_file else "held out of train"
    say("Texts", f"{len(job.train):,} to train, {len(job.validation):,} {origin}, {len(job.test):,} to test")
    shares = shares_of_labels(splits.train, splits.label_names)
    named = [f"{name} {share:.0%}" for name, share in zip(splits.label_names, shares)]
    say("Labels", ", ".join(named[:12]) + (f" and {len(named) - 12} more" if len(named) > 12 else ""))
    if not job.several and shares.max() > 4 * shares.min() and settings.class_weights == "none":
        say("Hint", "labels differ much in number: --class_weights balanced gives all the same weight")
    for note in splits.notes:
        say("Note", note)
    if settings.method == "finetune":
        batches = job.batches(settings.seed)
        say("Padding", f"{batches.padding_share():.1%} of the tokens in training batches")
        seeds = f", with {settings.seeds} seeds" * (settings.seeds > 1)
        say("Steps", f"{job.total_steps:,} of {batches.batch_size} {job.task.unit}{seeds}")


def check_settings(settings):
    """Refuses settings that do not go together."""
    if settings.seed + settings.seeds > 2**32:
        raise UserError(f"--seed {settings.seed} --seeds {settings.seeds}: seeds end at {2**32 - 1}")
    if settings.seeds > 1 and settings.resume_from_checkpoint not in (None, "last"):
        raise UserError("--resume_from_checkpoint with several seeds: give last, which finds the checkpoint of each")
    if settings.average_seeds and settings.seeds == 1:
        raise UserError("--average_seeds averages several runs: add --seeds 3")
    if settings.from_scratch and settings.model_name_or_path:
        raise UserError("--from_scratch makes a new encoder: leave --model_name_or_path out")
    if settings.method == "features":
        if settings.from_scratch:
            raise UserError("--method features: an encoder from scratch knows nothing; leave --from_scratch out")
        if settings.pooling == "pooler":
            raise UserError("--method features takes the encoder's own vectors: --pooling first or --pooling mean")
        if settings.resume_from_checkpoint:
            raise UserError("--method features has no checkpoints to resume from")
        for name in FOR_FINE_TUNING:
            if getattr(settings, name) is not None:
                raise UserError(f"--method features leaves the encoder as it is: leave --{name} out")


def check_places(settings):
    """Refuses, before anything else happens, places of results that cannot be written."""
    folder = Path(settings.output_dir)
    for path in sorted([*folder.glob("model.safetensors*"), *folder.glob("pytorch_model*")]):
        # transformers 4 would choose it instead of tf_model.h5
        raise UserError(f"--output_dir {folder} holds {path.name}, which train.py did not write: choose another")
    later = set() if settings.output_dir == "output" else {"plots", "training_report.md"}
    check_output_dir(settings, checkpoints.OUTPUT_FILES, "metrics.json", "tf_model.h5", later)
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
    if settings.method == "features" and team.size > 1:
        raise UserError("--method features uses one device: set CUDA_VISIBLE_DEVICES=0")


def results_paths(output_dir):
    """Where plots and report go: beside output/, or into an output folder of another name."""
    home = Path(".") if output_dir == "output" else Path(output_dir)
    return home / "plots", home / "training_report.md"


def choose_size(settings, task, device, config):
    """Fills in what the command line left open, by task, device and the encoder's width; returns it in words."""
    small = config.hidden_size <= 512
    chosen = {
        "learning_rate": 1e-4 if small else 2e-5,
        "num_train_epochs": task.epochs,
        "per_device_train_batch_size": 32 if device.is_gpu else 16,
        "max_seq_length": min(config.max_length, 512 if device.is_gpu else 256),
        "pooling": "first" if settings.method == "features" else "pooler",
    }
    if settings.from_scratch:
        chosen |= {"learning_rate": 3e-4, "num_train_epochs": 20.0}
    if task.is_long and not device.is_gpu:
        chosen |= {"num_train_epochs": 1.0, "max_train_samples": 8000 if small else 2000}
        chosen |= {"max_eval_samples": 2000 if small else 1000}
        if (settings.num_train_epochs or 1.0) <= 1.0:  # needs no dropout, whose random numbers take a tenth of the time
            chosen["hidden_dropout"] = 0.0
    if settings.method == "features":
        chosen = {name: value for name, value in chosen.items() if name not in FOR_FINE_TUNING}
    chosen = fill_in(settings, chosen, config.max_length)
    flags = " ".join(f"--{name} {value}" for name, value in chosen.items())
    if "max_train_samples" in chosen:
        return f"quick, as there is no GPU: {flags}"
    return f"by default {flags}" if flags else "as the command says"


def expected_duration(job, config, batches):
    """In words, from the count of floating-point operations and the speed of a matrix product on this device."""
    width, inner, team = config.hidden_size, config.intermediate_size, job.device.team
    per_token = 2 * config.num_hidden_layers * (4 * width * width + 2 * width * inner)
    epoch_tokens = batches.tokens()[1]
    forward = int(job.test.lengths.sum()) + 5 * int(job.validation.lengths.sum())
    tokens = 3 * epoch_tokens * job.total_steps / batches.steps_per_epoch / team.size + forward
    tokens *= job.settings.seeds
    rate = 0.45 * matmul_rate(job.device.precision)  # the share of it that training reaches
    return f"about {max(1, round(tokens * per_token / rate / 60 + 0.5))} min of training and evaluation"


def read_pretraining(folder):
    """What pretrain.py did to the encoder in `folder`, its pretraining.json as a dict, or None."""
    path = Path(folder, "pretraining.json")
    if not path.exists():
        return None
    try:
        done = json.loads(path.read_text(encoding="utf-8"))
        wanted = "command", "model", "model_source", "dataset", "dataset_source", "seed", "texts", "train_seconds"
        return {name: done[name] for name in wanted}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error!r}): delete it, or run pretrain.py again") from error
