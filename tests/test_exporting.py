import json
import random
import shutil

import numpy as np
import pytest
from conftest import ENCODERS, FIXTURES, ROOT

import export
from tfbert.common.errors import UserError
from tfbert.data.batches import pad
from tfbert.data.tokenizing import TextEncoder
from tfbert.inference import exporting
from tfbert.inference.onnx_export import save_onnx
from tfbert.inference.predicting import Predictor
from tfbert.inference.quantizing import quantize
from tfbert.model.folders import load_classifier

TEXTS = ["the film was very good.", "a dull plot, an awful cast and a weak ending."]


def exported(folder, target, *more):
    export.main(["--model_dir", str(folder), "--export_dir", str(target), *map(str, more)])


def inputs_of(predictor, texts, length=None):
    ids = predictor.encoder(texts)[0]
    batch = pad(ids, length or max(map(len, ids)))
    return batch | {"token_type_ids": np.zeros_like(batch["input_ids"])}


def test_a_saved_model_gives_logits_and_calibrated_probabilities(trained, tmp_path, capsys):
    import tensorflow as tf

    exported(trained, tmp_path)
    assert "away from the model's" in " ".join(capsys.readouterr().out.split())
    place, predictor = tmp_path / "saved_model" / "1", Predictor(trained)
    signature = tf.saved_model.load(str(place)).signatures["serving_default"]
    said = signature(**{name: tf.constant(value) for name, value in inputs_of(predictor, TEXTS).items()})
    wanted = [list(result["probabilities"].values()) for result in predictor(TEXTS)]
    np.testing.assert_allclose(said["probabilities"], wanted, atol=1e-4)
    assert (place / "assets.extra" / "labels.txt").read_text() == "negative\npositive\n"
    reading = json.loads((place / "assets.extra" / "reading.json").read_text())
    assert reading["max_seq_length"] == 64 and "temperature" in reading
    assert (place / "assets.extra" / "tokenizer.json").read_bytes() == (trained / "tokenizer.json").read_bytes()


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_is_exported_for_tensorflow_and_phones(name, tmp_path):
    folder = shutil.copytree(FIXTURES / name, tmp_path / "model")
    exported(folder, tmp_path, "--to", "saved_model")
    exported(folder, tmp_path, "--to", "litert", "--length", 16)
    model, _ = load_classifier(folder)
    inputs = exporting.some_inputs(model.config, 1, 16)
    said = exporting.litert_runner(tmp_path / "litert" / "model.tflite")(**inputs)
    np.testing.assert_allclose(said["logits"], model(inputs), atol=1e-4)
    assert set(said) == {"logits", "probabilities"}


def test_litert_labels_as_the_model_does(trained, tmp_path, recwarn):
    exported(trained, tmp_path, "--to", "litert")
    assert not [each for each in recwarn if "Interpreter is deprecated" in str(each.message)]
    predictor = Predictor(trained)
    for name, tolerance in (("model.tflite", 1e-4), ("model_int8.tflite", 0.1)):
        run = exporting.litert_runner(tmp_path / "litert" / name)
        for text in TEXTS:
            said = run(**inputs_of(predictor, [text], 64))["probabilities"][0]
            np.testing.assert_allclose(said, list(predictor([text])[0]["probabilities"].values()), atol=tolerance)


def test_onnx_and_pytorch_are_laid_out_with_what_they_need(trained, tmp_path):
    exported(shutil.copytree(trained, tmp_path / "model"), tmp_path, "--to", "onnx")
    exported(trained, tmp_path, "--to", "pytorch")
    there = {path.name for path in (tmp_path / "onnx").iterdir()}
    assert {"model.onnx", "model_quantized.onnx", "labels.txt", "reading.json", "tokenizer.json"} <= there
    assert {"model.safetensors", "config.json", "labels.txt"} <= {
        path.name for path in (tmp_path / "pytorch").iterdir()
    }


def test_the_code_of_the_docs_labels_with_onnx_runtime_alone(trained, tmp_path, monkeypatch, capsys):
    exported(trained, tmp_path / "exported", "--to", "onnx")
    code = (ROOT / "docs" / "using.md").read_text(encoding="utf-8").split("With ONNX Runtime, and nothing")[1]
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    exec(code.split("```python\n")[1].split("```")[0], {})
    label, probability = capsys.readouterr().out.split()
    (wanted,) = Predictor(trained)(["One review."])
    assert label == wanted["label"] and float(probability) == pytest.approx(wanted["probability"], abs=1e-4)


def test_what_is_there_is_not_replaced_unasked(trained, tmp_path):
    exported(trained, tmp_path, "--to", "pytorch")
    with pytest.raises(UserError, match="is there already: add --overwrite"):
        exported(trained, tmp_path, "--to", "pytorch")
    exported(trained, tmp_path, "--to", "pytorch", "--overwrite")


