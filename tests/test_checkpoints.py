import json
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from conftest import ENCODERS, FIXTURES, H5, ROOT
from safetensors.numpy import load_file, save_file

from tfbert.common.errors import UserError
from tfbert.model.configs import classifier_config, model_config, read_config, read_encoder_config
from tfbert.model.folders import load_classifier, save_classifier
from tfbert.model.vocabulary import load_tokenizer
from tfbert.model.weight_files import read_weights, write_h5
from tfbert.model.weights import get_weights


def rewrite(folder, change, metadata=None):
    """Replaces a folder's weights by change(weights)."""
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors", metadata)


def logits(folder, **arguments):
    model, line = load_classifier(folder, **arguments)
    ids = np.arange(5, 37, dtype=np.int32).reshape(2, 16)
    return np.asarray(model({"input_ids": ids, "attention_mask": np.ones_like(ids)})), line


@pytest.mark.parametrize("name", ENCODERS)
def test_saving_and_loading_changes_no_bit(name, tmp_path):
    source = FIXTURES / name
    model, _ = load_classifier(source)
    weights = get_weights(model)
    save_classifier(tmp_path, weights, read_config(source), load_tokenizer(source, 64, read_config(source)))
    original = load_file(source / "model.safetensors")
    for copy in (read_weights(tmp_path)[0], read_weights(tmp_path / "pytorch")[0]):
        assert set(copy) == set(original)
        assert all(np.array_equal(copy[key], original[key]) for key in original)
    np.testing.assert_array_equal(logits(tmp_path)[0], logits(source)[0])
    if not (source / "vocab.txt").exists():  # neither BPE nor Unigram has one
        return
    vocabulary = (source / "vocab.txt").read_text()
    assert (tmp_path / "vocab.txt").read_text() == vocabulary == (tmp_path / "pytorch/vocab.txt").read_text()


@pytest.mark.parametrize("name", H5)
def test_h5_files_have_the_layout_of_transformers_4(name, tmp_path):
    weights = read_weights(FIXTURES / name)[0]
    write_h5(weights, tmp_path / "tf_model.h5", read_config(FIXTURES / name))
    with h5py.File(FIXTURES / name / "tf_model.h5") as theirs, h5py.File(tmp_path / "tf_model.h5") as ours:
        layers = [layer for layer in theirs.attrs["layer_names"] if "dropout" not in layer]
        assert sorted(ours.attrs["layer_names"]) == sorted(layers)
        for layer in layers:
            names = theirs[layer].attrs["weight_names"]
            assert sorted(ours[layer].attrs["weight_names"]) == sorted(names)
            for each in names:
                np.testing.assert_array_equal(ours[layer][each], theirs[layer][each])


def test_h5_files_of_old_versions_store_names_as_bytes(tmp_path):
    def with_bytes(group):
        for kind in ("layer_names", "weight_names"):
            if len(group.attrs.get(kind, ())):
                group.attrs[kind] = np.array([name.encode() for name in group.attrs[kind]])

    source = FIXTURES / "tiny_bert_h5" / "tf_model.h5"
    shutil.copy(source, tmp_path)
    with h5py.File(tmp_path / "tf_model.h5", "r+") as file:
        for group in [file, *(file[layer] for layer in file.attrs["layer_names"])]:
            with_bytes(group)
        assert isinstance(file.attrs["layer_names"][0], bytes)
    expected, found = read_weights(source.parent)[0], read_weights(tmp_path)[0]
    assert expected.keys() == found.keys() and all(np.array_equal(expected[name], found[name]) for name in found)


def test_the_oldest_names_without_a_prefix_load(tiny_bert):
    expected, _ = logits(tiny_bert)

    def old_names(weights):
        swaps = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta", "bert.": ""}
        for new, old in swaps.items():
            weights = {name.replace(new, old): value for name, value in weights.items()}
        return weights

    rewrite(tiny_bert, old_names)
    np.testing.assert_array_equal(logits(tiny_bert)[0], expected)


