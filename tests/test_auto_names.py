"""The names of transformers 4 beside the classifier: what they give, compile and fit on them, and what is refused.

tests/interop/names.py compares every one of them with transformers 4 itself.
"""

import copy
import json

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import ENCODERS, FIXTURES

import tfbert
from tfbert.common.errors import UserError
from tfbert.model.configs import read_config
from tfbert.model.weight_files import read_weights
from tfbert.model.weight_names import class_names, snake_case

IDS = np.array([[2, 10, 11, 12, 13, 3], [2, 9, 3, 0, 0, 0]], np.int32)
BATCH = {"input_ids": IDS, "attention_mask": np.sign(IDS)}
LABELS = np.array([0, 1])
GAPS = np.array([[-100, 10, -100, 12, -100, -100], [-100, 9, -100, -100, -100, -100]])


def golden(name):
    with np.load(FIXTURES / name / "golden.npz") as file:
        found = {key: file[key] for key in file.files}
    return {key: found[key].astype(np.int32) for key in ("input_ids", "attention_mask")}, found


@pytest.mark.parametrize("name", ENCODERS)
def test_every_place_gets_the_logits_of_all_words(name):
    inputs, expected = golden(f"{name}_mlm")
    logits = tfbert.TFAutoModelForMaskedLM.from_pretrained(FIXTURES / f"{name}_mlm")(inputs).logits
    assert logits.shape[:2] == inputs["input_ids"].shape
    at_gaps = np.take_along_axis(np.asarray(logits), expected["gaps"][:, :, None].astype(int), axis=1)
    np.testing.assert_allclose(at_gaps, expected["logits"], atol=1e-4)


@pytest.mark.parametrize("name", ["tiny_bert_h5", "tiny_albert_h5"])
def test_the_pooled_vectors_are_those_that_a_classifier_reads(name):
    inputs, expected = golden(name)
    weights, _ = read_weights(FIXTURES / name)
    vectors = tfbert.TFAutoModel.from_pretrained(FIXTURES / name)(inputs)
    logits = vectors.pooler_output @ weights["classifier.weight"].T + weights["classifier.bias"]
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-4)
    assert vectors[0] is vectors.last_hidden_state and vectors[0].shape == (*inputs["input_ids"].shape, 8)


def test_token_vectors_without_a_pooler_are_those_that_a_classifier_reads():
    inputs, expected = golden("tiny_distilbert_h5")
    weights, _ = read_weights(FIXTURES / "tiny_distilbert_h5")
    vectors = tfbert.TFDistilBertModel.from_pretrained(FIXTURES / "tiny_distilbert_h5")(inputs)
    first = vectors.last_hidden_state[:, 0] @ weights["pre_classifier.weight"].T + weights["pre_classifier.bias"]
    logits = np.maximum(first, 0) @ weights["classifier.weight"].T + weights["classifier.bias"]
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-4)
    assert list(vectors) == ["last_hidden_state"]


def test_the_mean_over_tokens_leaves_padding_out():
    model = tfbert.TFAutoModel.from_pretrained(FIXTURES / "tiny_bert")
    vectors = tfbert.mean_of_tokens(model(BATCH).last_hidden_state, BATCH["attention_mask"])
    alone = np.asarray(model(IDS[1:, :3]).last_hidden_state)
    np.testing.assert_allclose(vectors[1], alone[0].mean(axis=0), atol=1e-5)


def test_each_type_has_its_names_and_refuses_the_others():
    assert {"TFBertModel", "TFMPNetForMaskedLM", "TFXLMRobertaForSequenceClassification"} < set(tfbert.PUBLIC)
    assert not [name for name in tfbert.PUBLIC if "ModernBert" in name or "Data2Vec" in name]
    assert all(issubclass(getattr(tfbert, name), tfbert.TFAutoModel) for name in class_names("Model").values())
    model = tfbert.TFRobertaForSequenceClassification.from_pretrained(FIXTURES / "tiny_roberta", num_labels=3)
    assert model(BATCH).logits.shape == (2, 3)
    with pytest.raises(UserError, match="is of a roberta, not of a bert: use TFRobertaForMaskedLM"):
        tfbert.TFBertForMaskedLM.from_pretrained(FIXTURES / "tiny_roberta")
    with pytest.raises(UserError, match="config is of a modernbert, not of a bert: use TFAutoModel$"):
        tfbert.TFBertModel.from_config(tfbert.AutoConfig.from_pretrained(FIXTURES / "tiny_modernbert"))


@pytest.mark.parametrize("kind, head", [("bert", "Model"), ("mpnet", "ForMaskedLM"), ("albert", "ForMaskedLM"),
                                        ("bert", "ForMaskedLM"), ("deberta-v2", "ForMaskedLM")])  # fmt: skip
