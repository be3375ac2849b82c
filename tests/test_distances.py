"""How DeBERTa and ModernBERT see distances: buckets, near tokens only, rotations; and what of their configs is refused."""

import json
import shutil

import keras
import numpy as np
import pytest
from conftest import ENCODERS, FIXTURES
from keras import ops

from tfbert.common.errors import UserError
from tfbert.model.configs import ModelConfig, classifier_config, model_config, read_config
from tfbert.model.disentangled import RelativeVectors, distance_scores
from tfbert.model.folders import load_classifier
from tfbert.model.fused import rotated
from tfbert.model.masked_lm import load_masked_lm
from tfbert.model.rotary import RotaryAttention, Rotations
from tfbert.model.weight_files import read_weights, write_safetensors
from tfbert.model.weights import parts, variable_of
from tfbert.training.settings import TrainSettings


@pytest.mark.parametrize("name", ENCODERS)
def test_gradients_equal_those_of_pytorch(name):
    import tensorflow as tf

    with np.load(FIXTURES / name / "golden.npz") as file:
        inputs = {key: file[key].astype(np.int32) for key in file.files if key != "logits"}
    model, _ = load_classifier(FIXTURES / name)
    labels = np.arange(len(inputs["input_ids"])) % 2

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            logits = model(inputs)
            loss = ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))
        found = tape.gradient(loss, [variable_of(model, part).value for part in parts(model)])
        return [tf.convert_to_tensor(each) for each in found]

    theirs, compared = json.loads((FIXTURES / name / "gradients.json").read_text()), 0
    for part, gradient in zip(parts(model), gradients()):
        for each, value in zip(part.names, np.split(gradient.numpy().astype(float), len(part.names), axis=-1)):
            flat = (value.T if part.is_kernel else value).ravel()
            ours = np.linalg.norm(flat), flat @ np.cos(np.arange(len(flat)))
            np.testing.assert_allclose(ours, theirs[each], rtol=1e-3, atol=1e-4, err_msg=each)
            compared += 1
    assert compared == len(theirs)


def modern(**changes):
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "local_attention": 16, "without_bias": ["qkv", "output"],
             "rope_theta": 160_000.0, "local_rope_theta": 10_000.0, "attention_probs_dropout_prob": 0.0,
             "initializer_range": 0.3}  # fmt: skip
    return ModelConfig(**sizes | changes)


def softmax(scores):
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return scores / scores.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("length", [3, 8, 9, 16, 50])
def test_a_local_layer_sees_near_tokens_and_no_padding(length):
    layer, rng = RotaryAttention(modern(), reach=8), np.random.default_rng(0)
    layer.build((None, 16))
    x = rng.normal(size=(2 * length, 16)).astype(np.float32)
    lengths = np.array([length, 3])
    seen = np.arange(length) < lengths[:, None]
    mask = np.where(seen, 0, -65504).astype(np.float32)[:, None, None]
    rotations = Rotations(modern())(np.zeros((2, length), np.int32))
    found = np.asarray(layer(x, mask, rotations)).reshape(2, length, 16)

    query, key, value = (np.asarray(each) for each in layer.parted(layer.qkv(x), length))
    query, key = (np.asarray(rotated(each, *rotations[1])) for each in (query, key))
    near = np.abs(np.arange(length)[:, None] - np.arange(length)) <= 8
    scores = np.where(near & seen[:, None, None], query @ key.swapaxes(2, 3) / 8**0.5, -1e9)
    expected = np.asarray(layer.joined(softmax(scores) @ value)).reshape(2, length, 16)
    np.testing.assert_allclose(found[seen], expected[seen], atol=1e-5)


def test_local_attention_grows_with_the_length_not_with_its_square(monkeypatch):
    layer, scores = RotaryAttention(modern(), reach=8), []
    layer.build((None, 16))
    attended = layer.attended
    monkeypatch.setattr(
        layer,
        "attended",
        lambda q, k, *rest: scores.append(q.shape[0] * q.shape[2] * k.shape[2]) or attended(q, k, *rest),
    )
    for length in (512, 4096):
        mask, x = np.zeros((1, 1, 1, length), np.float32), np.zeros((length, 16), np.float32)
        layer(x, mask, Rotations(modern())(np.zeros((1, length), np.int32)))
    assert scores == [512 * 24, 4096 * 24]


