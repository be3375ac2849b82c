import numpy as np
import pytest
import tensorflow as tf
from conftest import FIXTURES

from tfbert.common.errors import UserError


def test_the_snippet_of_transformers_4_runs_with_one_import_changed(trained):
    from tfbert import AutoTokenizer, TFAutoModelForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(str(trained))
    model = TFAutoModelForSequenceClassification.from_pretrained(str(trained))

    text = "This movie is absolutely wonderful and inspiring."
    inputs = tokenizer(text, return_tensors="tf", truncation=True, padding=True)
    outputs = model(**inputs)
    probabilities = tf.nn.softmax(outputs.logits, axis=-1)
    prediction = tf.argmax(probabilities, axis=-1).numpy()[0]
    assert model.config.id2label[prediction] == "positive"


def test_ways_to_call_the_model():
    from tfbert import AutoTokenizer, TFAutoModelForSequenceClassification

    folder = str(FIXTURES / "tiny_bert")
    tokenizer, model = (
        AutoTokenizer.from_pretrained(folder),
        TFAutoModelForSequenceClassification.from_pretrained(folder),
    )
    batch = tokenizer(["a good film", "bad"], padding=True, return_tensors="tf")
    assert isinstance(batch["input_ids"], tf.Tensor)
    expected = model(batch).logits.numpy()
    np.testing.assert_array_equal(
        model(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])[0], expected
    )
    np.testing.assert_array_equal(model(dict(batch))["logits"], expected)
    assert model(batch).loss is None
    assert isinstance(tokenizer("a", return_tensors="np")["input_ids"], np.ndarray)


def test_the_loss_is_one_number_a_text():
    from tfbert import TFAutoModelForSequenceClassification

    model = TFAutoModelForSequenceClassification.from_pretrained(str(FIXTURES / "tiny_bert"))
    output = model(np.array([[2, 9, 3], [2, 8, 3]]), labels=np.array([0, 1]))
    shares = tf.nn.softmax(output.logits).numpy()
    np.testing.assert_allclose(output.loss, -np.log([shares[0, 0], shares[1, 1]]), atol=1e-5)
    assert output[0] is output.loss


def test_save_pretrained_and_back(tmp_path, capsys):
    from tfbert import TFAutoModelForSequenceClassification

    model = TFAutoModelForSequenceClassification.from_pretrained(
        str(FIXTURES / "tiny_bert"), id2label={0: "dull", 1: "fine", 2: "great"}
    )
    assert "new: classifier" in capsys.readouterr().out
    model.save_pretrained(tmp_path / "saved")
    again = TFAutoModelForSequenceClassification.from_pretrained(str(tmp_path / "saved"))
    ids = np.array([[2, 9, 3]])
    np.testing.assert_array_equal(again(ids).logits, model(ids).logits)
    assert again.config.id2label == {0: "dull", 1: "fine", 2: "great"}


def test_a_missing_model_is_a_clear_error():
    from tfbert import TFAutoModelForSequenceClassification

    with pytest.raises(UserError, match="there is no such folder"):
        TFAutoModelForSequenceClassification.from_pretrained("./nowhere")


def test_a_new_head_leaves_the_thresholds_of_the_old_labels_behind(tmp_path):
    import json
    import shutil

    from tfbert import TFAutoModelForSequenceClassification
    from tfbert.model.configs import read_config

    folder = shutil.copytree(FIXTURES / "tiny_bert", tmp_path / "several")
    names = {"id2label": {0: "joy", 1: "fear", 2: "trust"}, "problem_type": "multi_label_classification"}
    reading = {"tfbert": {"temperature": 2.0, "thresholds": [0.5, 0.4, 0.3], "truncation": "tail"}}
    (folder / "config.json").write_text(json.dumps(read_config(folder) | names | reading))
    model = TFAutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    model.save_pretrained(tmp_path / "new")
    assert read_config(tmp_path / "new")["tfbert"] == {"truncation": "tail"} and model.config.num_labels == 2


def test_labels_are_taken_by_their_numbers(capsys):
    from tfbert import TFAutoModelForSequenceClassification

    load = TFAutoModelForSequenceClassification.from_pretrained
    for names in ({"id2label": {1: "good", 0: "bad"}}, {"label2id": {"good": 1, "bad": 0}}):
        assert load(FIXTURES / "tiny_bert", num_labels=2, **names).config.id2label == {0: "bad", 1: "good"}
    several = load(FIXTURES / "tiny_bert", problem_type="multi_label_classification")
    assert several.config.problem_type == "multi_label_classification"


