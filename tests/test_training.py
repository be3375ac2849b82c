import json
import os
import signal

import keras
import numpy as np
import pytest
from conftest import FIXTURES, reviews
from datasets import Dataset

from tfbert import training
from tfbert.batches import Examples, TextEncoder, TrainBatches
from tfbert.checkpoints import load_classifier
from tfbert.configs import MULTI_LABEL, read_config
from tfbert.errors import UserError
from tfbert.settings import TrainSettings
from tfbert.weights import get_weights

STEPS = 24
FACTS = {"seed": 3}


@pytest.fixture(scope="module")
def data(untrained):
    encode = TextEncoder.from_folder(FIXTURES / "tiny_bert", 64)
    parts = [Dataset.from_dict(dict(zip(("text", "label"), reviews(n, seed)))) for n, seed in ((320, 8), (40, 9))]
    train.encoder = untrained
    return [Examples.tokenized(part, encode, "tokenizing") for part in parts]


def settings(folder, **changes):
    values = dict(learning_rate=0.01, logging_steps=4, eval_steps=12, save_steps=10, output_dir=str(folder))
    return TrainSettings(**(values | changes))


def train(data, folder, policy="float32", config=None, callback=None, total_steps=STEPS, xla=False, **changes):
    """Trains the tiny BERT; callback(progress) runs after every step."""
    keras.utils.set_random_seed(3)
    model, _ = load_classifier(train.encoder, config, policy)
    chosen = settings(folder, **changes)
    training.compile_model(model, chosen, total_steps, xla)
    batches = TrainBatches(data[0], 16, 64, seed=3)
    original = training.Progress.on_train_batch_end
    if callback:

        def on_train_batch_end(self, batch, logs=None):
            callback(self)
            original(self, batch, logs)

        training.Progress.on_train_batch_end = on_train_batch_end
    try:
        return model, training.fit(model, batches, training.evaluation_of(data[1], 64, 16), chosen, total_steps, FACTS)
    finally:
        training.Progress.on_train_batch_end = original


def test_the_loss_falls_and_held_out_accuracy_rises(data, tmp_path):
    _, progress = train(data, tmp_path, total_steps=120)
    losses = [row["loss"] for row in progress.history if "loss" in row]
    held_out = [row for row in progress.history if "validation_loss" in row]
    assert losses[-1] < 0.3 * losses[0]
    assert held_out[-1]["validation_accuracy"] >= 0.95
    assert progress.step == 120 and progress.train_seconds > 0


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_learns_with_float32_weights(data, tmp_path, policy):
    model, progress = train(data, tmp_path, policy, total_steps=120)
    losses = [row["loss"] for row in progress.history if "loss" in row]
    assert losses[-1] < 0.5 * losses[0]
    assert {str(variable.dtype) for variable in model.trainable_variables} == {"float32"}
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")


def test_xla_gives_the_same_losses(data, tmp_path):
    config = read_config(FIXTURES / "tiny_bert") | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config["classifier_dropout"] = 0.0
    plain, compiled = (train(data, tmp_path / str(xla), config=config, xla=xla)[1].history for xla in (False, True))
    first = [[row["loss"] for row in history if "loss" in row] for history in (plain, compiled)]
    np.testing.assert_allclose(first[0], first[1], rtol=1e-3)


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(data, tmp_path):
    whole, progress = train(data, tmp_path / "whole")

    def stop_at_ten(progress):
        if progress.step == 9:
            os.kill(os.getpid(), signal.SIGINT)

    _, stopped = train(data, tmp_path / "parts", callback=stop_at_ten, save_steps=1000)
    assert stopped.interrupted and stopped.step == 10
    assert os.listdir(tmp_path / "parts/checkpoints/seed-3") == ["step-00000010"]
    resumed, continued = train(data, tmp_path / "parts", resume_from_checkpoint="last")
    assert continued.step == STEPS and not continued.interrupted
    ours, theirs = get_weights(resumed), get_weights(whole)
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-6, err_msg=name)
    assert continued.history[-1]["loss"] == pytest.approx(progress.history[-1]["loss"], abs=1e-5)