def test_what_does_not_go_is_refused(trained, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="holds no model yet"):
        exported(tmp_path, tmp_path)
    with pytest.raises(UserError, match="--length is for --to litert"):
        exported(trained, tmp_path, "--length", 8)
    with pytest.raises(UserError, match="reads at most 64 tokens"):
        exported(trained, tmp_path, "--to", "litert", "--length", 100)
    without = shutil.copytree(trained, tmp_path / "bare", ignore=shutil.ignore_patterns("onnx"))
    with pytest.raises(UserError, match="has no onnx/"):
        exported(without, tmp_path, "--to", "onnx")
    assert not (tmp_path / "onnx").exists()
    monkeypatch.setattr(exporting, "CLOSE", -1)
    with pytest.raises(UserError, match="please report it"):
        exported(trained, tmp_path)
    assert not (tmp_path / "saved_model").exists()


def texts_of_all_scripts(count):
    """Random code points, texts within one script with blanks between, and English with signs."""
    rng, texts = random.Random(5), []
    scripts = (0x20, 0xA0, 0x300, 0x370, 0x400, 0x590, 0x600, 0x900, 0xE00, 0x1100, 0x1E00, 0x2000, 0x3040, 0x4E00,
               0xAC00, 0x1F300, 0xFF00)  # fmt: skip
    for number in range(count):
        if number % 3 == 0:
            codes = [rng.randrange(0x110000) for _ in range(rng.randint(0, 40))]
            texts.append("".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000))
        elif number % 3 == 1:
            first = rng.choice(scripts)
            texts.append("".join(chr(first + rng.randrange(200)) + " " * (rng.random() < 0.2) for _ in range(40)))
        else:
            words = (
                "".join(rng.choice("abcdefgh\u2019é.,!ÀßİI'-#@中ก") for _ in range(rng.randint(1, 12)))
                for _ in range(60)
            )
            texts.append(" ".join(words))
    return [*texts, "", "   ", "a" * 99, "a" * 100, "a" * 101, "unwatchable " * 90]


@pytest.mark.parametrize(
    "lower, truncation, count", [(True, "head+tail", 10_000), (False, "head", 500), (True, "tail", 500)]
)
def test_tensorflows_operators_tokenize_as_the_tokenizer_does(lower, truncation, count):
    import tensorflow as tf
    from tokenizers import Tokenizer, normalizers

    from tfbert.inference.string_tokens import StringTokenizer

    tokenizer = Tokenizer.from_file(str(FIXTURES / "tiny_bert" / "tokenizer.json"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    encoder = TextEncoder(tokenizer, 64, truncation)
    read = tf.function(StringTokenizer(encoder, 0), input_signature=[tf.TensorSpec([None], tf.string)])
    texts = texts_of_all_scripts(count)
    for first in range(0, len(texts), 64):
        batch = texts[first : first + 64]
        inputs = read(tf.constant([text.encode() for text in batch]))
        found = (inputs[name].numpy() for name in ("input_ids", "attention_mask"))
        for text, ids, mask, wanted in zip(batch, *found, encoder(batch)[0]):
            assert ids[: mask.sum()].tolist() == wanted, text
            assert not ids[mask.sum() :].any()


def test_a_saved_model_takes_plain_text(trained, tmp_path, capsys, caplog):
    import tensorflow as tf

    exported(trained, tmp_path, "--to", "saved_model")
    words = capsys.readouterr().out
    signature = tf.saved_model.load(str(tmp_path / "saved_model" / "1")).signatures["texts"]
    wanted = [list(result["probabilities"].values()) for result in Predictor(trained)(TEXTS)]
    np.testing.assert_allclose(signature(texts=tf.constant(TEXTS))["probabilities"], wanted, atol=1e-4)
    assert "signature texts: plain text" in " ".join(words.split())
    assert not [record for record in caplog.records if record.name == "absl"]


def test_other_tokenizers_have_no_signature_for_text(tmp_path, capsys):
    import tensorflow as tf

    exported(shutil.copytree(FIXTURES / "tiny_roberta", tmp_path / "model"), tmp_path, "--to", "saved_model")
    words = capsys.readouterr().out
    assert "no signature for plain text" in " ".join(words.split())
    assert "texts" not in tf.saved_model.load(str(tmp_path / "saved_model" / "1")).signatures


def test_tokens_that_were_added_are_not_for_tensorflows_operators(tmp_path):
    from tokenizers import AddedToken, Tokenizer

    from tfbert.inference.string_tokens import reads_strings

    path = FIXTURES / "tiny_bert" / "tokenizer.json"
    assert reads_strings(TextEncoder(Tokenizer.from_file(str(path)), 64))
    for added in ("lighthouse", AddedToken("[PRODUCT]", special=True)):
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.add_tokens([added])
        assert not reads_strings(TextEncoder(tokenizer, 64))


def test_int8_of_scores_that_onnx_runtime_does_not_know_is_made_without_a_word(tmp_path, caplog):
    model, _ = load_classifier(FIXTURES / "tiny_deberta_v2")
    save_onnx(tmp_path / "onnx", model, exporting.some_inputs(model.config, 1, 16))
    quantize(tmp_path / "onnx" / "model.onnx", tmp_path / "onnx" / "int8.onnx")
    assert (tmp_path / "onnx" / "int8.onnx").exists() and not caplog.records
