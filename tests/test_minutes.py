"""--minutes: epochs, then texts are lowered; spare time becomes seeds that are averaged."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from conftest import reviews
from test_siblings import metrics_of, write

import train
from tfbert.common.errors import UserError
from tfbert.common.timing import Stopwatch
from tfbert.training import minutes
from tfbert.training.progress import Progress
from tfbert.training.settings import TrainSettings

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="for TensorFlow's steps")


class Few:
    """Texts of ten tokens."""

    def __init__(self, count):
        self.lengths = np.full(count, 10)

    def __len__(self):
        return len(self.lengths)


def small_job(settings, chosen):
    """A job of 1,000 texts, an epoch of 10,000 tokens, for which 10 s are gone."""
    batches = SimpleNamespace(steps_per_epoch=32, padded_tokens=lambda first, steps: 10_000)
    job = SimpleNamespace(settings=settings, chosen=chosen, stopwatch=Stopwatch(), train=Few(1000), test=Few(100), size="",
                          validation=Few(100), batches=lambda seed: batches, device=SimpleNamespace(is_gpu=False),
                          task=SimpleNamespace(is_long=False))  # fmt: skip
    job.stopwatch.seconds["before"] = 10.0
    return job


@pytest.mark.parametrize(
    "pace, flags, expected",
    [  # a minute less a tenth, 10 s that are gone, and 333 + 1,667 tokens to read; an epoch has 10,000
        (0.001, {}, {"num_train_epochs": 4.1}),
        (0.001, {"seeds": 3}, {"num_train_epochs": 1.2}),
        (0.008, {}, {"num_train_epochs": 1.0, "max_train_samples": 350}),
        (0.008, {"num_train_epochs": 2.0}, {"max_train_samples": 175}),
        (0.008, {"num_train_epochs": 2.0, "max_train_samples": 500}, {}),
        (0.0002, {}, {"seeds": 3, "average_seeds": True}),
        (0.0002, {"seeds": 2}, {}),
        (0.0006, {}, {}),
    ],
)
def test_what_fits_is_chosen(pace, flags, expected, monkeypatch):
    monkeypatch.setattr(minutes, "seconds_of_token", lambda job: pace)
    settings = TrainSettings(minutes=1.0, **flags)
    chosen = {} if settings.num_train_epochs else {"num_train_epochs": 6.0}
    settings.num_train_epochs = settings.num_train_epochs or 6.0
    job, before = small_job(settings, chosen), dict(vars(settings))
    if "max_train_samples" not in flags:  # what is drawn without --minutes too
        expected = {"max_train_samples": 1000, "validation_samples": 50} | expected
    minutes.fit_into_minutes(job)
    changed = {name: value for name, value in vars(settings).items() if value != before[name]}
    assert changed == pytest.approx(expected, rel=0.05)
    assert all(f"--{name}" in job.minutes_as_flags for name in expected) and job.minutes_as_flags in job.size
    assert ("takes longer" in job.size) == (flags == {"num_train_epochs": 2.0, "max_train_samples": 500})


@pytest.mark.parametrize("given, least", [(0.1, 1), (0.25, 1)])
def test_too_little_time_to_learn_anything_is_refused(given, least, monkeypatch):
    monkeypatch.setattr(minutes, "seconds_of_token", lambda job: 0.008)
    settings = TrainSettings(minutes=given, num_train_epochs=1.0)
    with pytest.raises(UserError, match=f"--minutes {given}: .* on this machine give at least {least}$"):
        minutes.fit_into_minutes(small_job(settings, {"num_train_epochs": 1.0}))


@pytest.mark.usefixtures("no_pictures")
def test_what_was_cut_goes_on_and_is_repeated_by_the_flags_that_it_names(untrained, tmp_path, monkeypatch, capsys):
    texts, labels = reviews(200, 3)
    path = write(tmp_path / "own.csv", ["text", "label"], zip(texts + texts[:20], labels + labels[:20]))
    arguments = ["--train_file", path, "--model_name_or_path", str(untrained), "--max_seq_length", "32",
                 "--learning_rate", "0.01", "--save_steps", "1"]  # fmt: skip
    monkeypatch.setattr(minutes, "seconds_of_token", lambda job: 0.01)
    begin = Progress.on_train_batch_begin

    def stopped(self, batch, logs=None):
        self.stop_asked = self.step == 2
        begin(self, batch, logs)

    in_time = [*arguments, "--output_dir", str(tmp_path / "model"), "--minutes", "1"]
    with monkeypatch.context() as patched:
        patched.setattr(Progress, "on_train_batch_begin", stopped)
        assert train.main(in_time) == 130
    said = " ".join(capsys.readouterr().out.split())
    flags = said.split("in place of --minutes: ")[1].split()
    assert {"--num_train_epochs", "--max_train_samples", "--validation_samples"} <= set(flags)
    by_flags = [*arguments, "--output_dir", str(tmp_path / "model"), *flags]
    assert train.main([*by_flags, "--resume_from_checkpoint", "last"]) is None
    resumed = metrics_of(tmp_path / "model")
    assert train.main([*arguments, "--output_dir", str(tmp_path / "again"), *flags]) is None
    again = metrics_of(tmp_path / "again")
    assert resumed["n_train"] == again["n_train"] == int(flags[flags.index("--max_train_samples") + 1]) < 140
    assert resumed["log_loss"] == pytest.approx(again["log_loss"], abs=1e-6)


@pytest.mark.usefixtures("no_pictures")
def test_real_steps_are_timed(untrained, tmp_path, capsys):
    path = write(tmp_path / "own.csv", ["text", "label"], zip(*reviews(200, 3)))
    arguments = ["--train_file", path, "--model_name_or_path", str(untrained), "--output_dir", str(tmp_path / "model"),
                 "--minutes", "0.5", "--max_seq_length", "32", "--seeds", "1", "--learning_rate", "0.01"]  # fmt: skip
    assert train.main(arguments) is None
    metrics = metrics_of(tmp_path / "model")
    assert "Minutes   0.5: " in capsys.readouterr().out and metrics["durations"]["timing some steps"] > 0
    assert metrics["accuracy"] > 0.8


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--resume_from_checkpoint", "last"], "give what the first run's Minutes line says"),
        (["--method", "features"], "--minutes chooses epochs"),
        (["--teacher", "large"], "what asking a --teacher takes"),
    ],
)
def test_what_does_not_go_with_it_is_refused(flags, words, tmp_path):
    with pytest.raises(UserError, match=words):
        train.main(["--minutes", "5", "--output_dir", str(tmp_path / "model"), *flags])
