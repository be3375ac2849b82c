"""Models as transformers 4's TensorFlow classes, google-research/bert and others left them."""

import json
import pickle
import shutil

import h5py
import keras
import numpy as np
import pytest
from conftest import ENCODERS, FIXTURES
from safetensors.numpy import load_file, save_file

from tfbert.common.errors import UserError
from tfbert.model.configs import read_config, read_encoder_config
from tfbert.model.folders import load_classifier
from tfbert.model.vocabulary import fitted_config, load_tokenizer
from tfbert.model.weight_files import read_weights
from tfbert.model.weight_names import tensorflow_path

tf_only = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's files")
IDS = np.arange(5, 37, dtype=np.int32).reshape(2, 16)


def logits(folder):
    model, line = load_classifier(folder)
    assert "new" not in line, line
    return np.asarray(model({"input_ids": IDS, "attention_mask": np.ones_like(IDS)}))


@pytest.fixture
def copy_of(tmp_path):
    """Copies a fixture without its weights; returns the folder, the weights under TensorFlow's names, and the logits."""

    def copy(name):
        source, folder = FIXTURES / name, tmp_path / name
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors", "golden*"))
        weights = {}
        for each, value in read_weights(source)[0].items():
            path = tensorflow_path(each)
            weights[path] = np.ascontiguousarray(value.T if path.endswith("/kernel:0") else value)
        return folder, weights, logits(source)

    return copy


def halves(weights):
    names = sorted(weights)
    return {name: weights[name] for name in names[::2]}, {name: weights[name] for name in names[1::2]}


