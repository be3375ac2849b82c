import json

import numpy as np
import pytest
from conftest import ENCODERS, FIXTURES, made_once

from tfbert.common.errors import UserError
from tfbert.data.batches import Examples
from tfbert.data.masking import NO_PLACE, MaskedBatches
from tfbert.data.tokenizing import TextEncoder
from tfbert.inference.predicting import Predictor
from tfbert.model.configs import read_config
from tfbert.model.folders import load_classifier
from tfbert.model.masked_lm import load_masked_lm
from tfbert.model.vocabulary import load_tokenizer
from tfbert.model.weight_files import read_weights
from tfbert.training.settings import PretrainSettings
from tfbert.training.step import compile_masked_lm


@pytest.mark.parametrize("name", ENCODERS)
def test_logits_equal_those_of_transformers(name):
    with np.load(FIXTURES / f"{name}_mlm" / "golden.npz") as file:
        inputs = {key: file[key].astype(np.int32) for key in file.files if key != "logits"}
        logits = file["logits"]
    model, line = load_masked_lm(FIXTURES / f"{name}_mlm")
    assert "new" not in line
    np.testing.assert_allclose(np.asarray(model(inputs)), logits, atol=1e-4)


def test_an_encoder_without_a_head_gets_a_new_one():
    _, line = load_masked_lm(FIXTURES / "tiny_bert")
    assert "new: cls.predictions.transform.dense, cls.predictions.transform.LayerNorm, cls.predictions" in line
    assert line.endswith("left aside: classifier, pooler")


@pytest.fixture(scope="module")
def batches():
    from datasets import Dataset

    folder = FIXTURES / "tiny_bert"
    texts = ["the film was good and the cast was perfect " * 9, "a dull story", "boring jokes with bad music"] * 40
    encoder = TextEncoder.from_folder(folder, 32)
    examples = Examples.chunked(Dataset.from_dict({"text": texts}), encoder, "tokenizing")
    return MaskedBatches(examples, 8, 32, seed=1, tokenizer=load_tokenizer(folder, 32, read_config(folder)))


def test_pieces_hold_every_token_once():
    encoder = TextEncoder.from_folder(FIXTURES / "tiny_bert", 12)
    texts = ["the film was good and the cast was perfect " * 3, "a dull story", ""]
    pieces = encoder.chunks(texts)
    assert max(map(len, pieces)) == 12 and all(piece[0] == 2 and piece[-1] == 3 for piece in pieces)
    whole = [encoder.tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    assert sum((piece[1:-1] for piece in pieces), []) == sum(whole, [])


def test_fifteen_percent_are_gaps_and_of_these_eighty_percent_masked(batches):
    plain = [batches.examples.batch(rows, 32) for _, rows in zip(range(300), batches.rows())]
    gaps = masked = changed = total = 0
    for before, (inputs, labels) in zip(plain, batches.stream()):
        row = np.arange(len(labels))[:, None]
        is_gap = labels != NO_PLACE
        now = inputs["input_ids"][row, inputs["gaps"]]
        was = before["input_ids"][row, inputs["gaps"]]
        np.testing.assert_array_equal(was[is_gap], labels[is_gap])
        assert not np.isin(was[is_gap], [0, 2, 3]).any()  # never padding, [CLS] or [SEP]
        untouched = np.ones_like(before["input_ids"], bool)
        untouched[row, inputs["gaps"]] &= ~is_gap
        np.testing.assert_array_equal(inputs["input_ids"][untouched], before["input_ids"][untouched])
        gaps += is_gap.sum()
        masked += (now[is_gap] == 4).sum()
        changed += (now[is_gap] != was[is_gap]).sum()
        total += (~np.isin(before["input_ids"], [0, 2, 3])).sum()
    assert gaps / total == pytest.approx(0.15, abs=0.04)  # short texts have one at least
    assert masked / gaps == pytest.approx(0.8, abs=0.03)
    assert changed / gaps == pytest.approx(0.9, abs=0.03)


def test_gaps_change_from_epoch_to_epoch_and_come_back_with_the_seed(batches):
    epoch = batches.steps_per_epoch
    stream, again, later = batches.stream(), batches.stream(3), batches.stream(epoch)
    batch = [next(stream) for _ in range(4)][3]
    np.testing.assert_array_equal(batch[0]["input_ids"], next(again)[0]["input_ids"])
    assert set(map(tuple, next(batches.stream())[0]["gaps"])) != set(map(tuple, next(later)[0]["gaps"]))


def test_a_gap_that_is_none_counts_nothing():
    model, _ = load_masked_lm(FIXTURES / "tiny_bert_mlm")
    compile_masked_lm(model, PretrainSettings(learning_rate=1e-9), 10, xla=False)
    ids = np.arange(6, 22, dtype=np.int32).reshape(2, 8)
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "gaps": np.array([[1, 3], [2, 0]], np.int32)}
    labels = np.array([[7, 9], [12, NO_PLACE]], np.int32)
    loss, accuracy = model.test_on_batch(inputs, labels)
    logits = np.asarray(model(inputs))[[0, 0, 1], [0, 1, 0]]
    losses = np.logaddexp.reduce(logits, axis=1) - logits[range(3), [7, 9, 12]]
    assert loss == pytest.approx(losses.mean(), abs=1e-4)
    assert accuracy == pytest.approx((logits.argmax(axis=1) == [7, 9, 12]).mean())