def test_checkpoints_are_written_on_time_and_only_the_last_is_kept(data, tmp_path):
    seen = set()
    train(data, tmp_path, callback=lambda progress: seen.update(os.listdir(tmp_path / "checkpoints/seed-3"))
          if (tmp_path / "checkpoints/seed-3").exists() else None)  # fmt: skip
    assert seen == {"step-00000010", "step-00000020"}
    assert os.listdir(tmp_path / "checkpoints/seed-3") == ["step-00000024"]


def test_a_checkpoint_of_another_run_is_refused(data, tmp_path):
    train(data, tmp_path)
    state = tmp_path / "checkpoints/seed-3/step-00000024/state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"run": {"seed": 4}}))
    with pytest.raises(UserError, match="is of a run with seed 4, not 3"):
        train(data, tmp_path, resume_from_checkpoint="last")


def test_a_missing_checkpoint_is_a_clear_error(data, tmp_path):
    with pytest.raises(UserError, match="--resume_from_checkpoint"):
        train(data, tmp_path, resume_from_checkpoint="nowhere")


def test_a_cut_checkpoint_is_a_clear_error(data, tmp_path):
    train(data, tmp_path)
    variables = tmp_path / "checkpoints/seed-3/step-00000024/variables.npz"
    variables.write_bytes(variables.read_bytes()[:5000])
    with pytest.raises(UserError, match="not a checkpoint"):
        train(data, tmp_path, resume_from_checkpoint="last")


def test_a_loss_that_is_no_number_ends_the_run(data, tmp_path):
    with pytest.raises(UserError, match="lower --learning_rate"):
        train(data, tmp_path, learning_rate=1e30, max_grad_norm=1e30)


def test_biases_and_layer_norms_do_not_decay(data, tmp_path):
    model, _ = load_classifier(FIXTURES / "tiny_bert")
    training.compile_model(model, settings(tmp_path), 10, False)
    model.optimizer.build(model.trainable_variables)
    decaying = {v.path for v in model.trainable_variables if model.optimizer._use_weight_decay(v)}
    fixed = {v.path for v in model.trainable_variables} - decaying
    assert {path.split("/")[-1] for path in fixed} == {"bias", "gamma", "beta"}
    assert {path.split("/")[-1] for path in decaying} == {"kernel", "word", "position", "token_type"}


def test_several_labels_a_text_are_learnt(data, tmp_path):
    labels = np.stack([data[0].labels, 1 - data[0].labels, data[0].labels], axis=1).astype(np.float32)
    held_out = np.stack([data[1].labels, 1 - data[1].labels, data[1].labels], axis=1).astype(np.float32)
    config = read_config(FIXTURES / "tiny_bert") | {
        "problem_type": MULTI_LABEL,
        "id2label": {"0": "praise", "1": "blame", "2": "joy"},
    }
    before = data[0].labels, data[1].labels
    data[0].labels, data[1].labels = labels, held_out
    try:
        _, progress = train(data, tmp_path, config=config, total_steps=120)
    finally:
        data[0].labels, data[1].labels = before
    assert progress.history[-1]["validation_accuracy"] > 0.9


def test_loss_and_accuracy_equal_keras():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(20, 3)) * 5, rng.integers(0, 3, 20)
    loss, accuracy = training.loss_and_accuracy(logits, labels)
    assert loss == pytest.approx(
        float(keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)), abs=1e-5
    )
    assert accuracy == (logits.argmax(1) == labels).mean()
    several = rng.integers(0, 2, (20, 3)).astype(float)
    loss, _ = training.loss_and_accuracy(logits, several)
    assert loss == pytest.approx(float(keras.losses.BinaryCrossentropy(from_logits=True)(several, logits)), abs=1e-5)
