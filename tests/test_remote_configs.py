"""Folders of Nomic and GTE with code of their own: read as transformers' own classes read them, or refused."""

import json
import shutil

import numpy as np
import pytest
from conftest import FIXTURES
from safetensors.numpy import load_file, save_file

from tfbert.common.errors import UserError
from tfbert.model.configs import model_config, read_config
from tfbert.model.folders import load_classifier
from tfbert.model.remote_configs import own_names
from tfbert.model.rotary import Rotations
from tfbert.model.vocabulary import load_tokenizer

# the names of nomic-ai/nomic-bert-2048's config.json, for the tiny one
NOMIC = {"model_type": "nomic_bert", "auto_map": {"AutoModel": "some--code.NomicBertModel"}, "n_embd": 16, "n_layer": 2,
         "n_head": 2, "n_inner": 256, "n_positions": 64, "vocab_size": 142, "layer_norm_epsilon": 1e-12,
         "activation_function": "swiglu", "resid_pdrop": 0.0, "attn_pdrop": 0.0, "qkv_proj_bias": False,
         "mlp_fc1_bias": False, "mlp_fc2_bias": False, "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0,
         "pad_vocab_size_multiple": 1, "prenorm": False, "use_rms_norm": False, "summary_type": "cls_index",
         "rotary_emb_scale_base": None, "pad_token_id": None}  # fmt: skip
# and of Alibaba-NLP/gte-multilingual-base's
GTE = {"model_type": "new", "auto_map": {"AutoModel": "some--code.NewModel"}, "hidden_size": 16, "num_hidden_layers": 2,
       "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 66, "vocab_size": 142,
       "type_vocab_size": 1, "pad_token_id": 1, "position_embedding_type": "rope", "layer_norm_type": "layer_norm",
       "rope_theta": 20_000, "rope_scaling": {"type": "ntk", "factor": 8.0}, "pack_qkv": True, "unpad_inputs": True,
       "use_memory_efficient_attention": False, "logn_attention_scale": False}  # fmt: skip


def folder_of(config, fixture, folder, prefix):
    """The weights of a tiny model under the names of the code that came with it."""
    shutil.copytree(FIXTURES / fixture, folder)
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    kind = fixture.removeprefix("tiny_") + "."
    save_file({name.replace(kind, prefix): value for name, value in weights.items()}, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    "fixture, config, prefix",
    [
        ("tiny_nomic_bert", NOMIC | {"intermediate_size": 32}, "bert."),  # both styles, as nomic-embed-text-v1.5 has
        ("tiny_nomic_bert", NOMIC | {"intermediate_size": 32}, ""),
        ("tiny_gte", GTE, "new."),
    ],
)
def test_their_folders_give_the_logits_of_transformers(fixture, config, prefix, tmp_path, capsys):
    folder = folder_of(config, fixture, tmp_path / "encoder", prefix)
    model, line = load_classifier(folder)
    assert "new" not in line
    with np.load(FIXTURES / fixture / "golden.npz") as file:
        inputs = {key: file[key].astype(np.int32) for key in file.files if key != "logits"}
        np.testing.assert_allclose(np.asarray(model(inputs)), file["logits"], atol=1e-4)
    found = read_config(folder)
    read_again = model_config(found)
    assert read_again == model_config(read_config(FIXTURES / fixture) | {"classifier_dropout": model.dropout.rate})
    assert not {"auto_map", "n_embd", "rotary_emb_base", "rope_theta", "rope_scaling", "pack_qkv"} & set(found)
    assert load_tokenizer(folder, 64, found)("a good film")["input_ids"]


def test_rotations_of_the_type_ntk_are_as_slow_as_in_their_code():
    width, factor, theta = 8, 8.0, 20_000
    config = model_config(read_named(GTE))
    cosine, _ = Rotations(config)(np.zeros((1, 60), np.int32))[0]
    speed = (theta * factor) ** -(np.arange(0, width, 2) / width) / factor ** (2 / width)
    np.testing.assert_allclose(np.asarray(cosine)[:, :4], np.cos(np.arange(60)[:, None] * speed), atol=1e-5)


