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
from tfbert.training.settings import TrainSettings

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="for TensorFlow's steps")


class Few:
    """Texts of ten tokens."""

    def __init__(self, count):
        self.lengths = np.full(count, 10)

    def __len__(self):
        return len(self.lengths)

    def first(self, count):
        return Few(count)

    def select(self, rows):
        return Few(len(rows))


@pytest.mark.parametrize(
    "pace, flags, expected",
    [  # a minute less a tenth, 10 s that are gone, and 333 + 1,667 tokens to read; an epoch has 10,000
        (0.001, {}, {"num_train_epochs": 4.1}),
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
    by_default = {} if settings.num_train_epochs else {"num_train_epochs": 6.0}
    settings.num_train_epochs = settings.num_train_epochs or 6.0
    batches = SimpleNamespace(steps_per_epoch=32, padded_tokens=lambda first, steps: 10_000)
    job = SimpleNamespace(settings=settings, stopwatch=Stopwatch(), train=Few(1000), test=Few(100), size="",
                          validation=Few(100), splits=SimpleNamespace(train=Few(1000)), batches=lambda seed: batches)  # fmt: skip
    job.stopwatch.seconds["before"] = 10.0
    before = dict(vars(settings))
    minutes.fit_into_minutes(job, by_default)
    changed = {name: value for name, value in vars(settings).items() if value != before[name]}
    assert changed == pytest.approx(expected, rel=0.05)
    assert len(job.train) == len(job.splits.train) == changed.get("max_train_samples", 1000)
    assert all(f"--{name}" in job.size for name in expected)


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
    ],
)
def test_what_does_not_go_with_it_is_refused(flags, words, tmp_path):
    with pytest.raises(UserError, match=words):
        train.main(["--minutes", "5", "--output_dir", str(tmp_path / "model"), *flags])