def test_what_is_saved_has_the_paths_of_its_class(kind, head, tmp_path):
    name, folder = class_names(head)[kind], FIXTURES / f"tiny_{kind.replace('-', '_')}"
    model = getattr(tfbert, name).from_config(read_config(folder))
    for form, file in ((False, "tf_model.h5"), (True, "model.safetensors")):
        model.save_pretrained(tmp_path / file, safe_serialization=form)
        again = getattr(tfbert, name).from_pretrained(tmp_path / file)
        for ours, found in zip(model(BATCH).values(), again(BATCH).values()):
            np.testing.assert_array_equal(ours, found)
    assert read_config(tmp_path / file)["architectures"] == [name.removeprefix("TF")]
    last = {"mpnet": "lm_head", "albert": "predictions", "deberta-v2": "cls"}.get(kind, "mlm___cls")
    with h5py.File(tmp_path / "tf_model.h5" / "tf_model.h5") as saved:
        layers = {layer: list(saved[layer].attrs["weight_names"]) for layer in saved.attrs["layer_names"]}
    assert list(layers)[1:] == [last] * (head == "ForMaskedLM")
    assert all(path.startswith(snake_case(name) + "/") for paths in layers.values() for path in paths)
    if head == "ForMaskedLM":
        own = [path.split("/", 1)[1] for path in layers[last]]
        assert f"{last}/bias:0".replace("cls/", "cls/predictions/") in own
        assert any(path.endswith("/embeddings/word_embeddings/weight:0") for path in own)  # to which it is tied


@pytest.mark.parametrize("safe", [False, True])
def test_of_the_two_biases_of_albert_the_one_that_transformers_4_adds_is_read(safe, tmp_path):
    model = tfbert.TFAlbertForMaskedLM.from_pretrained(FIXTURES / "tiny_albert_mlm")
    model.save_pretrained(tmp_path, safe_serialization=safe)
    bias = np.arange(model.config.vocab_size, dtype=np.float32)
    if safe:
        from safetensors.numpy import load_file, save_file

        path = tmp_path / "model.safetensors"
        save_file(load_file(path) | {"predictions/decoder/bias:0": bias}, path, {"format": "tf"})
    else:
        with h5py.File(tmp_path / "tf_model.h5", "r+") as file:
            file["predictions/tf_albert_for_masked_lm/predictions/decoder/bias:0"][...] = bias
    again = tfbert.TFAlbertForMaskedLM.from_pretrained(tmp_path)
    np.testing.assert_array_equal(again.keras_model.bias, bias)


def test_the_loss_of_masked_words_is_the_mean_over_gaps_also_in_fit():
    model = tfbert.TFAutoModelForMaskedLM.from_pretrained(FIXTURES / "tiny_bert_mlm", hidden_dropout_prob=0.0,
                                                          attention_probs_dropout_prob=0.0)  # fmt: skip
    output = model(BATCH, labels=GAPS)
    shares = tf.nn.log_softmax(output.logits).numpy()
    expected = -np.mean([shares[0, 1, 10], shares[0, 3, 12], shares[1, 1, 9]])
    np.testing.assert_allclose(output.loss, [expected], rtol=1e-5)
    model.compile("sgd")
    np.testing.assert_allclose(model.evaluate(BATCH, GAPS, verbose=0), expected, rtol=1e-5)
    history = model.fit(BATCH | {"labels": GAPS}, epochs=3, verbose=0).history
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5) and history["loss"][-1] < expected


def classifier(**arguments):
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0}
    return tfbert.TFAutoModelForSequenceClassification.from_pretrained(FIXTURES / "tiny_bert", **still, **arguments)


def test_every_form_of_data_teaches_the_same():
    pairs = tf.data.Dataset.from_tensor_slices((BATCH, LABELS)).batch(2)
    inside = tf.data.Dataset.from_tensor_slices(BATCH | {"labels": LABELS}).batch(2)
    forms = [(BATCH, LABELS), (BATCH | {"labels": LABELS}, None), (BATCH, {"labels": LABELS}), (pairs, None),
             (inside, None), ({name: value.tolist() for name, value in BATCH.items()}, [0, 1])]  # fmt: skip
    seen = []
    for x, y in forms:
        model = classifier()
        model.compile(keras.optimizers.Adam(1e-3), loss="auto_with_warning", metrics=["accuracy"], run_eagerly=True)
        held = (x, y) if y is not None else x
        history = model.fit(x, y, validation_data=held, shuffle=False, verbose=0).history
        assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
        logits = model.predict(x, verbose=0).logits
        assert isinstance(logits, np.ndarray)
        seen.append([history["loss"][0], history["val_loss"][0], *logits.ravel()])
    np.testing.assert_allclose(seen, [seen[0]] * len(forms), atol=1e-6)
    assert seen[0][1] < seen[0][0]
    assert seen[0][0] == pytest.approx(float(tf.reduce_mean(classifier()(BATCH, labels=LABELS).loss)), rel=1e-5)