def read_named(config):
    return own_names(config, "config.json")


def test_sizes_of_nomic_are_those_that_its_code_makes_of_them():
    config = NOMIC | {"n_inner": 300, "vocab_size": 142, "pad_vocab_size_multiple": 64, "n_positions": 8192,
                      "max_trained_positions": 2048, "rotary_scaling_factor": 2}  # fmt: skip
    found = model_config(read_named(config))
    assert (found.intermediate_size, found.vocab_size, found.max_position_embeddings) == (512, 192, 2048)
    del config["layer_norm_epsilon"]
    assert model_config(read_named(config)).layer_norm_eps == 1e-5  # GPT-2's


def test_a_gte_without_types_is_one_whose_types_say_nothing(tmp_path):
    folder = folder_of(GTE, "tiny_gte", tmp_path / "encoder", "new.")
    table = "new.embeddings.token_type_embeddings.weight"
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {table: 0 * weights[table]}, folder / "model.safetensors")
    inputs = {"input_ids": np.arange(5, 25, dtype=np.int32)[None], "attention_mask": np.ones((1, 20), np.int32)}
    expected = np.asarray(load_classifier(folder)[0](inputs))
    del weights[table]
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(GTE | {"type_vocab_size": 0}))
    np.testing.assert_array_equal(load_classifier(folder)[0](inputs), expected)


@pytest.mark.parametrize(
    "config, changes, message",
    [
        (NOMIC, {"prenorm": True, "use_rms_norm": True}, "prenorm, use_rms_norm must be false"),
        (NOMIC, {"qkv_proj_bias": None, "num_experts": 8}, "num_experts must be false"),
        (NOMIC, {"rotary_emb_fraction": 0.5}, "rotary_emb_fraction is 0.5, not 1"),
        (NOMIC, {"activation_function": "glu"}, "activation_function is 'glu', not one of swiglu, geglu"),
        (NOMIC, {"n_inner": None}, "n_inner is None, not a whole number"),
        (NOMIC, {"max_trained_positions": "2048"}, "max_trained_positions is '2048', not a whole number"),
        (NOMIC, {"rotary_emb_base": "1000"}, "rope_theta is '1000', not a number above 1"),
        (NOMIC, {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "must be of the type default"),
        (NOMIC, {"head_dim": 4}, "head_dim must be 8"),
        (GTE, {"position_embedding_type": "absolute"}, "position_embedding_type is 'absolute', not 'rope'"),
        (GTE, {"layer_norm_type": "rms_norm"}, "layer_norm_type is 'rms_norm', not 'layer_norm'"),
        (GTE, {"logn_attention_scale": True}, "logn_attention_scale is True, not False"),
        (GTE, {"pack_qkv": False}, "pack_qkv is False, not True"),
        (GTE, {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_scaling is .*, not .*ntk"),
        (GTE, {"rope_scaling": {"type": "ntk", "factor": 2.0, "mixed_b": 0.9}}, "rope_scaling is .*, not .*ntk"),
        (GTE, {"rope_scaling": {"type": "ntk", "factor": 2.0}, "rope_theta": "a"}, "rope_theta is 'a', not a number"),
        (GTE, {"model_type": "gte", "rope_theta": None}, "rope_theta is missing"),
        (GTE, {"rope_parameters": {"rope_type": "linear", "factor": 0}, "rope_scaling": None}, "factor is 0, not"),
    ],
)  # fmt: skip
def test_what_transformers_does_not_compute_is_refused(config, changes, message):
    with pytest.raises(UserError, match=message):
        model_config(read_named(config | changes))


def test_what_their_code_takes_where_config_json_is_silent_counts():
    silent = {name: value for name, value in NOMIC.items() if not name.endswith("_bias")}
    with pytest.raises(UserError, match="qkv_proj_bias, mlp_fc1_bias, mlp_fc2_bias must be false"):
        read_named(silent)
