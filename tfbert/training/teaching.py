"""--teacher: a smaller model learns what a larger one, which is trained already, says of every text.

As Hinton et al. 2015 (arXiv:1503.02531); for BERT, Turc et al. 2019 (arXiv:1908.08962).

The teacher reads each text once. What it said is kept in the cache, a file for each CHUNK of texts, so that a run that
was stopped, or another one with the same texts, does not ask again.
"""

import hashlib
import time
from pathlib import Path

import numpy as np

from tfbert.common.console import say
from tfbert.common.errors import UserError
from tfbert.common.files import read_whole, replaced_file, sum_of
from tfbert.common.timing import Countdown
from tfbert.data.batches import Examples
from tfbert.data.mirrors import cache_folder
from tfbert.data.splits import load_unlabelled
from tfbert.data.tasks import MULTI_LABEL
from tfbert.model.configs import model_config, read_config
from tfbert.model.text_settings import encoder_as_trained, reading_config
from tfbert.report.calibration import sigmoid, softmax
from tfbert.report.metrics import decided, score
from tfbert.training.evaluating import predict
from tfbert.training.jobs import describe_steps

SHARE = 0.5  # of what a text with a label teaches, the teacher's; of one without, all is
CHUNK = 1024  # texts
TIMED = 256  # test texts


class Teacher:
    """The classifier in job.settings.teacher, with the labels of the job, whatever their order in its folder.

    Raises UserError where the folder holds no classifier, or one for other labels.
    """

    def __init__(self, job):
        self.job, self.folder = job, job.settings.teacher
        if not Path(self.folder, "config.json").is_file():
            raise UserError(f"--teacher {self.folder}: no config.json in it; name a folder that train.py wrote")
        read_whole(self.folder, self.load)

    def load(self):
        from tfbert.model.folders import load_trained

        job, folder = self.job, self.folder
        config = model_config(read_config(folder), folder)
        reading = reading_config(read_config(folder), folder)
        names, its = job.splits.label_names, list(config.id2label.values())
        if sorted(names) != sorted(its):
            raise UserError(f"--teacher {folder} knows the labels {some(its)}; the texts have {some(names)}")
        pairs = "text_pair" in job.splits.train.column_names
        if (config.problem_type == MULTI_LABEL) != job.several or reading["pair"] != pairs:
            raise UserError(f"--teacher {folder} is of another kind of task: several labels and pairs must agree")
        self.order = [its.index(name) for name in names]
        self.temperature = reading["temperature"]
        self.thresholds = np.array(reading.get("thresholds", [0.5] * len(its)))[self.order]
        self.encoder = encoder_as_trained(folder, config, reading)
        self.length = self.encoder.max_seq_length
        self.model = load_trained(folder, job.device.policy)
        self.model.compile(jit_compile=job.device.xla)
        self.mark = f"{mark_of(folder)}-{job.device.policy}"

    def examples(self, dataset):
        """Examples of a `datasets.Dataset`, as the teacher reads it."""
        return Examples.tokenized(dataset, self.encoder, "tokenizing for the teacher", self.job.device.xla)

    def logits(self, examples):
        """What the teacher says, in its own order of labels, float32 (N, L)."""
        return predict(self.model.predict_on_batch, examples, self.job.settings, self.length)

    def in_order(self, logits):
        """With the teacher's temperature, and in the job's order of labels."""
        return logits[:, self.order] / np.float32(self.temperature)

    def probabilities(self, dataset):
        """What the teacher says of each text of a `datasets.Dataset`, float32 (N, L); the cache is asked first."""
        found, countdown = [], Countdown(len(dataset))
        for start in range(0, len(dataset), CHUNK):
            examples = self.examples(dataset.select(range(start, min(start + CHUNK, len(dataset)))))
            path = Path(cache_folder(), "teachers", self.mark, f"{examples.fingerprint()}.npy")
            if not path.exists():
                logits = self.logits(examples)
                with replaced_file(path) as staged, open(staged, "wb") as file:
                    np.save(file, logits)
            countdown.done(len(examples))
            found.append(np.load(path))
        return (sigmoid if self.job.several else softmax)(self.in_order(np.concatenate(found)))


def learn_from_teacher(job):
    """Gives the job the texts to learn from with what the teacher says of them, the unlabelled ones included."""
    with job.stopwatch("asking the teacher"):
        teacher, labels = Teacher(job), job.train.labels
        more = unlabelled(job) if job.settings.unsupervised or job.settings.unlabelled_file else None
        said = teacher.probabilities(job.splits.train)
        held = labels if job.several else np.eye(len(job.splits.label_names), dtype=np.float32)[labels]
        job.taught = job.train.taught((1 - SHARE) * held + SHARE * said)
        if more:
            others = Examples.tokenized(more, job.text_encoder, "tokenizing unlabelled", job.device.xla)
            job.taught = job.taught.followed_by(others.taught(teacher.probabilities(more)))
        job.teacher = teacher
    describe_steps(job)


def unlabelled(job):
    """The texts without labels, a `datasets.Dataset` like that of train, whose labels say nothing."""
    train, more = job.splits.train, load_unlabelled(job.task, job.data, job.settings, job.splits)
    say("Unlabelled", f"{len(more):,} {job.task.unit}, which the teacher labels")
    return more.add_column("label", [train[0]["label"]] * len(more), feature=train.features["label"])


def teacher_and_student(job, model, logits):
    """Rows of the report, a list of dicts: how good the teacher, the student, and the student without the teacher are
    on the test texts, how large, and how many milliseconds they take for one, many at a time.

    model, logits: the student and what it says, float (N, L).
    """
    teacher, metric = job.teacher, job.metric
    thresholds = job.config["tfbert"].get("thresholds", 0.5)
    read_by_teacher = teacher.examples(job.splits.test)
    of_teacher = teacher.in_order(teacher.logits(read_by_teacher))
    of_student = logits / job.config["tfbert"]["temperature"]

    weights = model.get_weights()
    model.set_weights(job.alone.weights)
    alone = predict(model.predict_on_batch, job.test, job.settings)
    model.set_weights(weights)

    def row(who, logits, thresholds, model, *reading):
        value = score(metric, decided(logits, job.several, thresholds), job.test.labels)
        numbers, pace = model.count_params(), milliseconds(model, job.settings, *reading)
        return {"who": who, metric: value, "parameters": numbers, "milliseconds": pace}

    ours = model, job.test, job.settings.max_seq_length
    return [
        row(f"the teacher, {teacher.folder}", of_teacher, teacher.thresholds, teacher.model, read_by_teacher,
            teacher.length),
        row("the student", of_student, thresholds, *ours),
        row("the student without the teacher", alone, 0.5, *ours),
    ]  # fmt: skip


def milliseconds(model, settings, examples, length):
    """What a text takes, a float: of the first TIMED, the second time that they are read."""
    some = examples.first(TIMED)
    for _ in range(2):
        begun = time.perf_counter()
        predict(model.predict_on_batch, some, settings, length)
        seconds = time.perf_counter() - begun
    return 1000 * seconds / len(some)


def mark_of(folder):
    """Changes with the files of a model folder, a str."""
    found = hashlib.sha256()
    for path in sorted(path for path in Path(folder).iterdir() if path.is_file()):
        if path.suffix in (".h5", ".safetensors", ".json", ".txt"):
            found.update(f"{path.name} {sum_of(path)}".encode())
    return found.hexdigest()[:16]


def some(names):
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