@pytest.mark.parametrize("given, message", [
    ({"num_labels": 0}, "num_labels is 0"), ({"num_labels": "3"}, "num_labels is '3'"),
    ({"id2label": {1: "bad", 2: "good"}}, "id2label must name the labels 0, 1"), ({"id2label": ["a", "b"]}, "id2label must"),
    ({"label2id": {"bad": 0, "good": 2}}, "id2label must name"), ({"label2id": {"bad": 1, "good": 1}}, "the same number"),
    ({"label2id": ["a", "b"]}, "label2id is a list"),
    ({"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 1, "good": 0}}, "id2label and label2id disagree"),
])  # fmt: skip
def test_labels_that_would_get_other_numbers_are_refused(given, message):
    from tfbert import TFAutoModelForSequenceClassification

    with pytest.raises(UserError, match=message):
        TFAutoModelForSequenceClassification.from_pretrained(FIXTURES / "tiny_bert", **given)


def test_what_the_model_cannot_read_is_one_line():
    from tfbert import TFAutoModelForSequenceClassification

    load = TFAutoModelForSequenceClassification.from_pretrained
    model = load(FIXTURES / "tiny_bert")
    for given, message in (("a film", "a text"), (["a film", "another"], "a text"), ({}, "no input_ids"),
                           (np.ones((1, 65), int), "65 tokens, but it reads 64: call the tokenizer with truncation")):  # fmt: skip
        with pytest.raises(UserError, match=f"model: {message}"):
            model(given)
    assert model(np.ones((1, 64), int)).logits.shape == (1, 2)
    assert load(FIXTURES / "tiny_modernbert")(np.ones((1, 65), int)).logits.shape == (1, 2)


def test_a_model_that_is_there_in_other_formats_is_not_half_replaced(trained, capsys):
    from tfbert import TFAutoModelForSequenceClassification

    before = (trained / "tf_model.h5").read_bytes()
    model = TFAutoModelForSequenceClassification.from_pretrained(FIXTURES / "tiny_bert", num_labels=3)
    with pytest.raises(UserError, match="onnx is that of another model"):
        model.save_pretrained(trained)
    assert (trained / "tf_model.h5").read_bytes() == before


def test_arguments_without_meaning_are_named_in_one_note(tmp_path, capsys):
    from tfbert import TFAutoModelForSequenceClassification
    from tfbert.common.console import note_once

    note_once.cache_clear()
    load, folder = TFAutoModelForSequenceClassification.from_pretrained, FIXTURES / "tiny_bert"
    load(folder, from_pt=True, cache_dir=str(tmp_path), token=None, output_attentions=False)
    assert capsys.readouterr().err == "note: from_pretrained: cache_dir, from_pt have no meaning here\n"
    assert load(folder, hidden_dropout_prob=0.3).config.hidden_dropout_prob == 0.3
    with pytest.raises(UserError, match="from_pretrained: output_attentions is not there"):
        load(folder, output_attentions=True)
    with pytest.raises(UserError, match="unknown argument num_label; did you mean num_labels"):
        load(folder, num_label=3)
    with pytest.raises(UserError, match="revision: download it"):
        load("someone/model", revision="v2")
    with pytest.raises(UserError, match="model: position_ids is not there"):
        load(folder)(np.array([[2, 9, 3]]), position_ids=np.array([[0, 1, 2]]))


@pytest.mark.parametrize("name", ["tiny_bert", "tiny_albert", "tiny_modernbert"])
def test_what_each_layer_gives_is_there_where_it_is_asked_for(name):
    from tfbert import TFAutoModel, TFAutoModelForSequenceClassification

    ids = np.array([[2, 9, 3], [2, 8, 3]])
    model = TFAutoModel.from_pretrained(FIXTURES / name, output_hidden_states=True)
    found = model(ids)
    assert len(found.hidden_states) == 1 + model.config.num_hidden_layers
    np.testing.assert_array_equal(found.hidden_states[-1], found.last_hidden_state)
    np.testing.assert_allclose(found.hidden_states[0], model.keras_model.encoder.embeddings(ids), atol=1e-6)
    assert model(ids, output_hidden_states=False).hidden_states is None
    classifier = TFAutoModelForSequenceClassification.from_pretrained(FIXTURES / name)
    plain, more = classifier(ids), classifier(ids, output_hidden_states=True)
    np.testing.assert_allclose(plain.logits, more.logits, atol=1e-6)
    assert plain.hidden_states is None and len(classifier(ids, output_hidden_states=True, return_dict=False)) == 2


def test_calls_of_the_tokenizer_that_transformers_5_dropped(tmp_path):
    import copy
    import pickle

    from tfbert import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(FIXTURES / "tiny_bert")
    texts = ["a good film", "bad"]
    expected = tokenizer(texts, padding=True, return_tensors="tf")["input_ids"].numpy()
    ids = tokenizer.encode(texts[0], return_tensors="tf")
    assert isinstance(ids, tf.Tensor) and ids.numpy().tolist() == [expected[0].tolist()]
    assert tokenizer.encode(texts[0]) == expected[0].tolist()
    one = tokenizer.encode_plus(texts[1], return_tensors="tf", max_length=5, pad_to_max_length=True)["input_ids"]
    assert one.numpy().tolist() == [[*expected[1][:3], 0, 0]]
    batch = tokenizer.batch_encode_plus(texts, padding=True, return_tensors="tf")["input_ids"]
    np.testing.assert_array_equal(batch, expected)
    pairs = tokenizer.batch_encode_plus([("a film", "bad"), ("bad", "good")], padding=True, return_tensors="np")
    assert pairs["token_type_ids"].max() == 1 and len(pairs["input_ids"]) == 2
    padded = tokenizer.pad({"input_ids": [[2, 5, 3], [2, 3]]}, return_tensors="tf")
    assert padded["input_ids"].numpy().tolist() == [[2, 5, 3], [2, 3, 0]]
    for other in (pickle.loads(pickle.dumps(tokenizer)), copy.deepcopy(tokenizer)):
        np.testing.assert_array_equal(other(texts, padding=True, return_tensors="tf")["input_ids"], expected)


def test_lists_tuples_and_safetensors_as_in_transformers_4(tmp_path):
    from tfbert import TFAutoModelForSequenceClassification

    load = TFAutoModelForSequenceClassification.from_pretrained
    model, ids = load(FIXTURES / "tiny_bert"), np.array([[2, 9, 3], [2, 3, 0]])
    expected = model(ids, np.sign(ids)).logits
    np.testing.assert_array_equal(model([ids, np.sign(ids)]).logits, expected)
    (tuple_of_one,) = model(ids, np.sign(ids), return_dict=False)
    np.testing.assert_array_equal(tuple_of_one, expected)
    model.save_pretrained(tmp_path / "safe", safe_serialization=True)
    assert sorted(path.name for path in (tmp_path / "safe").iterdir()) == ["config.json", "model.safetensors"]
    np.testing.assert_array_equal(load(tmp_path / "safe")(ids, np.sign(ids)).logits, expected)
    with pytest.raises(UserError, match="model.safetensors is that of another model"):
        model.save_pretrained(tmp_path / "safe")
    model.save_pretrained(tmp_path / "saved", saved_model=True)
    loaded = tf.saved_model.load(tmp_path / "saved" / "saved_model" / "1")
    inputs = {"input_ids": ids, "attention_mask": np.sign(ids), "token_type_ids": np.zeros_like(ids)}
    found = loaded.serve({name: tf.constant(value, tf.int32) for name, value in inputs.items()})
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("trouble, given", [("no network", {"local_files_only": True}), (None, {})])
def test_a_tokenizer_waits_for_no_hub_that_cannot_be_reached(trouble, given, monkeypatch):
    import transformers

    from tfbert import AutoTokenizer
    from tfbert.model import tensor_tokenizers

    asked = []
    folder, load = FIXTURES / "tiny_bert", transformers.AutoTokenizer.from_pretrained
    monkeypatch.setattr(tensor_tokenizers, "hub_trouble", lambda: trouble)
    monkeypatch.setattr(
        transformers.AutoTokenizer, "from_pretrained", lambda name, **more: (asked.append(more), load(folder))[1]
    )
    AutoTokenizer.from_pretrained("someone/model")
    AutoTokenizer.from_pretrained(str(folder))
    assert asked == [given, {}]
