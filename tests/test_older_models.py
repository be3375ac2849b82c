"""Models that transformers 4's TensorFlow classes and google-research/bert left behind."""

import json
import shutil

import h5py
import numpy as np
import pytest
from conftest import FIXTURES, H5
from safetensors.numpy import load_file, save_file

from tfbert.common.console import note_once
from tfbert.common.errors import UserError
from tfbert.model.configs import read_config, read_encoder_config
from tfbert.model.folders import load_classifier, load_model
from tfbert.model.vocabulary import fitted_config, load_tokenizer


@pytest.fixture(autouse=True)
def notes_are_said_anew():
    note_once.cache_clear()


def stored_by_tensorflow(name):
    """{path: array} in a tf_model.h5 that transformers 4 wrote, without the names of Keras's layer and model."""
    with h5py.File(FIXTURES / name / "tf_model.h5") as file:
        paths = {each: file[layer][each][...] for layer in file for each in file[layer].attrs.get("weight_names", ())}
    return {path.split("/", 1)[1]: value for path, value in paths.items()}


def copied(name, folder):
    folder.mkdir()
    shutil.copy(FIXTURES / name / "config.json", folder)
    return folder


def logits(folder, name):
    with np.load(FIXTURES / name / "golden.npz") as file:
        inputs = {key: file[key].astype(np.int32) for key in file.files if key != "logits"}
        model, _ = load_classifier(folder)
        return np.asarray(model(inputs)), file["logits"]


def write_shards(folder, weights, pattern, write):
    """Three shards and their index, as save_pretrained(max_shard_size=...) writes them."""
    files = [pattern.format(number) for number in (1, 2, 3)]
    weight_map = {path: files[number % 3] for number, path in enumerate(weights)}
    for file in files:
        write({path: weights[path] for path in weights if weight_map[path] == file}, folder / file)
    index = pattern.replace("-0000{}-of-00003", "") + ".index.json"
    named = {f"tf_some_class/{path}": file for path, file in weight_map.items()}
    (folder / index).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": named}))


def write_h5_shard(weights, path):
    with h5py.File(path, "w") as file:
        for name, value in weights.items():
            file.create_dataset(name, data=value)


@pytest.mark.parametrize("kind", ["one", "shards", "h5_shards"])
@pytest.mark.parametrize("name", H5)
def test_tensorflows_names_and_layouts_load(name, kind, tmp_path):
    folder, weights = copied(name, tmp_path / "model"), stored_by_tensorflow(name)
    if kind == "one":
        save_file(weights, folder / "model.safetensors", {"format": "tf"})
    elif kind == "shards":
        write_shards(folder, weights, "model-0000{}-of-00003.safetensors", save_file)
    else:
        write_shards(folder, weights, "tf_model-0000{}-of-00003.h5", write_h5_shard)
    found, wanted = logits(folder, name)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def google_release(folder, source="tiny_bert_mlm", config_name="bert_config.json"):
    """What google-research/bert publishes, of a fixture's weights: a TensorFlow 1 checkpoint, with the optimizer's."""
    import tensorflow as tf

    folder.mkdir()
    values = {"global_step": np.int64(7)}
    for name, value in load_file(FIXTURES / source / "model.safetensors").items():
        *parts, kind = name.replace("encoder.layer.", "encoder.layer_").split(".")
        if kind == "weight":
            kind = "gamma" if parts[-1] == "LayerNorm" else "" if "embeddings" in parts[-1] else "kernel"
        elif parts[-1] == "LayerNorm":
            kind = "beta"
        elif name == "cls.predictions.bias":
            kind = "output_bias"
        path = "/".join([*parts, kind]).rstrip("/")
        values[path] = value.T if kind == "kernel" else value
        values[f"{path}/adam_m"] = np.zeros_like(values[path])
    values |= {"cls/seq_relationship/output_weights": np.zeros((2, 16), np.float32)}
    tensors = [tf.constant(value) for value in values.values()]
    tf.raw_ops.SaveV2(prefix=str(folder / "bert_model.ckpt"), tensor_names=list(values),
                      shape_and_slices=[""] * len(values), tensors=tensors)  # fmt: skip
    config = json.loads((FIXTURES / source / "config.json").read_text())
    sizes = ("hidden_act", "hidden_size", "intermediate_size", "max_position_embeddings", "num_attention_heads",
             "num_hidden_layers", "type_vocab_size", "vocab_size")  # fmt: skip
    (folder / config_name).write_text(json.dumps({name: config[name] for name in sizes}))
    shutil.copy(FIXTURES / "tiny_bert" / "vocab.txt", folder)
    return folder


