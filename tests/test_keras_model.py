"""What Keras's own means make of the model inside TFAutoModelForSequenceClassification."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import ENCODERS, FIXTURES

from tfbert import TFAutoModelForSequenceClassification

BATCH = {
    "input_ids": np.array([[2, 10, 11, 12, 13, 3], [2, 9, 3, 0, 0, 0]], np.int32),
    "attention_mask": np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]], np.int32),
    "token_type_ids": np.zeros((2, 6), np.int32),
}
LABELS = np.array([0, 1])
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0}


def load(name="tiny_bert", **arguments):
    return TFAutoModelForSequenceClassification.from_pretrained(FIXTURES / name, **arguments)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_keras_file_loads_again(name, tmp_path):
    model = load(name, id2label={0: "dull", 1: "great"}).keras_model
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.config == model.config
    np.testing.assert_array_equal(again(BATCH), model(BATCH))


@pytest.mark.parametrize("name", ["tiny_bert", "tiny_mpnet"])  # with token types, and without
def test_a_saved_model_answers_alike_for_any_length(name, tmp_path):
    model = load(name).keras_model
    model.export(tmp_path / "saved_model", verbose=False)
    inputs = BATCH if name == "tiny_bert" else {key: BATCH[key] for key in ("input_ids", "attention_mask")}
    loaded = tf.saved_model.load(tmp_path / "saved_model")
    for length in (6, 3):
        some = {key: value[:, :length] for key, value in inputs.items()}
        np.testing.assert_allclose(loaded.serve(some), model(some), atol=1e-5)


def test_fit_learns_from_a_dataset_of_tensorflow():
    model = load(**STILL).keras_model
    data = tf.data.Dataset.from_tensor_slices((BATCH, LABELS)).repeat(8).batch(4)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, metrics=["accuracy"])
    losses = model.fit(data, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0] and model.evaluate(data, verbose=0)[1] == 1
    assert model.predict(data, verbose=0).shape == (16, 2)


def test_a_loop_with_a_gradient_tape_learns():
    model = load(**STILL)
    optimizer, weights, losses = keras.optimizers.Adam(1e-2), model.keras_model.trainable_variables, []
    for _ in range(6):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(BATCH, labels=LABELS, training=True).loss)
        gradients = tape.gradient(loss, weights)
        assert all(gradient is not None for gradient in gradients)
        optimizer.apply_gradients(zip(gradients, weights))
        losses.append(float(loss))
    assert losses[-1] < losses[0]