def test_several_labels_at_once_are_learnt():
    model = classifier(num_labels=3, problem_type="multi_label_classification")
    labels = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]], np.float32)
    expected = float(tf.reduce_mean(model(BATCH, labels=labels).loss))
    model.compile("adam")
    assert model.evaluate(BATCH, labels, verbose=0) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda model: model.fit(BATCH), "fit: no labels: give them as y, or as labels beside input_ids"),
        (lambda model: model.fit(iter([BATCH]), LABELS), "fit: data is a list_iterator: give a dict of arrays or a tf"),
        (lambda model: model.fit(BATCH | {"label": LABELS}), "unknown argument label; did you mean labels"),
        (lambda model: model.fit({"input_ids": [[2, 3], [2, 9, 3]]}, LABELS), "call the tokenizer with padding=True"),
        (lambda model: model.fit(tf.data.Dataset.from_tensors(BATCH)), "fit: no labels"),
        (lambda model: model.compile("adamm"), "compile: optimizer is 'adamm': give one of keras.optimizers"),
        (lambda model: model.compile(object()), "compile: optimizer is a builtins: give"),
        (lambda model: classifier().fit(BATCH, LABELS), "fit: call compile first"),
    ],
)
def test_what_cannot_be_learnt_from_is_one_line(call, said):
    model = classifier()
    model.compile("adam")
    with pytest.raises(UserError, match=said) as error:
        call(model)
    assert "\n" not in str(error.value)


def test_vectors_have_no_loss_of_their_own():
    model = tfbert.TFAutoModel.from_pretrained(FIXTURES / "tiny_bert")
    with pytest.raises(UserError, match="TFAutoModel has no loss of its own: give one to compile"):
        model.compile("adam")
    with pytest.raises(UserError, match="TFAutoModel takes no labels"):
        model(BATCH, labels=LABELS)
    with pytest.raises(UserError, match="unknown argument num_labels"):
        tfbert.TFAutoModel.from_pretrained(FIXTURES / "tiny_bert", num_labels=3)


def test_the_rest_is_the_keras_models(capsys):
    model = classifier()
    assert len(model.trainable_variables) == len(model.keras_model.trainable_variables) > 0
    model.trainable = False
    assert model.keras_model.trainable_variables == []
    model.trainable = True
    model.layers[0].trainable = False  # the encoder
    assert len(model.trainable_variables) == 4
    assert not hasattr(model, "bert")
    copy.copy(model)


def test_a_config_says_what_is_loaded_and_made(tmp_path):
    config = tfbert.AutoConfig.from_pretrained(FIXTURES / "tiny_bert", num_labels=4, hidden_dropout_prob=0.3)
    assert type(config).__name__ == "BertConfig" and config.hidden_dropout_prob == 0.3
    model = tfbert.TFAutoModelForSequenceClassification.from_pretrained(FIXTURES / "tiny_bert", config=config)
    assert model.config.num_labels == 4 and model.config.hidden_dropout_prob == 0.3
    same = tfbert.TFBertModel.from_pretrained(FIXTURES / "tiny_bert")
    np.testing.assert_array_equal(model.encoder(IDS, np.sign(IDS)), same(BATCH).last_hidden_state)
    new = tfbert.TFAutoModelForSequenceClassification.from_config(config)
    assert new(BATCH).logits.shape == (2, 4)
    assert np.abs(new.encoder.embeddings.word).max() < 0.05  # freshly drawn
    with pytest.raises(UserError, match="AutoConfig.from_pretrained: unknown argument num_label; did you mean num_lab"):
        tfbert.AutoConfig.from_pretrained(FIXTURES / "tiny_bert", num_label=4)
    with pytest.raises(UserError, match="config is a ModelConfig: give what AutoConfig.from_pretrained returns"):
        tfbert.TFBertModel.from_config(model.config)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(UserError, match="model_type gpt2 is not supported"):
        tfbert.AutoConfig.from_pretrained(tmp_path)


def test_a_head_with_a_table_of_its_own_is_refused():
    config = read_config(FIXTURES / "tiny_bert_mlm") | {"tie_word_embeddings": False}
    with pytest.raises(UserError, match="tie_word_embeddings is false"):
        tfbert.TFBertForMaskedLM.from_pretrained(FIXTURES / "tiny_bert_mlm", config=config)


def test_vectors_and_words_are_exported_and_kept_in_kerass_own_file(tmp_path):
    for number, (name, kind) in enumerate([("tiny_bert", "TFAutoModel"), ("tiny_bert_mlm", "TFAutoModelForMaskedLM")]):
        model = getattr(tfbert, kind).from_pretrained(FIXTURES / name)
        model.save(tmp_path / f"{number}.keras")
        again = keras.models.load_model(tmp_path / f"{number}.keras")
        tf.nest.map_structure(np.testing.assert_array_equal, again(BATCH), model.keras_model(BATCH))
    model.save_pretrained(tmp_path / "saved", saved_model=True)
    loaded = tf.saved_model.load(tmp_path / "saved" / "saved_model" / "1")
    inputs = {name: tf.constant(value) for name, value in BATCH.items()} | {"token_type_ids": tf.zeros_like(IDS)}
    np.testing.assert_allclose(loaded.serve(inputs), model(BATCH).logits, atol=1e-4)
