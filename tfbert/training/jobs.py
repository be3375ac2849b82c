"""A training job: what train.py's settings lead to, checked, completed and tokenized before TensorFlow has work."""

import contextlib
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tfbert.common.console import say
from tfbert.common.locks import sole_run
from tfbert.common.settings import command_of
from tfbert.common.systems import WINDOWS, quoted
from tfbert.common.timing import Stopwatch
from tfbert.data.batches import Examples, TrainBatches
from tfbert.data.labels import balanced_weights, has_lists, shares_of_labels
from tfbert.data.sketch import notes_on_learnt
from tfbert.data.sources import find_dataset, find_encoder
from tfbert.data.splits import keys_of, load_splits, read_parts
from tfbert.data.tables import read_examples
from tfbert.data.tasks import MULTI_LABEL, chosen_task
from tfbert.data.tokenizing import TextEncoder
from tfbert.data.vocabulary import known_in_words, unknown_share
from tfbert.model import configs, scratch
from tfbert.model.backend import load_keras
from tfbert.model.config_files import trained_pooling
from tfbert.model.vocabulary import fitted_config, load_tokenizer
from tfbert.report.calibration import probabilities_of
from tfbert.report.suspects import suspects_of
from tfbert.report.wording import UNBALANCED
from tfbert.training.checks import (
    check_kind,
    check_memory,
    check_places,
    check_settings,
    check_steps,
    check_team,
    notes_on_labels,
)
from tfbert.training.device import find_device
from tfbert.training.minutes import fit_into_minutes
from tfbert.training.outputs import is_default, results_paths
from tfbert.training.pretraining import read_pretraining
from tfbert.training.settings import TrainSettings
from tfbert.training.sizes import choose_for_texts, choose_size, in_words
from tfbert.training.team import find_cluster


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
    chosen: dict  # settings that the command line left open, and what they became
    size: str  # the same in words
    pretraining: dict | None
    splits: object
    tokenizer: object
    config: dict  # config.json of the classifier
    train: Examples
    validation: Examples
    test: Examples
    cut: Examples | None  # the test texts that windows read whole, as they would be cut
    text_encoder: TextEncoder  # of the texts to learn from
    shown: list | None = None  # texts and labels that the report shows in place of test texts
    weights_line: str = ""
    head: list | None = None  # kernel and bias from regression, where fine-tuning starts
    taught: Examples | None = None  # what is learnt from instead of train, where there is a teacher
    teacher: object = None  # a teaching.Teacher
    alone: object = None  # a Run of the student without it
    minutes_as_flags: str = ""  # what --minutes has chosen, as a command line says it
    held_out: list | None = None  # probabilities by models that learnt from other texts, float (N, L), see suspects_of

    @property
    def several(self):
        """Whether several labels may hold."""
        return self.splits.problem_type == MULTI_LABEL

    @property
    def metric(self):
        return "f1_micro" if self.several else self.task.metric

    @property
    def encoder_name(self):
        """In words, with what pretrain.py did to it."""
        done = self.pretraining
        return f"{done['model']} after masked language modelling" if done else self.encoder.name

    @property
    def plots_dir(self):
        return results_paths(self.settings.output_dir)[0]

    @property
    def report_path(self):
        return results_paths(self.settings.output_dir)[1]

    @property
    def infer_command(self):
        """How infer.py is called with the result."""
        folder = self.settings.output_dir
        words = [] if is_default(folder) else ["--model_dir", quoted(folder)]
        texts = 2 if "text_pair" in self.splits.train.column_names else 1
        return " ".join(["python infer.py", *words, *[f'"{self.task.example}"'] * texts])

    def batches(self, seed):
        size = self.settings.per_device_train_batch_size * self.device.team.size
        return TrainBatches(self.taught or self.train, size, self.settings.max_seq_length, seed)

    @property
    def class_weights(self):
        """Factors of the loss, float32 (L,), or None."""
        if self.settings.class_weights == "balanced":
            return balanced_weights(self.train.labels, len(self.splits.label_names))
        return None

    @cached_property
    def test_texts(self):
        """Those of the test split, a list of str; of pairs, both."""
        return list(keys_of(self.splits.test))

    def doubt(self, logits, labels):
        """Keeps what the finished model says of texts of one's own that it did not learn from, as suspects_of wants it.

        logits: without temperature, float (N, L); labels: as those of Examples.
        """
        if self.held_out and self.task.is_own:
            self.held_out.append(probabilities_of(logits / self.config["tfbert"]["temperature"], labels))

    @cached_property
    def suspects(self):
        """Texts that may be mislabelled, once held_out is there, as suspects_of gives them."""
        return suspects_of(self)

    @property
    def looked_at(self):
        """Among how many texts suspects are looked for."""
        return sum(map(len, self.held_out or []))

    def some_texts(self):
        """The model's inputs for a few held-out texts."""
        return self.validation.batch(range(min(8, len(self.validation))), self.settings.max_seq_length)

    @property
    def total_steps(self):
        batches = self.batches(self.settings.seed)
        return batches.steps(self.settings.num_train_epochs, self.settings.gradient_accumulation_steps)


@contextlib.contextmanager
def prepare(settings, argv=None):
    """The Job: finds encoder, data and device, says so, and tokenizes. What is temporary goes when the block ends.

    No other run has the output folder until then. argv: the words that gave the settings; None: the command line's.
    """
    with contextlib.ExitStack() as stack:
        yield new_job(settings, argv, stack)


