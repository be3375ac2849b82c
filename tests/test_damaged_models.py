"""Model folders that are damaged, or made to mislead: one line each, before memory or time is spent."""

import json
import os
import shutil

import h5py
import numpy as np
import onnx
import pytest
from conftest import FIXTURES
from safetensors.numpy import load_file, save_file

from tfbert.common.console import hushed
from tfbert.common.errors import UserError
from tfbert.inference.predicting import Predictor
from tfbert.model.configs import model_config, read_config
from tfbert.model.folders import load_classifier
from tfbert.model.vocabulary import fitted_config, load_tokenizer


@pytest.fixture
def h5_model(tmp_path):
    return shutil.copytree(FIXTURES / "tiny_bert_h5", tmp_path / "h5_model")


@pytest.fixture
def onnx_model(tiny_bert):
    from tfbert.inference.onnx_export import export_onnx

    (tiny_bert / "onnx").mkdir()
    export_onnx(load_classifier(tiny_bert)[0], tiny_bert / "onnx" / "model.onnx")
    return tiny_bert


def change_config(folder, **changes):
    (folder / "config.json").write_text(json.dumps(read_config(folder) | changes))


def change_tokenizer(folder, change):
    value = json.loads((folder / "tokenizer.json").read_text())
    change(value)
    (folder / "tokenizer.json").write_text(json.dumps(value))


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


BIAS = "bert.encoder.layer.0.output.dense.bias"
IN_H5 = "bert/tf_bert_for_sequence_classification/bert/encoder/layer_._0/output/dense/bias:0"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tiny_bert, h5_model, value):
    change_weights(tiny_bert, lambda weights: weights[BIAS].__setitem__(3, value))
    with h5py.File(h5_model / "tf_model.h5", "r+") as file:
        file[IN_H5][1] = value
    for folder, name in ((tiny_bert, "model.safetensors"), (h5_model, "tf_model.h5")):
        with pytest.raises(UserError, match=rf"{name}: {BIAS} holds numbers that are not finite"):
            load_classifier(folder)


def test_float64_beyond_float32_is_refused(tiny_bert):
    change_weights(tiny_bert, lambda weights: weights.update({BIAS: np.full(16, 1e300)}))
    with pytest.raises(UserError, match="not finite"):
        load_classifier(tiny_bert)


