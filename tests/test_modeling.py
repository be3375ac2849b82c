import keras
import numpy as np
import pytest
from conftest import ENCODERS, FIXTURES, H5

from tfbert.data.tasks import MULTI_LABEL
from tfbert.model import modeling
from tfbert.model.configs import ModelConfig
from tfbert.model.folders import load_classifier
from tfbert.model.modeling import ACTIVATIONS, SequenceClassifier


def golden(name):
    with np.load(FIXTURES / name / "golden.npz") as file:
        inputs = {key: file[key].astype(np.int32) for key in file.files if key != "logits"}
        return inputs, file["logits"]


def tiny(**changes):
    sizes = dict(vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
                 max_position_embeddings=16, initializer_range=0.5)  # fmt: skip
    keras.utils.set_random_seed(3)
    model = SequenceClassifier(ModelConfig(**(sizes | changes)))
    model.build()
    return model


IDS = {"input_ids": np.arange(24, dtype=np.int32).reshape(2, 12) + 1}


@pytest.mark.parametrize("name", ENCODERS + H5)
def test_logits_equal_those_of_transformers(name):
    inputs, logits = golden(name)
    model, _ = load_classifier(FIXTURES / name)
    assert logits.std() > 0.1
    np.testing.assert_allclose(np.asarray(model(inputs)), logits, atol=1e-4)


def test_padding_changes_nothing():
    model = tiny()
    padded = {
        "input_ids": np.pad(IDS["input_ids"], ((0, 0), (0, 4)), constant_values=7),
        "attention_mask": np.repeat([[1] * 12 + [0] * 4], 2, axis=0),
    }
    np.testing.assert_allclose(np.asarray(model(padded)), np.asarray(model(IDS)), atol=1e-6)


def test_the_mask_follows_the_padding_id_where_none_is_given():
    model = tiny()
    padded = {"input_ids": np.pad(IDS["input_ids"], ((0, 0), (0, 4)))}
    np.testing.assert_allclose(np.asarray(model(padded)), np.asarray(model(IDS)), atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_stays_finite_and_close(policy):
    inputs, logits = golden("tiny_bert")
    model, _ = load_classifier(FIXTURES / "tiny_bert", policy=policy)
    assert model.encoder.blocks[0].attention.qkv.compute_dtype == policy.removeprefix("mixed_")
    result = np.asarray(model(inputs))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, logits, atol=0.1)


@pytest.mark.parametrize(
    "name, expected", [("gelu", 0.8413447), ("gelu_new", 0.8411920), ("relu", 1.0), ("silu", 0.7310586)]
)
def test_activations_at_one(name, expected):
    assert float(ACTIVATIONS[name](np.float32(1.0))) == pytest.approx(expected, abs=1e-6)


def test_token_types_count_only_where_the_model_has_them():
    types = {**IDS, "token_type_ids": np.ones_like(IDS["input_ids"])}
    with_types, without = tiny(), tiny(type_vocab_size=0)
    assert np.abs(np.asarray(with_types(types)) - np.asarray(with_types(IDS))).max() > 1e-3
    np.testing.assert_array_equal(np.asarray(without(types)), np.asarray(without(IDS)))


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_without_a_pooler_the_first_vector_or_the_mean_is_classified(pooling):
    model = tiny(pooling=pooling)
    mask = np.arange(12) < np.array([[12], [5]])
    hidden = np.asarray(model.encoder(IDS["input_ids"], mask))
    mean = (hidden * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    pooled = hidden[:, 0] if pooling == "first" else mean
    expected = pooled @ np.asarray(model.classifier.kernel) + np.asarray(model.classifier.bias)
    np.testing.assert_allclose(np.asarray(model({**IDS, "attention_mask": mask})), expected, atol=1e-5)


def test_dropout_acts_in_training_only():
    model = tiny()
    np.testing.assert_array_equal(np.asarray(model(IDS)), np.asarray(model(IDS)))
    assert np.abs(np.asarray(model(IDS, training=True)) - np.asarray(model(IDS, training=True))).max() > 1e-3


def test_the_model_holds_no_tensorflow_call():
    with open(modeling.__file__, encoding="utf-8") as file:
        source = file.read()
    assert "tensorflow" not in source and "tf." not in source.replace("tfbert.", "")


def test_multi_label_has_a_logit_for_each_label():
    model = tiny(problem_type=MULTI_LABEL, id2label={0: "joy", 1: "anger", 2: "fear"})
    assert model(IDS).shape == (2, 3)
