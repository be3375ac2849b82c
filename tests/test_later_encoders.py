"""What was built for BERT, with the encoders that came after it: learning, resuming, devices, several labels, pairs."""

import csv
import json

import keras
import numpy as np
import pytest
from conftest import FIXTURES, reviews
from datasets import Dataset

import train
from tfbert.data.batches import Examples, TrainBatches
from tfbert.data.tokenizing import TextEncoder
from tfbert.inference.predicting import Predictor
from tfbert.model.configs import model_config, read_encoder_config
from tfbert.model.folders import new_classifier, save_encoder
from tfbert.model.model_types import CONFIG_NAMES
from tfbert.model.vocabulary import load_tokenizer
from tfbert.model.weights import get_weights
from tfbert.training.evaluating import evaluation_of
from tfbert.training.fitting import fit
from tfbert.training.settings import TrainSettings
from tfbert.training.step import compile_classifier
from tfbert.training.team import ONE_DEVICE

LATER = ["tiny_deberta_v2", "tiny_modernbert", "tiny_data2vec_text", "tiny_nomic_bert", "tiny_gte"]
LENGTH = 8  # of all texts, so that parts of a block are compiled once
STEPS, SAVED = 24, 16
DROPOUTS = "hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"


def fresh(name):
    """The config of a tiny encoder of one layer whose new weights learn fast, without dropout."""
    config = read_encoder_config(FIXTURES / name) | {"num_hidden_layers": 1}
    if types := config.get("layer_types"):
        config["layer_types"] = types[1:2]  # a local one
    names = CONFIG_NAMES.get(config["model_type"], {})
    return config | {"initializer_range": 0.2} | {names.get(each, each): 0.0 for each in DROPOUTS}


@pytest.fixture(scope="module")
def data():
    encode = TextEncoder.from_folder(FIXTURES / "tiny_bert", LENGTH)
    parts = [Dataset.from_dict(dict(zip(("text", "label"), reviews(n, seed)))) for n, seed in ((320, 8), (40, 9))]
    return [Examples.tokenized(part, encode, "tokenizing") for part in parts]


def learn(config, data, folder, team=ONE_DEVICE, **changes):
    keras.utils.set_random_seed(3)
    settings = TrainSettings(learning_rate=0.01, max_seq_length=LENGTH, logging_steps=4, eval_steps=STEPS,
                             save_steps=SAVED, output_dir=str(folder), **changes)  # fmt: skip
    with team.scope():
        model = new_classifier(config)
        compile_classifier(model, settings, STEPS, xla=False)
    evaluate = evaluation_of(data[1], settings, "accuracy")
    progress = fit(model, TrainBatches(data[0], 16, LENGTH, seed=3), evaluate, settings, STEPS, {"seed": 3}, team)
    return get_weights(model), progress


@pytest.mark.parametrize("name", LATER)
def test_resumed_on_two_devices_they_end_as_on_one(name, data, two_devices, tmp_path):
    whole, progress = learn(fresh(name), data, tmp_path)
    checkpoint = tmp_path / "checkpoints" / "seed-3" / f"step-{SAVED:08}"
    resumed, continued = learn(fresh(name), data, tmp_path, two_devices, resume_from_checkpoint=str(checkpoint))
    assert continued.step == STEPS
    assert continued.history[-1]["loss"] == pytest.approx(progress.history[-1]["loss"], rel=5e-3, abs=1e-3)
    for key, value in whole.items():
        np.testing.assert_allclose(resumed[key], value, atol=2e-3, err_msg=key)


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("name", LATER)
def test_several_labels_of_pairs_are_learnt(name, tmp_path):
    encoder, config = tmp_path / "encoder", fresh(name)
    encoder.mkdir()
    keras.utils.set_random_seed(3)
    tokenizer = load_tokenizer(FIXTURES / name, model_config(config).max_length, config)
    save_encoder(encoder, get_weights(new_classifier(config)), config, tokenizer)
    texts, labels = reviews(400, 5)
    rows = [[text, other, label, 1 - label] for text, other, label in zip(texts[:-2], texts[2:], labels)]
    with open(tmp_path / "pairs.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["one", "two", "praise", "blame"], *rows])
    arguments = ["--train_file", tmp_path / "pairs.csv", "--text_column", "one", "--text_pair_column", "two",
                 "--label_column", "praise,blame", "--model_name_or_path", encoder, "--output_dir", tmp_path / "model",
                 "--max_seq_length", 2 * LENGTH, "--num_train_epochs", 4, "--learning_rate", 0.005, "--precision", "float32",
                 "--per_device_train_batch_size", 16]  # fmt: skip
    assert train.main([str(each) for each in arguments]) is None
    assert json.loads((tmp_path / "model" / "metrics.json").read_text())["f1_micro"] > 0.7  # guessed: 0.5
    found = [each["probabilities"] for each in Predictor(tmp_path / "model")(texts[:100], texts[2:102])]
    assert np.mean([each["praise"] > each["blame"] for each in found] == np.array(labels[:100], bool)) > 0.75