@pytest.fixture(scope="module")
def pretrained(untrained, dataset_folder, tmp_path_factory):
    import pretrain

    def make(folder):
        arguments = [
            "--model_name_or_path", untrained, "--dataset_name", dataset_folder, "--output_dir", folder,
            "--max_seq_length", 32, "--num_train_epochs", 4, "--learning_rate", 0.003, "--precision", "float32",
        ]  # fmt: skip
        assert pretrain.main([str(argument) for argument in arguments]) is None

    return made_once(tmp_path_factory, "pretrained", make)


def test_pretraining_learns_and_train_py_can_begin_with_it(pretrained, untrained):
    history = [row for row in json.loads((pretrained / "history.json").read_text()) if "validation_loss" in row]
    assert history[-1]["validation_loss"] < 0.8 * history[0]["validation_loss"]
    assert not (pretrained / "checkpoints").exists()
    facts = json.loads((pretrained / "pretraining.json").read_text())
    assert facts["validation_loss"] == history[-1]["validation_loss"]
    config, original = read_config(pretrained), read_config(untrained)
    assert config["architectures"] == ["BertForMaskedLM"] and "id2label" not in config
    assert config["hidden_dropout_prob"] == original["hidden_dropout_prob"]
    model, line = load_classifier(pretrained)
    assert line.endswith("new: classifier; left aside: cls")
    before, after = read_weights(untrained)[0], read_weights(pretrained)[0]
    np.testing.assert_array_equal(after["bert.pooler.dense.weight"], before["bert.pooler.dense.weight"])
    name = "bert.encoder.layer.0.output.dense.weight"
    assert np.abs(after[name] - before[name]).max() > 1e-3


def test_the_test_split_is_not_read(untrained, dataset_folder, tmp_path):
    import shutil

    import pretrain

    data = shutil.copytree(dataset_folder, tmp_path / "data")
    (data / "test.parquet").unlink()
    arguments = ["--model_name_or_path", untrained, "--dataset_name", data, "--output_dir", tmp_path / "encoder",
                 "--max_seq_length", 32, "--max_train_samples", 16]  # fmt: skip
    assert pretrain.main([str(argument) for argument in arguments]) is None


def test_infer_says_that_an_encoder_is_no_classifier(pretrained):
    with pytest.raises(UserError, match="holds an encoder, but no classifier"):
        Predictor(pretrained)


@pytest.mark.parametrize(
    "texts, message",
    [
        ([""] * 40, "the texts are all empty"),
        (["a story"] * 4, "4 texts are there to train on: at least 10 are needed"),
        (list(range(40)), "the column text does not hold text"),
        (["☃ ☂"] * 40, "100.0% of the tokens in the texts are unknown"),
    ],
)
def test_texts_of_no_use_are_one_line(texts, message, untrained, tmp_path):
    from datasets import Dataset

    import pretrain

    (tmp_path / "data").mkdir()
    Dataset.from_dict({"text": texts}).to_parquet(tmp_path / "data/train.parquet")
    with pytest.raises(UserError, match=message):
        pretrain.main(["--model_name_or_path", str(untrained), "--dataset_name", str(tmp_path / "data"),
                       "--output_dir", str(tmp_path / "encoder"), "--max_seq_length", "32"])  # fmt: skip


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--unsupervised"], "but no unsupervised split"),
        (["--max_seq_length", "65"], "reads at most 64"),
        (["--output_dir", "mine"], "holds config.json, which was not written here"),
        (["--resume_from_checkpoint", "last"], "holds no checkpoint"),
        (["--model_name_or_path", str(FIXTURES / "tiny_bert_mlm")], "holds no tokenizer"),
    ],
)
def test_bad_input_is_one_line(arguments, message, untrained, dataset_folder, tmp_path, monkeypatch, capsys):
    import pretrain
    from tfbert.common.errors import run

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/config.json").write_text("mine")
    common = ["--model_name_or_path", str(untrained), "--dataset_name", str(dataset_folder), "--max_seq_length", "32"]
    assert run(lambda: pretrain.main([*common, *arguments])) == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "mine/config.json").read_text() == "mine"