def test_rotated_products_depend_on_the_distance_only():
    rng = np.random.default_rng(0)
    query, key = rng.normal(size=(2, 1, 1, 1, 8)).astype(np.float32)
    pair = Rotations(modern())(np.zeros((1, 100), np.int32))[0]
    queries, keys = (np.asarray(rotated(np.repeat(each, 100, axis=2), *pair))[0, 0] for each in (query, key))
    products = queries @ keys.T
    np.testing.assert_allclose(np.diag(products, 7), products[0, 7], atol=1e-4)
    assert abs(products[0, 7] - products[0, 8]) > 1e-3


def test_buckets_of_deberta_are_those_of_transformers():
    config = ModelConfig(disentangled=True, position_buckets=256, max_relative_positions=512, relative_norm=True)
    bucket = RelativeVectors(config).bucket_of(np.arange(-511, 512))
    # make_log_bucket_position of transformers 5.23, of distances 0, 1, 127, 128, ...
    known = {0: 0, 1: 1, 127: 127, 128: 128, 129: 129, 130: 130, 150: 143, 200: 169, 300: 207, 400: 233, 500: 254,
             510: 255, 511: 255}  # fmt: skip
    assert {distance: bucket[511 + distance] for distance in known} == known
    np.testing.assert_array_equal(bucket, -bucket[::-1])


def test_scores_of_distances_are_products_with_the_vector_of_each_distance():
    rng = np.random.default_rng(0)
    query, key = rng.normal(size=(2, 2, 3, 5, 4)).astype(np.float32)
    of_query, of_key = rng.normal(size=(2, 1, 3, 9, 4)).astype(np.float32)  # distances -4 to 4
    found = np.asarray(distance_scores(query, key, of_query, of_key))
    for i in range(5):
        for j in range(5):
            asked = (query[:, :, i] * of_key[0, :, 4 + i - j]).sum(axis=-1)
            answered = (key[:, :, j] * of_query[0, :, 4 + i - j]).sum(axis=-1)
            np.testing.assert_allclose(found[:, :, i, j], asked + answered, rtol=1e-4)


@pytest.mark.parametrize("name", ["tiny_deberta_v2", "tiny_modernbert"])
@pytest.mark.parametrize("policy, tolerance", [("mixed_float16", 0.1), ("mixed_bfloat16", 0.4)])
def test_half_precision_stays_finite_and_close(name, policy, tolerance):
    with np.load(FIXTURES / name / "golden.npz") as file:
        inputs = {key: file[key].astype(np.int32) for key in file.files if key != "logits"}
        model, _ = load_classifier(FIXTURES / name, policy=policy)
        np.testing.assert_allclose(np.asarray(model(inputs)), file["logits"], atol=tolerance)