@pytest.mark.parametrize("name", ENCODERS)
def test_safetensors_with_the_names_and_layouts_of_tensorflow(name, copy_of):
    folder, weights, expected = copy_of(name)
    save_file(weights, folder / "model.safetensors", {"format": "tf"})
    np.testing.assert_allclose(logits(folder), expected, atol=1e-5)
    (folder / "model.safetensors").unlink()
    index = {}
    for number, part in enumerate(halves(weights), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file(part, folder / file, {"format": "tf"})
        index |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    np.testing.assert_allclose(logits(folder), expected, atol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
def test_h5_files_in_shards(name, copy_of):
    folder, weights, expected = copy_of(name)
    start, index = f"tf_{name}_for_sequence_classification/", {}
    for number, part in enumerate(halves(weights), 1):
        file = f"tf_model-0000{number}-of-00002.h5"
        with h5py.File(folder / file, "w") as stored:
            for path, value in part.items():
                stored[start + path] = value
        index |= {start + path: file for path in part}
    (folder / "tf_model.h5.index.json").write_text(json.dumps({"weight_map": index}))
    np.testing.assert_allclose(logits(folder), expected, atol=1e-5)


@pytest.mark.parametrize(
    "named, message",
    [("../tf_model.h5", "not a .h5 file beside it"), ("/etc/passwd", "not a .h5"), ("none.h5", "none.h5 is missing")],
)
def test_an_index_names_files_beside_it_only(named, message, copy_of):
    folder, _, _ = copy_of("tiny_bert")
    (folder / "tf_model.h5.index.json").write_text(json.dumps({"weight_map": {"a": named}}))
    with pytest.raises(UserError, match=message):
        load_classifier(folder)


def test_h5_links_are_not_followed(copy_of):
    for link in (h5py.ExternalLink("/etc/passwd", "a"), h5py.SoftLink("/")):
        folder, weights, _ = copy_of("tiny_bert")
        with h5py.File(folder / "tf_model.h5", "w") as stored:
            for path, value in weights.items():
                stored[f"bert/x/{path}"] = value
            stored["bert/loop"] = link
        with pytest.raises(UserError, match="bert/loop is a link to somewhere else"):
            load_classifier(folder)
        shutil.rmtree(folder)


@tf_only
def test_a_release_of_google_research(copy_of):
    import tensorflow as tf

    folder, weights, _ = copy_of("tiny_bert")
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / file).unlink(missing_ok=True)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").unlink()
    (folder / "bert_config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "model_type"}))
    variables = {}
    for path, value in weights.items():
        if path.startswith("bert/"):
            name = path.removesuffix(":0").replace("layer_._", "layer_")
            name = name.replace("embeddings/weight", "embeddings").replace("embeddings/embeddings", "embeddings")
            variables[name] = tf.Variable(value)
            variables[f"{name}/adam_m"] = tf.Variable(value * 0)
    variables |= {"cls/predictions/output_bias": tf.Variable(np.zeros(config["vocab_size"], np.float32))}
    tf.raw_ops.SaveV2(prefix=str(folder / "bert_model.ckpt"), tensor_names=list(variables),
                      shape_and_slices=[""] * len(variables), tensors=[each.value() for each in variables.values()])  # fmt: skip
    found = read_weights(folder)[0]
    for name, value in read_weights(FIXTURES / "tiny_bert")[0].items():
        if name.startswith("bert."):
            np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert read_encoder_config(folder)["model_type"] == "bert"
    model, line = load_classifier(folder, read_config(FIXTURES / "tiny_bert"))
    assert "new: classifier" in line


def test_a_config_without_a_type(copy_of, capsys):
    folder, weights, expected = copy_of("tiny_bert")
    save_file(load_file(FIXTURES / "tiny_bert/model.safetensors"), folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    del config["model_type"]
    (folder / "config.json").write_text(json.dumps(config))
    np.testing.assert_array_equal(logits(folder), expected)
    assert "names no model_type: model.safetensors has a BERT's weights" in capsys.readouterr().err
    save_file({"albert.x": np.zeros(3, np.float32)}, folder / "model.safetensors")
    with pytest.raises(UserError, match='names no model_type: add "model_type": "bert"'):
        read_config(folder)


def test_tokens_that_were_added_get_new_rows(copy_of, capsys):
    folder, _, _ = copy_of("tiny_bert")
    save_file(load_file(FIXTURES / "tiny_bert/model.safetensors"), folder / "model.safetensors")
    config = read_config(folder)
    tokenizer = load_tokenizer(folder, 32, config)
    tokenizer.add_tokens(["[SPEAKER]", "[LINK]"])
    tokenizer.save_pretrained(folder)
    larger = fitted_config(config, load_tokenizer(folder, 32, config), folder)
    assert larger["vocab_size"] == config["vocab_size"] + 2
    assert "2 tokens were added" in capsys.readouterr().err
    model, line = load_classifier(folder, larger)
    assert "2 rows of the word embeddings" in line
    old = read_weights(folder)[0]["bert.embeddings.word_embeddings.weight"]
    np.testing.assert_array_equal(np.asarray(model.encoder.embeddings.word)[: len(old)], old)
    with pytest.raises(UserError, match="the tokenizer is that of another model"):
        fitted_config(config | {"vocab_size": 12}, load_tokenizer(folder, 32, config), folder)


@pytest.mark.parametrize("dtype, message", [("int8", "is I8, not float32"), ("nan", "not finite")])
def test_weights_that_are_no_weights(dtype, message, copy_of):
    folder, _, _ = copy_of("tiny_bert")
    weights = load_file(FIXTURES / "tiny_bert/model.safetensors")
    name = "bert.encoder.layer.0.output.dense.weight"
    weights[name] = weights[name].astype("int8") if dtype == "int8" else weights[name] * np.nan
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(UserError, match=message):
        load_classifier(folder)


@pytest.mark.parametrize("name, size", [("hidden_size", 10**9), ("vocab_size", 10**12), ("num_hidden_layers", 10**9)])
def test_sizes_that_no_machine_holds(name, size, copy_of):
    folder, _, _ = copy_of("tiny_bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {name: size}))
    with pytest.raises(UserError, match=f"{name} is {size}, not a whole number"):
        load_classifier(folder)


@pytest.mark.parametrize(
    "content", ['{"model": {"type": "WordPiece"}}', "{", "[]", '{"version": "1.0", "model": null}']
)
def test_a_broken_tokenizer_is_one_line(content, copy_of):
    from tfbert.data.tokenizing import TextEncoder

    folder, _, _ = copy_of("tiny_bert")
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(UserError, match="cannot read the tokenizer in"):
        TextEncoder.from_folder(folder, 32)


def test_answers_that_are_not_finite_are_an_error(trained, tmp_path):
    from tfbert.inference.predicting import Predictor

    folder = shutil.copytree(trained, tmp_path / "model")
    data = folder / "onnx/model.onnx.data"
    data.write_bytes(b"\xff" * data.stat().st_size)  # every number is NaN
    with pytest.raises(UserError, match="numbers that are not finite"):
        Predictor(folder)(["a good film"])


@tf_only
class TestForUsersOfTransformers4:
    @pytest.fixture
    def model(self):
        from tfbert import TFAutoModelForSequenceClassification

        return TFAutoModelForSequenceClassification.from_pretrained(FIXTURES / "tiny_bert")

    def test_arguments_without_meaning_are_named_in_a_note(self, capsys):
        from tfbert import TFAutoModelForSequenceClassification

        load = TFAutoModelForSequenceClassification.from_pretrained
        load(FIXTURES / "tiny_bert", from_pt=True, cache_dir="x", revision=None, output_attentions=False)
        assert "without meaning here and left aside: from_pt, cache_dir" in capsys.readouterr().err
        with pytest.raises(UserError, match="has no argument from_pts; did you mean from_pt"):
            load(FIXTURES / "tiny_bert", from_pts=True)
        with pytest.raises(UserError, match="output_attentions is not to be had"):
            load(FIXTURES / "tiny_bert", output_attentions=True)

    def test_the_tokenizer_as_it_was(self, model):
        from tfbert import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(FIXTURES / "tiny_bert")
        texts = ["the film was very good", "a bad story"]
        batch = tokenizer(texts, padding=True, return_tensors="tf")
        again = pickle.loads(pickle.dumps(tokenizer))
        for other in (
            tokenizer.batch_encode_plus(texts, padding=True, return_tensors="tf"),
            again(texts, padding=True, return_tensors="tf"),
            tokenizer.pad({"input_ids": [tokenizer(text)["input_ids"] for text in texts]}, return_tensors="tf"),
        ):
            np.testing.assert_array_equal(other["input_ids"], batch["input_ids"])
        assert tokenizer.encode(texts[0], return_tensors="tf").shape[0] == 1
        assert tokenizer.encode_plus(texts[0], return_tensors="tf")["input_ids"].shape[0] == 1
        expected = np.asarray(model(batch).logits)
        np.testing.assert_array_equal(model([batch["input_ids"], batch["attention_mask"]]).logits, expected)
        np.testing.assert_array_equal(model(batch, return_dict=False)[0], expected)

    def test_a_saved_model(self, model, tmp_path):
        import tensorflow as tf

        model.save_pretrained(tmp_path, saved_model=True)
        inputs = {"input_ids": IDS, "attention_mask": np.ones_like(IDS), "token_type_ids": np.zeros_like(IDS)}
        inputs = {name: tf.constant(value) for name, value in inputs.items()}
        loaded = tf.saved_model.load(str(tmp_path / "saved_model/1"))
        np.testing.assert_allclose(loaded.serve(inputs), model(inputs).logits, atol=1e-5)

    def test_keras_trains_it_by_fit_and_by_a_tape(self, model):
        import tensorflow as tf

        inputs = {"input_ids": IDS.repeat(8, 0), "attention_mask": np.ones_like(IDS).repeat(8, 0)}
        labels = np.arange(16) % 2
        inner = model.keras_model
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        inner.compile(keras.optimizers.AdamW(1e-3), loss)
        data = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(8)
        before = np.array(inner.classifier.kernel)
        losses = inner.fit(data, epochs=2, verbose=0).history["loss"]
        assert np.isfinite(losses).all() and np.abs(np.asarray(inner.classifier.kernel) - before).max() > 0
        optimizer, before = keras.optimizers.Adam(1e-3), np.array(inner.classifier.kernel)
        with tf.GradientTape() as tape:
            value = loss(labels, inner(inputs, training=True))
        optimizer.apply_gradients(zip(tape.gradient(value, inner.trainable_variables), inner.trainable_variables))
        assert np.abs(np.asarray(inner.classifier.kernel) - before).max() > 0

    def test_a_keras_file(self, model, tmp_path):
        expected = np.asarray(model(IDS).logits)
        model.keras_model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        inputs = {"input_ids": IDS, "attention_mask": np.ones_like(IDS)}
        np.testing.assert_allclose(np.asarray(loaded(inputs)), expected, atol=1e-6)
