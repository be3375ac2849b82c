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
    with pytest.raises(UserError, match="num_labels is 0"):
        load(FIXTURES / "tiny_bert", num_labels=0)


def test_a_model_that_is_there_in_other_formats_is_not_half_replaced(trained, capsys):
    from tfbert import TFAutoModelForSequenceClassification

    before = (trained / "tf_model.h5").read_bytes()
    model = TFAutoModelForSequenceClassification.from_pretrained(FIXTURES / "tiny_bert", num_labels=3)
    with pytest.raises(UserError, match="onnx is that of another model"):
        model.save_pretrained(trained)
    assert (trained / "tf_model.h5").read_bytes() == before