@pytest.mark.parametrize(
    "name, changes, message",
    [
        ("tiny_deberta_v2", {"relative_attention": False}, "relative_attention must be true"),
        ("tiny_deberta_v2", {"pos_att_type": "c2p"}, "pos_att_type must be p2c and c2p"),
        ("tiny_deberta_v2", {"pos_att_type": [1]}, "pos_att_type must be p2c and c2p"),
        ("tiny_deberta_v2", {"share_att_key": False}, "share_att_key must be true"),
        ("tiny_deberta_v2", {"conv_kernel_size": 3}, "a convolution .* is not supported"),
        ("tiny_deberta_v2", {"norm_rel_ebd": "batch"}, "norm_rel_ebd is 'batch', not none or layer_norm"),
        ("tiny_deberta_v2", {"position_buckets": "16"}, "position_buckets is '16', not a whole number"),
        ("tiny_deberta_v2", {"position_buckets": 500}, "position_buckets is 500, too few or too many"),
        ("tiny_modernbert", {"norm_bias": True, "mlp_bias": True}, "norm_bias, mlp_bias must be false"),
        ("tiny_modernbert", {"layer_types": ["full_attention"]}, "layer_types must say .* for each of 4 layers"),
        ("tiny_modernbert", {"layer_types": 7}, "layer_types must say"),
        ("tiny_modernbert", {"local_attention": 1}, "local_attention is 1, too few tokens"),
        ("tiny_modernbert", {"rope_scaling": {"rope_type": "yarn"}}, "rope_scaling is not supported"),
        ("tiny_modernbert", {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "of the type default"),
        ("tiny_modernbert", {"rope_parameters": []}, "rope_parameters must be a JSON object"),
        ("tiny_modernbert", {"rope_parameters": None, "global_rope_theta": 0}, "global_rope_theta is 0, not a number"),
        ("tiny_modernbert", {"num_attention_heads": 16}, "heads of 1 numbers cannot be turned in pairs"),
        ("tiny_modernbert", {"global_attn_every_n_layers": 0}, "global_attn_every_n_layers is 0"),
        ("tiny_bert", {"auto_map": {"AutoModel": "some--code.Bert"}}, "code that comes with the folder, which is not run"),
        ("tiny_modernbert", {"classifier_activation": "glu"}, "the pooler's glu is not one of"),
    ],
)  # fmt: skip
def test_what_is_not_built_is_refused(name, changes, message):
    with pytest.raises(UserError, match=message):
        model_config(read_config(FIXTURES / name) | changes)


def test_layers_and_rotations_are_read_as_older_configs_say_them():
    config = read_config(FIXTURES / "tiny_modernbert")
    old = {name: value for name, value in config.items() if name not in ("layer_types", "rope_parameters")}
    old |= {"global_attn_every_n_layers": 2, "global_rope_theta": 1000.0, "local_rope_theta": 500}
    found = model_config(old)
    assert found.layer_types == ["full_attention", "sliding_attention"] * 2
    assert (found.rope_theta, found.local_rope_theta) == (1000.0, 500.0)


def test_modernberts_own_pooling_is_read_and_written():
    config = read_config(FIXTURES / "tiny_modernbert")
    assert model_config(config).pooling == "pooler"
    assert model_config(config | {"classifier_pooling": "mean"}).pooling == "mean"
    for pooling, own in (("mean", "mean"), ("pooler", "cls"), ("first", "cls")):
        settings = TrainSettings(pooling=pooling, attention_dropout=0.0)
        assert (
            classifier_config(config, ["a", "b"], "single_label_classification", settings)["classifier_pooling"] == own
        )


def test_modernberts_means_pass_through_its_head():
    config = read_config(FIXTURES / "tiny_modernbert") | {"classifier_pooling": "mean"}
    with np.load(FIXTURES / "tiny_modernbert" / "golden.npz") as file:
        inputs = {key: file[key].astype(np.int32) for key in file.files if key != "logits"}
    model, _ = load_classifier(FIXTURES / "tiny_modernbert", config)
    hidden = np.asarray(model.encoder(inputs["input_ids"], inputs["attention_mask"]))
    mask = inputs["attention_mask"][:, :, None]
    mean = (hidden * mask).sum(axis=1) / mask.sum(axis=1)
    expected = model.classifier(model.pooler_norm(model.pooler(mean)))
    np.testing.assert_allclose(np.asarray(model(inputs)), np.asarray(expected), atol=1e-5)


def test_the_head_that_microsoft_saved_with_deberta_v3_is_read(tmp_path):
    source = FIXTURES / "tiny_deberta_v2_mlm"
    shutil.copy(source / "config.json", tmp_path)
    weights, _ = read_weights(source)
    renamed = {
        name.replace("cls.predictions.transform.", "lm_predictions.lm_head.").replace(
            "cls.predictions.bias", "lm_predictions.lm_head.bias"
        ): value
        for name, value in weights.items()
    }
    assert len(set(renamed) - set(weights)) == 5
    write_safetensors(renamed, tmp_path / "model.safetensors")
    model, line = load_masked_lm(tmp_path)
    assert "new:" not in line
    whole, _ = load_masked_lm(source)
    assert all(np.array_equal(*pair) for pair in zip(model.get_weights(), whole.get_weights()))


def test_dropout_acts_on_distances_too():
    layer = keras.utils.set_random_seed(0) or load_classifier(FIXTURES / "tiny_deberta_v2")[0].encoder
    ids = np.arange(5, 25, dtype=np.int32)[None]
    mask = np.ones_like(ids)
    np.testing.assert_array_equal(layer(ids, mask), layer(ids, mask))
    assert np.abs(np.asarray(layer(ids, mask, training=True)) - np.asarray(layer(ids, mask))).max() > 1e-3
