"""Texts learnt with their word vectors moved to where the loss rises."""

import keras
import numpy as np
import pytest
from conftest import FIXTURES

from tfbert.common.errors import UserError
from tfbert.model.configs import read_config
from tfbert.model.folders import load_classifier
from tfbert.training.checks import check_settings
from tfbert.training.settings import TrainSettings
from tfbert.training.step import compile_classifier

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's own step")

IDS, LABELS = np.array([[2, 17, 30, 9, 3, 0], [2, 8, 41, 3, 0, 0]], np.int32), np.array([1, 0])
BATCH = {"input_ids": IDS, "attention_mask": (IDS > 0).astype(np.int32)}, LABELS


def tiny(adversarial):
    """The tiny BERT without dropout, compiled, and what its optimizer gets at every step."""
    keras.utils.set_random_seed(3)
    dropout = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"), 0.0)
    model, _ = load_classifier(FIXTURES / "tiny_bert", read_config(FIXTURES / "tiny_bert") | dropout)
    compile_classifier(model, TrainSettings(learning_rate=0.01, adversarial=adversarial), 10, False)
    given = []

    def apply_gradients(pairs):
        import tensorflow as tf

        given.append([keras.ops.convert_to_numpy(tf.convert_to_tensor(gradient)) for gradient, _ in pairs])

    model.optimizer.apply_gradients = apply_gradients
    return model, given


def moved(table, batch, gradient, size):
    """The table of word vectors with those of a text moved up the gradient; its tokens stand once each."""
    ids = batch[0]["input_ids"][0][: batch[0]["attention_mask"][0].sum()]
    of_text = gradient[ids]
    usual = np.linalg.norm(table[ids], axis=1).mean()
    result = table.copy()
    result[ids] += size * usual * of_text / np.linalg.norm(of_text)
    return result


@pytest.mark.parametrize("row, tokens", [(0, 5), (1, 4)])
def test_the_step_is_the_mean_of_those_before_and_behind_the_move(row, tokens):
    batch = {name: value[row : row + 1, :tokens] for name, value in BATCH[0].items()}, LABELS[row : row + 1]
    plain, gradients = tiny(0.0)
    table = plain.encoder.embeddings.word
    place = [variable is table for variable in plain.trainable_weights].index(True)
    plain.train_step(batch)
    table.assign(moved(table.numpy(), batch, gradients[0][place], 0.3))
    plain.train_step(batch)
    twice, given = tiny(0.3)
    twice.train_step(batch)
    assert len(given) == 1
    for before, behind, together in zip(*gradients, given[0]):
        np.testing.assert_allclose(together, (before + behind) / 2, rtol=1e-4, atol=1e-6)


def test_a_text_is_moved_by_itself_and_padding_stays():
    """The gradients of a batch are the mean of those of its texts alone, whatever they are padded to."""
    whole, of_whole = tiny(0.3)
    whole.train_step(BATCH)
    alone, of_each = tiny(0.3)
    for row, tokens in ((0, 5), (1, 4)):
        part = {name: value[row : row + 1, :tokens] for name, value in BATCH[0].items()}
        alone.train_step((part, LABELS[row : row + 1]))
    for both, first, second in zip(of_whole[0], *of_each):
        np.testing.assert_allclose(both, (first + second) / 2, rtol=1e-4, atol=1e-6)


def test_the_loss_that_is_told_is_that_of_the_texts_as_they_are():
    (plain, _), (twice, _) = tiny(0.0), tiny(0.3)
    one, other = plain.train_step(BATCH), twice.train_step(BATCH)
    assert {name: float(value) for name, value in one.items()} == pytest.approx(
        {name: float(value) for name, value in other.items()}, rel=1e-5
    )


def test_regression_alone_has_no_steps():
    with pytest.raises(UserError, match="leave --adversarial out"):
        check_settings(TrainSettings(method="features", adversarial=0.1))
