"""What the command line leaves open is filled in by the data, the device and the encoder."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import FIXTURES

from tfbert.common.errors import UserError
from tfbert.data.tasks import chosen_task
from tfbert.model import configs
from tfbert.model.config_files import trained_pooling
from tfbert.training.settings import TrainSettings
from tfbert.training.sizes import choose_for_texts, choose_size, expected_duration

CPU = SimpleNamespace(is_gpu=False, team=SimpleNamespace(size=1))
SHAPE = configs.model_config(configs.read_encoder_config(FIXTURES / "tiny_bert"), "tiny_bert")


def sentence_encoder(folder, **pooling):
    """A folder with what sentence-transformers writes of how an encoder pools."""
    (folder / "1_Pooling").mkdir(parents=True)
    kinds = [{"type": "sentence_transformers.models.Transformer", "path": ""},
             {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]  # fmt: skip
    (folder / "modules.json").write_text(json.dumps(kinds))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 8, **pooling}))
    return folder


@pytest.mark.parametrize(
    "pooling, expected",
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "first"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, None),
        ({"pooling_mode_max_tokens": True}, None),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": "cls"}, "first"),
        ({"pooling_mode": ["mean", "max"]}, None),
    ],
)
def test_the_pooling_that_an_encoder_was_trained_for(pooling, expected, tmp_path):
    assert trained_pooling(sentence_encoder(tmp_path / "encoder", **pooling)) == expected


def test_other_folders_say_nothing_of_pooling(tmp_path):
    assert trained_pooling(tmp_path) is None
    (tmp_path / "modules.json").write_text('{"type": 1}')
    assert trained_pooling(tmp_path) is None
    (tmp_path / "modules.json").write_text("[{")
    with pytest.raises(UserError, match="cannot read .*modules.json"):
        trained_pooling(tmp_path)


def sized(trained_for, texts, **flags):
    settings = TrainSettings(**flags)
    choose_size(settings, chosen_task(settings), CPU, SHAPE, trained_for)
    choose_for_texts(settings, texts)
    return settings


def test_own_data_are_pooled_as_the_encoder_was_trained_and_passed_over_by_their_count():
    texts = (200, 1000, 3200, 20_000, 27_000, 100_000)
    own = [sized("mean", count, train_file="own.csv") for count in texts]
    assert [settings.num_train_epochs for settings in own] == [5, 5, 4, 4, 3, 2]
    assert [settings.per_device_train_batch_size for settings in own] == [16, 16, 32, 32, 32, 32]
    assert own[0].pooling == "mean"
    random = sized(None, 200, train_file="own.csv")
    assert (random.pooling, random.num_train_epochs, random.per_device_train_batch_size) == ("pooler", 20, 32)
    asked = sized("mean", 200, train_file="own.csv", num_train_epochs=2.0, pooling="pooler")
    assert (asked.pooling, asked.num_train_epochs) == ("pooler", 2.0)


def test_the_fewer_own_texts_are_in_a_batch_the_fewer_passes_they_need():
    for batch, epochs in ((8, 4), (16, 5), (32, 10), (64, 20)):
        settings = sized("mean", 200, train_file="own.csv", per_device_train_batch_size=batch)
        assert (settings.per_device_train_batch_size, settings.num_train_epochs) == (batch, epochs)


def test_the_tasks_that_come_with_the_project_keep_their_recipes():
    for task, epochs in (("imdb", 1.0), ("cola", 5.0)):
        settings = sized("mean", 8000, task_name=task)
        assert (settings.pooling, settings.num_train_epochs) == ("pooler", epochs)
        assert settings.per_device_train_batch_size == 16


def test_own_texts_are_moved_unless_they_are_many():
    for flags, expected in (
        ({"train_file": "own.csv"}, 0.2),
        ({"train_file": "own.csv", "adversarial": 0.0}, 0),
        ({"train_file": "own.csv", "head": "random"}, None),
        ({"task_name": "imdb"}, None),
    ):
        assert sized("mean", 20_000, **flags).adversarial == expected
    assert sized("mean", 20_001, train_file="own.csv").adversarial is None
    features = sized("mean", 200, train_file="own.csv", method="features")
    assert features.adversarial is features.num_train_epochs is None


def test_the_head_starts_from_regression_where_the_encoder_was_trained_for_its_vectors():
    assert sized("mean", 200, train_file="own.csv").head == "regression"
    for settings in (sized(None, 200, train_file="own.csv"), sized("mean", 200, train_file="own.csv", pooling="first")):
        assert settings.head == "random"
    assert sized("mean", 200, task_name="sst2").head == "random"


def test_frozen_vectors_are_those_that_the_encoder_was_trained_for():
    assert sized("mean", 200, train_file="own.csv", method="features").pooling == "mean"
    assert sized(None, 200, train_file="own.csv", method="features").pooling == "first"
    assert sized("mean", 200, task_name="sst2", method="features").pooling == "first"


class HundredTokens:
    """A thousand steps of a hundred tokens each."""

    steps_per_epoch = 1000

    def padded_tokens(self, start, steps):
        return 100 * steps


@pytest.mark.parametrize(
    "seconds, flags, offered", [(0.004, {}, False), (0.02, {}, True), (0.02, {"minutes": 60}, False)]
)
def test_a_long_job_is_told_how_it_gets_shorter(seconds, flags, offered):
    texts = SimpleNamespace(lengths=np.full(10, 100))
    job = SimpleNamespace(settings=TrainSettings(**flags), batches=lambda seed: HundredTokens(), total_steps=1000,
                          test=texts, validation=texts, teacher=None)  # fmt: skip
    words = expected_duration(job, seconds)
    assert words.startswith(f"about {100_000 * seconds * 1.02 / 60:.0f} min of training and evaluation")
    assert ("--minutes" in words) == offered