@pytest.mark.parametrize("multi_label", [False, True])
def test_answers_that_are_not_finite_are_an_error(onnx_model, multi_label):
    if multi_label:
        change_config(onnx_model, problem_type="multi_label_classification")
    path = onnx_model / "onnx" / "model.onnx.data"
    path.write_bytes(np.full(path.stat().st_size // 4, np.nan, np.float32).tobytes())
    with pytest.raises(UserError, match="answers NaN: its weights are damaged"):
        Predictor(onnx_model)(["a good film"])


@pytest.mark.parametrize("kind", ["int8", "int64", "bool", "complex64", "S4"])
def test_weights_of_another_kind_than_floats_are_refused(tiny_bert, h5_model, kind):
    with h5py.File(h5_model / "tf_model.h5", "r+") as file:
        del file[IN_H5]
        file[IN_H5] = np.zeros(8, kind)
    with pytest.raises(UserError, match=rf"tf_model.h5: {BIAS} is .*, not float32"):
        load_classifier(h5_model)
    if kind != "S4":
        change_weights(tiny_bert, lambda weights: weights.update({BIAS: np.zeros(16, kind)}))
        with pytest.raises(UserError, match=rf"model.safetensors: {BIAS} is .*, not float32"):
            load_classifier(tiny_bert)


@pytest.mark.parametrize("kind", ["float16", "float64"])
def test_other_floats_become_float32(h5_model, kind):
    with h5py.File(h5_model / "tf_model.h5", "r+") as file:
        value = file[IN_H5][...]
        del file[IN_H5]
        file[IN_H5] = value.astype(kind)
    found = np.asarray(load_classifier(h5_model)[0].encoder.blocks[0].output_dense.bias)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, value, rtol=1e-3)


def soft_link(file):
    file["bert/loop"] = h5py.SoftLink("/bert")


def hard_link(file):
    file["bert/loop"] = file["bert"]


def external_link(file):
    del file[IN_H5]
    file[IN_H5] = h5py.ExternalLink("elsewhere.h5", "/bias")


def raw_file(file):
    del file[IN_H5]
    group, name = IN_H5.rsplit("/", 1)
    file[group].create_dataset(name, (8,), "f4", external=[("/etc/hostname", 0, 32)])


def huge(file):
    del file[IN_H5]
    file.create_dataset(IN_H5, (200_000, 200_000), "f4", chunks=(1000, 1000))


def huge_elsewhere(file):
    file.create_dataset("dropout/huge:0", (200_000, 200_000), "f4", chunks=(1000, 1000))


def empty(file):
    del file[IN_H5]
    file[IN_H5] = h5py.Empty("f4")


def name_without_a_slash(file):
    value = file[IN_H5][...]
    del file[IN_H5]
    file["bias"] = value


@pytest.mark.parametrize(
    "change, message",
    [
        (soft_link, "bert/loop is a link to somewhere else, which is not followed"),
        (hard_link, "bert/loop leads back into itself"),
        (external_link, "bias:0 is a link to somewhere else, which is not followed"),
        (raw_file, "bias:0 lies in another file, which is not read"),
        (huge, "its arrays have 40,0.* numbers, but the file only .* bytes"),
        (huge_elsewhere, "its arrays have 40,0.* numbers, but the file only .* bytes"),
        (empty, rf"{BIAS} has shape \(\), config.json asks for \(8,\)"),
        (name_without_a_slash, f"the encoder weight {BIAS} is missing"),
    ],
)
def test_h5_files_that_mislead_are_refused(h5_model, change, message):
    with h5py.File(h5_model / "tf_model.h5", "r+") as file:
        change(file)
    with pytest.raises(UserError, match=message):
        load_classifier(h5_model)


def test_attributes_of_h5_files_are_not_read(h5_model):
    expected = np.asarray(load_classifier(h5_model)[0].classifier.kernel)
    with h5py.File(h5_model / "tf_model.h5", "r+") as file:
        file.attrs["layer_names"] = ["nowhere"]
        del file["bert"].attrs["weight_names"]
    np.testing.assert_array_equal(load_classifier(h5_model)[0].classifier.kernel, expected)


@pytest.mark.parametrize(
    "index, message",
    [
        ({"weight_map": {"a": "../tiny_bert/model.safetensors"}}, "names '../tiny_bert/model.safetensors', not a .saf"),
        ({"weight_map": {"a": "/etc/passwd"}}, "names '/etc/passwd', not a .safetensors file beside it"),
        ({"weight_map": {"a": "config.json"}}, "names 'config.json', not a .safetensors file beside it"),
        ({"weight_map": {"a": "..\\model.safetensors"}}, "not a .safetensors file beside it"),
        ({"weight_map": {"a": ["b.safetensors"]}}, "weight_map is not there, or does not name files"),
        ({"weight_map": 5}, "weight_map is not there"),
        ([], "weight_map is not there"),
        ("[" * 100_000, "cannot read .*index.json"),
        ({"weight_map": {"a": "gone.safetensors"}}, "gone.safetensors is missing"),
    ],
)
def test_an_index_of_shards_is_not_trusted(tiny_bert, index, message):
    (tiny_bert / "model.safetensors").unlink()
    text = index if isinstance(index, str) else json.dumps(index)
    (tiny_bert / "model.safetensors.index.json").write_text(text)
    with pytest.raises(UserError, match=message):
        load_classifier(tiny_bert)


@pytest.mark.parametrize("name", ["vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size",
                                  "max_position_embeddings", "type_vocab_size", "num_attention_heads"])  # fmt: skip
def test_sizes_are_checked_before_anything_is_built(tiny_bert, monkeypatch, name):
    monkeypatch.setattr("tfbert.model.folders.new_model", lambda *arguments: pytest.fail("a model is built"))
    change_config(tiny_bert, **{name: 10**9})
    with pytest.raises(UserError, match=f"{name} is 1000000000, not a whole number from . to"):
        load_classifier(tiny_bert)
    change_config(tiny_bert, **{name: {"num_hidden_layers": 500, "num_attention_heads": 160}.get(name, 9984)})
    with pytest.raises(UserError, match="config.json asks for|is missing|do not divide"):
        load_classifier(tiny_bert)


@pytest.mark.parametrize(
    "source, changes, message",
    [
        ("tiny_mpnet", {"max_position_embeddings": 50_000}, "50000 positions, but relative ones allow 4,096 at most"),
        ("tiny_bert", {"pad_token_id": 142}, "pad_token_id is 142, but vocab_size 142"),
        (
            "tiny_albert",
            {"num_hidden_layers": 10**6},
            "num_hidden_layers is 1000000, not a whole number from 1 to 1,000",
        ),
    ],
)
def test_sizes_that_no_weight_shows_have_limits(source, changes, message):
    with pytest.raises(UserError, match=message):
        model_config(read_config(FIXTURES / source) | changes)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs")
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_pipe_in_a_models_folder_is_refused(tiny_bert, name):
    (tiny_bert / name).unlink()
    os.mkfifo(tiny_bert / name)
    with pytest.raises(UserError, match=f"{name} is not a regular file"):
        Predictor(tiny_bert)


def many_ids(value):
    value["model"]["vocab"]["film"] = 2**31


def id_beyond(value):
    value["model"]["vocab"]["film"] = 5000


def no_unknown(value):
    del value["model"]["vocab"]["[UNK]"]


def no_entries(value):
    value["model"]["vocab"], value["added_tokens"] = {}, []


def template_beyond(value):
    value["post_processor"]["special_tokens"]["[CLS]"]["ids"] = [999]


@pytest.mark.parametrize(
    "change, message",
    [
        (many_ids, "a token 2147483648, but config.json a vocab_size of 142"),
        (id_beyond, "a token 5000, but config.json a vocab_size of 142"),
        (no_unknown, "no entry for unknown words"),
        (no_entries, "no entry for unknown words"),
        (template_beyond, "a token 999, but config.json a vocab_size of 142"),
        (lambda value: value.pop("model"), "cannot read the tokenizer in .*tokenizer.json"),
    ],
)
def test_tokenizers_that_do_not_fit_are_refused_at_load(onnx_model, change, message):
    change_tokenizer(onnx_model, change)
    with pytest.raises(UserError, match=message):
        Predictor(onnx_model)


def test_a_panic_of_the_tokenizer_library_is_one_line(tiny_bert, monkeypatch):
    class PanicException(BaseException):
        pass

    def panic(path):
        raise PanicException("index out of bounds")

    monkeypatch.setattr("tokenizers.Tokenizer.from_file", panic)
    with pytest.raises(UserError, match="cannot read the tokenizer in .*: index out of bounds; take it from"):
        Predictor(tiny_bert)
    monkeypatch.setattr("tokenizers.Tokenizer.from_file", lambda path: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        Predictor(tiny_bert)


def test_train_refuses_ids_beyond_all_tokens(tiny_bert):
    change_tokenizer(tiny_bert, id_beyond)
    config = read_config(tiny_bert)
    with pytest.raises(UserError, match="5000"):
        fitted_config(config, load_tokenizer(tiny_bert, 32, config), tiny_bert)


def change_graph(folder, change):
    path = folder / "onnx" / "model.onnx"
    model = onnx.load(path, load_external_data=False)
    change(model.graph)
    onnx.save(model, path)


def other_input(graph):
    graph.input[0].name = "images"


def other_output(graph):
    graph.output[0].name = "boxes"


def node_fails(graph):
    next(node for node in graph.node if node.op_type == "Gather").attribute[0].i = 2


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda graph: graph.node.pop(), "cannot read .*model.onnx"),
        (other_input, "cannot read .*model.onnx|makes logits of images"),
        (other_output, "cannot read .*model.onnx|makes boxes of"),
        (node_fails, "cannot read .*model.onnx|does not compute|logits for each text"),
    ],
)
def test_a_changed_onnx_graph_is_one_line(onnx_model, change, message):
    change_graph(onnx_model, change)
    with pytest.raises(UserError, match=message) as caught:
        Predictor(onnx_model)(["a good film"])
    assert "\n" not in str(caught.value) and "delete it to use Keras" in str(caught.value)