def test_a_release_of_google_research_loads_with_the_head_of_its_pretraining(tmp_path, capsys):
    from tfbert.model.masked_lm import MaskedLanguageModel

    folder = google_release(tmp_path / "uncased_L-2_H-16_A-2")
    model, line = load_model(MaskedLanguageModel, folder, read_encoder_config(folder), "float32")
    with np.load(FIXTURES / "tiny_bert_mlm" / "golden.npz") as file:
        inputs = {name: file[name].astype(np.int32) for name in ("input_ids", "attention_mask", "gaps")}
        np.testing.assert_allclose(np.asarray(model(inputs)), file["logits"], atol=1e-4)
    assert line == "42 arrays of weights from bert_model.ckpt.index; left aside: cls"
    tokenizer = load_tokenizer(folder, 32, read_config(folder))
    assert tokenizer.tokenize("Good FILM") == ["good", "film"]
    assert "read as an uncased model of google-research/bert, as its name, uncased_L-2" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name, flag, lower",
    [
        ("uncased_L-2", None, True),
        ("cased_L-2", None, False),
        ("multi_cased_L-12", None, False),
        ("chinese_L-12_H-768_A-12", None, True),
        ("mine", None, True),
        ("uncased_L-2", "false", False),
        ("cased_L-2", "true", True),
    ],
)
def test_cased_or_uncased_is_told_by_name_or_flag(name, flag, lower, tmp_path, capsys):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "bert_config.json").write_text('{"vocab_size": 142}')
    shutil.copy(FIXTURES / "tiny_bert" / "vocab.txt", folder)
    tokenizer = load_tokenizer(folder, 32, {"model_type": "bert", "vocab_size": 142}, flag)
    assert (tokenizer.tokenize("Good") == ["good"]) is lower
    assert bool(capsys.readouterr().err) is not bool(flag)


def test_a_vocabulary_with_capitals_shows_a_cased_model_of_google(tmp_path, capsys):
    (tmp_path / "bert_config.json").write_text('{"vocab_size": 142}')
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nGood\n")
    assert load_tokenizer(tmp_path, 32, {"model_type": "bert"}).tokenize("Good") == ["Good"]
    assert "as vocab.txt has words with capitals; --do_lower_case true reads" in capsys.readouterr().err


def test_pretrain_and_train_take_a_release_of_google_research(tmp_path, dataset_folder, no_pictures, capsys):
    import pretrain
    import train

    source = google_release(tmp_path / "uncased_L-2_H-16_A-2")
    common = [
        "--dataset_name",
        dataset_folder,
        "--max_train_samples",
        40,
        "--num_train_epochs",
        1,
        "--max_seq_length",
        32,
    ]
    more = ["--model_name_or_path", source, "--output_dir", tmp_path / "read"]
    assert pretrain.main([str(each) for each in [*common, *more]]) is None
    assert "42 arrays of weights from bert_model.ckpt.index" in capsys.readouterr().out
    again = ["--model_name_or_path", source, "--output_dir", tmp_path / "out", "--max_eval_samples", 20]
    assert train.main([str(each) for each in [*common, *again]]) is None
    assert read_config(tmp_path / "out")["model_type"] == "bert"


def test_several_checkpoints_are_not_guessed_between(tmp_path):
    folder = google_release(tmp_path / "model")
    for name in ("model.ckpt-10", "model.ckpt-20"):
        shutil.copy(folder / "bert_model.ckpt.index", folder / f"{name}.index")
    assert "42" in load_model_line(folder)
    (folder / "bert_model.ckpt.index").unlink()
    with pytest.raises(UserError, match="holds 2 checkpoints: keep one, such as model.ckpt-20"):
        load_classifier(folder)


def load_model_line(folder):
    from tfbert.model.masked_lm import load_masked_lm

    return load_masked_lm(folder)[1]


def test_a_damaged_checkpoint_is_a_clear_error(tmp_path):
    folder = google_release(tmp_path / "model")
    data = folder / "bert_model.ckpt.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:5000])
    with pytest.raises(UserError, match="bert_model.ckpt.index: cut off or damaged"):
        load_classifier(folder)