def test_shards_load(tiny_bert):
    expected, _ = logits(tiny_bert)
    weights = load_file(tiny_bert / "model.safetensors")
    (tiny_bert / "model.safetensors").unlink()
    halves = [dict(list(weights.items())[:20]), dict(list(weights.items())[20:])]
    files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for half, file in zip(halves, files):
        save_file(half, tiny_bert / file)
    weight_map = {name: file for half, file in zip(halves, files) for name in half}
    (tiny_bert / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    np.testing.assert_array_equal(logits(tiny_bert)[0], expected)
    (tiny_bert / files[1]).unlink()
    with pytest.raises(UserError, match="model-00002-of-00002.safetensors is missing"):
        load_classifier(tiny_bert)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_files_load(tiny_bert, dtype):
    import ml_dtypes

    expected, _ = logits(tiny_bert)
    kind = getattr(ml_dtypes, dtype, None) or np.float16
    rewrite(tiny_bert, lambda weights: {name: value.astype(kind) for name, value in weights.items()})
    np.testing.assert_allclose(logits(tiny_bert)[0], expected, atol=0.1)


def test_one_line_says_what_is_new_and_what_was_left_aside(tiny_bert):
    def pretraining(weights):
        weights = {name: value for name, value in weights.items() if not name.startswith("classifier")}
        return weights | {
            "cls.predictions.bias": np.zeros(142, np.float32),
            "cls.seq_relationship.bias": np.zeros(2, np.float32),
        }

    rewrite(tiny_bert, pretraining)
    _, line = load_classifier(tiny_bert)
    assert line == "39 arrays of weights from model.safetensors; new: classifier; left aside: cls"


def test_a_classifier_for_other_labels_is_new(tiny_bert):
    config = classifier_config(read_config(tiny_bert), ["a", "b", "c"], "single_label_classification")
    model, line = load_classifier(tiny_bert, config)
    assert "new: classifier" in line and model.config.num_labels == 3


def test_an_encoder_may_have_a_head_of_another_kind(tiny_bert):
    other = {"id2label": {"0": "score"}, "label2id": {"score": 0}, "problem_type": "regression"}
    (tiny_bert / "config.json").write_text(json.dumps(read_config(tiny_bert) | other))
    rewrite(tiny_bert, lambda weights: {name: value[:1] if name.startswith("classifier") else value
                                        for name, value in weights.items()})  # fmt: skip
    with pytest.raises(UserError, match="regression"):
        load_classifier(tiny_bert)
    config = classifier_config(read_encoder_config(tiny_bert), ["a", "b"], "single_label_classification")
    assert logits(tiny_bert, config=config)[0].shape == (2, 2)


def without(name):
    return lambda weights: {key: value for key, value in weights.items() if key != name}


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda folder: (folder / "config.json").unlink(), "holds no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot read .*config.json"),
        (
            lambda folder: (folder / "config.json").write_text('{"model_type": "gpt2"}'),
            "model_type gpt2 is not supported",
        ),
        (lambda folder: (folder / "model.safetensors").unlink(), "holds no weights"),
        (
            lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
            "pytorch_model.bin only",
        ),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(
                (folder / "model.safetensors").read_bytes()[:9000]
            ),
            "cannot read the weights in .*model.safetensors: .*download or copy them again",
        ),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(b"junk" * 99),
            "cannot read the weights in .*model.safetensors: .*download or copy them again",
        ),
        (
            lambda folder: rewrite(folder, without("bert.encoder.layer.1.attention.self.key.bias")),
            "bert.encoder.layer.1.attention.self.key.bias is missing",
        ),
        (
            lambda folder: rewrite(folder, lambda w: w | {"bert.pooler.dense.bias": np.zeros(3, np.float32)}),
            r"bert.pooler.dense.bias has shape \(3,\), config.json asks for \(16,\)",
        ),
        (
            lambda folder: rewrite(
                folder, lambda w: w | {"bert.encoder.layer.2.output.dense.bias": np.zeros(16, np.float32)}
            ),
            "weights that config.json does not ask for",
        ),
    ],
)
def test_a_damaged_folder_is_a_clear_error(tiny_bert, damage, message):
    damage(tiny_bert)
    with pytest.raises(UserError, match=message):
        load_classifier(tiny_bert)