def test_names_in_an_onnx_graph_that_are_no_text_are_one_line(onnx_model, capsys):
    path = onnx_model / "onnx" / "model.onnx"
    path.write_bytes(path.read_bytes().replace(b"input_ids", b"input\xff\xfe\xfd\xfc"))
    with pytest.raises(UserError, match="cannot read .*model.onnx"):
        Predictor(onnx_model)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("load", [Predictor, lambda folder: load_tokenizer(folder, 16, read_config(folder))])
def test_what_rust_prints_of_a_panic_is_not_shown(tiny_bert, capfd, load):
    damaged_map = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
    change_tokenizer(tiny_bert, lambda value: value.update(normalizer=damaged_map))
    with pytest.raises(UserError, match="cannot read the tokenizer.*Cannot parse precompiled_charsmap"):
        load(tiny_bert)
    assert "panicked" not in capfd.readouterr().err


def test_what_is_printed_while_nothing_fails_is_shown_afterwards(capfd):
    with hushed():
        os.write(2, b"a note\n")
        assert capfd.readouterr().err == ""
    assert capfd.readouterr().err == "a note\n"


def test_two_labels_of_one_name_are_refused(tiny_bert):
    change_config(tiny_bert, id2label={"0": "good", "1": "good"})
    with pytest.raises(UserError, match="two labels the same name"):
        Predictor(tiny_bert)


def test_a_tokenizer_without_special_tokens_is_refused(tiny_bert):
    change_tokenizer(tiny_bert, lambda value: value.update(post_processor=None))
    with pytest.raises(UserError, match="adds no special tokens"):
        Predictor(tiny_bert)