def new_job(settings, argv, stack):
    """As prepare. stack: an ExitStack for what is temporary."""
    if sys.platform == "darwin":
        load_keras()  # a pyarrow that comes before TensorFlow can hang it (keras-team/keras, issue 23083)
    if WINDOWS:
        import onnxruntime  # noqa: F401  (what it lacks there would show when training is over)
    started, stopwatch = time.strftime("%Y-%m-%d %H:%M"), Stopwatch()
    task, cluster = chosen_task(settings), find_cluster()
    check_settings(settings)
    if cluster.is_chief:
        stack.enter_context(sole_run(settings.output_dir, lambda line: say("Note", line)))
        check_places(settings)
    with stopwatch("finding model and data"):
        data = find_dataset(task, settings)
        parts = read_parts(task, data, settings)  # what is wrong with them shows before anything else takes its time
        pairs = "text_pair" in parts.train.column_names
        check_kind(settings, has_lists(parts.train), pairs)
        shown = settings.example_file and read_examples(settings.example_file, parts.label_names, parts.notes)
        encoder = None if settings.from_scratch else find_encoder(settings.model_name_or_path, task.encoder)
        config = configs.read_encoder_config(encoder.folder) if encoder else scratch.new_config(settings.from_scratch)
        pretraining = read_pretraining(encoder.folder) if encoder else None
    with stopwatch("starting TensorFlow"):
        device = find_device(settings.precision, settings.xla, cluster)
    check_team(settings, device.team)
    shape = configs.model_config(config, encoder.folder if encoder else "new")
    chosen = choose_size(settings, task, device, shape, encoder and trained_pooling(encoder.folder))
    say("Task", f"{task.name}: {task.title}")
    say("Device", device.in_words)
    say("Data", data.description)
    with stopwatch("tokenizing"):
        splits = load_splits(task, parts, settings)
        if not encoder:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            encoder = scratch.new_encoder(settings.from_scratch, list(keys_of(splits.train)), folder)
            config = configs.read_encoder_config(encoder.folder)
        say("Encoder", encoder.description)
        chosen |= choose_for_texts(settings, len(splits.train))
        size = in_words(chosen)
        say("Job", size)
        if device.hint:
            say("Hint", device.hint)
        tokenizer = load_tokenizer(encoder.folder, settings.max_seq_length, config, settings.do_lower_case)
        config = fitted_config(config, tokenizer, encoder.folder)
        if pairs:
            settings.long_texts = "cut"

        def config_of_classifier():
            return configs.classifier_config(config, splits.label_names, splits.problem_type, settings, pairs)

        def text_encoder(long_texts):
            cutting = settings.truncation, settings.head_share, long_texts
            return TextEncoder(tokenizer.backend_tokenizer, settings.max_seq_length, *cutting)

        of_training, of_answering = text_encoder("cut"), text_encoder(settings.long_texts)
        job = Job(
            settings, command_of("train.py", argv), started, stopwatch, task, encoder, data, device,
            chosen, size, pretraining, splits, tokenizer,
            config_of_classifier(),
            Examples.tokenized(splits.train, of_training, "tokenizing train", device.xla),
            Examples.tokenized(splits.validation, of_answering, "tokenizing validation", device.xla),
            test := Examples.tokenized(splits.test, of_answering, "tokenizing test", device.xla),
            cut_ones(test, splits.test, of_training), of_training, shown,
        )  # fmt: skip
    share = unknown_share(job.train, of_training)
    unknown = None if share is None else known_in_words(share, encoder.name)
    if settings.minutes:
        fit_into_minutes(job)
        job.config = config_of_classifier()
        if settings.max_train_samples < len(job.train):
            job.splits = splits = load_splits(task, parts, settings)
            job.train = job.train.first(len(splits.train))
    if settings.method == "finetune":
        check_steps(settings, job.batches(settings.seed))
    evaluated = max(len(job.validation), len(job.test))
    check_memory(settings, shape, device, job.train.lengths.max(), evaluated)
    splits.notes += notes_on_labels(len(splits.label_names), len(job.train))
    learners = {f"the encoder, {encoder.name},": encoder.folder, f"the teacher, {settings.teacher},": settings.teacher}
    splits.notes += notes_on_learnt(learners, splits.test["text"], task.unit)
    job.config["tfbert"]["example"] = task.example
    describe(job)
    if unknown:
        say("Unknown", unknown)
    return job


def cut_ones(test, dataset, encoder):
    """Those of the test Examples that are read in windows, as an encoder cuts them; None where there are none."""
    if len(test.lengths) == len(test):
        return None
    longer = np.flatnonzero(test.full_lengths > encoder.max_seq_length)
    return Examples.tokenized(dataset.select(longer), encoder, "tokenizing long texts")


def describe(job):
    """Says what there is to learn from."""
    settings, splits = job.settings, job.splits
    origin = "from --validation_file" if settings.validation_file else "held out of train"
    say("Texts", f"{len(job.train):,} to train, {len(job.validation):,} {origin}, {len(job.test):,} to test")
    shares = shares_of_labels(splits.train, splits.label_names)
    named = [f"{name} {share:.0%}" for name, share in zip(splits.label_names, shares)]
    say("Labels", ", ".join(named[:12]) + (f" and {len(named) - 12} more" if len(named) > 12 else ""))
    if not job.several and shares.max() > UNBALANCED * shares.min() and settings.class_weights == "none":
        say("Hint", "labels differ much in number: --class_weights balanced gives all the same weight")
    for note in dict.fromkeys(splits.notes):
        say("Note", note)
    if settings.method == "finetune" and not settings.teacher:
        describe_steps(job)


def describe_steps(job):
    """Says how it will be learnt; with a teacher, once it has said what."""
    batches = job.batches(job.settings.seed)
    say("Padding", f"{batches.padding_share():.1%} of what the batches hold fills short texts up")
    seeds = f", with {job.settings.seeds} seeds" * (job.settings.seeds > 1)
    say("Steps", f"{job.total_steps:,}, each of {batches.batch_size} {job.task.unit}{seeds}")