def test_a_damaged_h5_is_a_clear_error(tmp_path):
    (tmp_path / "config.json").write_text((FIXTURES / "tiny_bert_h5/config.json").read_text())
    (tmp_path / "tf_model.h5").write_bytes((FIXTURES / "tiny_bert_h5/tf_model.h5").read_bytes()[:20000])
    with pytest.raises(UserError, match="cannot read the weights"):
        load_classifier(tmp_path)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"hidden_act": "mish"}, "activation mish"),
        ({"position_embedding_type": "relative_key"}, "relative positions"),
        ({"num_attention_heads": 3}, "do not divide"),
        ({"problem_type": "regression"}, "problem_type regression"),
        ({"hidden_size": "16"}, "hidden_size is '16', not a whole number"),
        ({"num_hidden_layers": -1}, "num_hidden_layers is -1"),
        ({"hidden_dropout_prob": 2}, "hidden_dropout_prob is 2, not a number from 0 to 1"),
        ({"id2label": ["a", "b"]}, "id2label must name the labels"),
        ({"id2label": {"1": "a", "2": "b"}}, "id2label must name the labels"),
        ({"id2label": {"0": "a"}}, "one label only"),
        ({"num_labels": "x", "id2label": None}, "num_labels is 'x'"),
        ({"pad_token_id": 900, "model_type": "roberta"}, "64 positions are too few for a pad_token_id of 900"),
        ({"tfbert": None}, "tfbert is None, not a JSON object"),
        ({"tfbert": {"temperature": 0}}, "tfbert.temperature is 0, not a number from 0.001"),
        ({"tfbert": {"temperature": float("nan")}}, "tfbert.temperature is nan"),
        ({"tfbert": {"head_share": "x"}}, "tfbert.head_share is 'x', not a number from 0 to 1"),
        ({"tfbert": {"max_seq_length": 64.5}}, "tfbert.max_seq_length is 64.5, not a whole number"),
        ({"tfbert": {"truncation": []}}, r"tfbert.truncation is \[\], not one of"),
        ({"tfbert": {"pooling": "max"}}, "tfbert.pooling is 'max', not one of pooler, first, mean"),
    ],
)
def test_what_the_model_does_not_build_is_a_clear_error(change, message):
    with pytest.raises(UserError, match=message):
        model_config(read_config(FIXTURES / "tiny_bert") | change)


def test_names_that_no_config_json_has_are_not_read():
    strange = {"pooler_act": "x", "position_offset": 5, "share_layers": True}
    config = read_config(FIXTURES / "tiny_bert")
    assert model_config(config | strange) == model_config(config)


def test_distilbert_sizes_stand_under_their_own_names():
    config = model_config(read_config(FIXTURES / "tiny_distilbert"))
    assert (config.hidden_size, config.num_hidden_layers, config.intermediate_size) == (16, 2, 32)
    assert (config.pooler_act, config.type_vocab_size, config.classifier_dropout) == ("relu", 0, 0.2)


def test_a_disk_that_is_full_ends_in_one_line_and_loses_nothing(tmp_path):
    if sys.platform == "win32":
        pytest.skip("Windows has no limit on the size of files")
    (tmp_path / "tf_model.h5").write_text("old")
    program = f"""
import resource, sys
from tfbert.common.errors import run
from tfbert.common.files import replaced_folder
from tfbert.model.configs import read_config
from tfbert.model.weight_files import read_weights, write_h5
source = {str(FIXTURES / "tiny_bert")!r}
weights, config = read_weights(source)[0], read_config(source)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
def main():
    with replaced_folder({str(tmp_path)!r}, {{"tf_model.h5"}}) as folder:
        write_h5(weights, folder / "tf_model.h5", config)
sys.exit(run(main))
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr.startswith("error: [Errno 27] File too large"), result.stderr
    assert result.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["tf_model.h5"]
    assert (tmp_path / "tf_model.h5").read_text() == "old"