def without_type(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["model_type"]
    (folder / "config.json").write_text(json.dumps(config))


def test_a_config_without_a_type_is_a_bert_where_the_weights_are(tiny_bert, capsys):
    without_type(tiny_bert)
    model, _ = load_classifier(tiny_bert)
    assert model.config.model_type == "bert"
    assert "config.json names no model_type: model.safetensors has a BERT's weights, so it is read as bert" in (
        capsys.readouterr().err
    )


def test_a_config_without_a_type_says_what_to_add(tmp_path):
    folder = shutil.copytree(FIXTURES / "tiny_roberta", tmp_path / "model")
    without_type(folder)
    with pytest.raises(UserError, match='names no model_type: add "model_type": "bert", if it is a BERT'):
        read_config(folder)


def test_added_tokens_get_new_rows(tiny_bert, capsys):
    tokenizer = load_tokenizer(tiny_bert, 32, read_config(tiny_bert))
    tokenizer.add_tokens(["<user>", "<url>"])
    tokenizer.save_pretrained(tiny_bert)
    config = read_config(tiny_bert)
    grown = fitted_config(config, load_tokenizer(tiny_bert, 32, config), tiny_bert)
    assert grown["vocab_size"] == 144
    assert "2 tokens were added to the 142 of the model, such as <user>: their embeddings" in capsys.readouterr().err
    model, line = load_classifier(tiny_bert, grown)
    assert line == "41 arrays of weights from model.safetensors; new: 2 rows of the word embeddings"
    table = np.asarray(model.encoder.embeddings.word)
    stored = load_file(tiny_bert / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
    np.testing.assert_array_equal(table[:142], stored)
    assert table.shape == (144, 16) and np.abs(table[142:]).max() > 0


def test_added_tokens_get_new_rows_in_masked_language_modelling_too(tmp_path):
    from tfbert.model.masked_lm import load_masked_lm

    folder = FIXTURES / "tiny_bert_mlm"
    model, line = load_masked_lm(folder, read_encoder_config(folder) | {"vocab_size": 145})
    assert "new: 3 rows of the word embeddings" in line and model.bias.shape == (145,)
    np.testing.assert_array_equal(model.bias[142:], np.zeros(3))


def test_a_model_with_added_tokens_trains_and_labels(tiny_bert, dataset_folder, tmp_path, no_pictures):
    import train
    from tfbert import Predictor

    tokenizer = load_tokenizer(tiny_bert, 32, read_config(tiny_bert))
    tokenizer.add_tokens(["<user>"])
    tokenizer.save_pretrained(tiny_bert)
    words = ["--model_name_or_path", tiny_bert, "--dataset_name", dataset_folder, "--output_dir", tmp_path / "out",
             "--max_train_samples", 40, "--max_eval_samples", 20, "--num_train_epochs", 1, "--max_seq_length", 32]  # fmt: skip
    assert train.main([str(word) for word in words]) is None
    assert read_config(tmp_path / "out")["vocab_size"] == 143
    assert Predictor(tmp_path / "out")(["<user> a good film"])[0]["label"] in ("negative", "positive")


def test_a_tokenizer_of_another_model_is_refused(tiny_bert):
    with open(tiny_bert / "vocab.txt", "a", encoding="utf-8") as file:
        file.write("another\nvocabulary\n")
    (tiny_bert / "tokenizer.json").unlink()
    config = read_config(tiny_bert)
    tokenizer = load_tokenizer(tiny_bert, 32, config)
    with pytest.raises(UserError, match="144 tokens with numbers up to 143, but config.json has a vocab_size of 142"):
        fitted_config(config, tokenizer, tiny_bert)


def test_capitals_that_no_text_reaches_are_said(tiny_bert, capsys):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tiny_bert / name).unlink()
    vocabulary = (tiny_bert / "vocab.txt").read_text()
    (tiny_bert / "vocab.txt").write_text(vocabulary.replace("film\n", "Film\n"))
    tokenizer = load_tokenizer(tiny_bert, 32, read_config(tiny_bert))
    assert tokenizer.tokenize("Film") != ["Film"]
    said = capsys.readouterr().err
    assert "has 1 entries with capitals, such as Film, which no text reaches" in said
    line = said.rstrip().split(" or ")[-1]
    assert line == f"""{{"do_lower_case": false}} in {tiny_bert / "tokenizer_config.json"}"""
    (tiny_bert / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert load_tokenizer(tiny_bert, 32, read_config(tiny_bert)).tokenize("Film") == ["Film"]
    with pytest.raises(UserError, match="--do_lower_case is for a folder with vocab.txt alone"):
        load_tokenizer(tiny_bert, 32, read_config(tiny_bert), "true")


def test_a_note_shows_what_steers_a_terminal_and_is_said_once(capsys):
    for _ in range(2):
        note_once("a token \x1b]0;title\x07, über\n")
    assert capsys.readouterr().err == "note: a token \\x1b]0;title\\x07, über\\n\n"
