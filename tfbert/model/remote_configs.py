"""config.json of Nomic's and GTE's folders with code of their own, in the names of transformers 5.

That code is not run. It was read: github.com/nomic-ai/contrastors, models/huggingface/modeling_hf_nomic_bert.py, and
modeling.py of huggingface.co/Alibaba-NLP/new-impl. For the values that are let through here, it computes what the
classes of transformers compute, which came after it; the others are refused.
"""

from tfbert.common.console import note_once
from tfbert.common.errors import must

WITH_CODE = ("nomic_bert", "gte")
# transformers' name -> that in Nomic's code, and what this takes where config.json is silent
NOMIC_NAMES = {
    "hidden_size": ("n_embd", 768),
    "num_hidden_layers": ("n_layer", 12),
    "num_attention_heads": ("n_head", 12),
    "layer_norm_eps": ("layer_norm_epsilon", 1e-5),
    "hidden_dropout_prob": ("resid_pdrop", 0.1),
    "attention_probs_dropout_prob": ("attn_pdrop", 0.1),
    "classifier_dropout": ("embd_pdrop", 0.1),
}
NOMIC_SILENT = {"qkv_proj_bias": True, "mlp_fc1_bias": True, "mlp_fc2_bias": True, "rotary_emb_fraction": 0.0,
                "activation_function": "gelu_new"}  # fmt: skip
NOMIC_WITHOUT = ["prenorm", "parallel_block", "causal", "use_rms_norm", "norm_mlp", "qkv_proj_bias", "mlp_fc1_bias",
                 "mlp_fc2_bias", "rotary_emb_interleaved", "rotary_emb_scale_base", "rotary_head_dim",
                 "num_experts"]  # fmt: skip
NOMIC_GATES = {"swiglu": "silu", "geglu": "gelu"}
NOMIC_INNER = 256  # of which inner sizes are multiples
NOMIC_TRAINED = 2048  # tokens, where config.json does not say it
GTE_SILENT = {"vocab_size": 30528, "max_position_embeddings": 2048, "rope_theta": 10_000.0, "pad_token_id": 0}
GTE_NEEDS = {"position_embedding_type": "rope", "layer_norm_type": "layer_norm", "pack_qkv": True,
             "logn_attention_scale": False}  # fmt: skip
LEFT_OUT = {"auto_map", "activation_function", "fused_bias_fc", "fused_dropout_add_ln", "use_flash_attn",
            "use_xentropy", "use_cache", "add_cross_attention", "reorder_and_upcast_attn", "dense_seq_output",
            "max_trained_positions", "parallel_block_tied_norm", "pad_vocab_size_multiple", "rope_theta",
            "unpad_inputs", "logn_attention_clip1", "use_memory_efficient_attention",
            *(name for name, _ in NOMIC_NAMES.values()), *NOMIC_WITHOUT, *GTE_NEEDS}  # fmt: skip
LEFT_OUT_STARTS = "n_", "rotary_", "summary_", "scale_attn_"


def own_names(config, source):
    """A config.json dict as transformers' own classes have it; what needs no change comes back as it is.

    Raises UserError for what these do not compute.
    """
    kind = config.get("model_type")
    with_code = kind in WITH_CODE and ("auto_map" in config or "n_embd" in config)
    if kind != "new" and not with_code:
        return config
    found = nomic_names(config, source) if kind == "nomic_bert" else gte_names(config, source)
    note_once(f"{source} is for code of its own, which is not run: it is read as transformers' {found['model_type']}")
    asked = {name: value for name, value in found.items() if value is not None}
    return {
        name: value for name, value in asked.items() if name not in LEFT_OUT and not name.startswith(LEFT_OUT_STARTS)
    }


def nomic_names(config, source):
    """The same with transformers' names added, for Nomic's."""
    if "n_embd" in config:
        config = NOMIC_SILENT | {name: config.get(old, usual) for name, (old, usual) in NOMIC_NAMES.items()} | config
    asked = [name for name in NOMIC_WITHOUT if config.get(name)]
    must(not asked, f"{source}: {', '.join(asked)} must be false, as in transformers' nomic_bert")
    share = config.get("rotary_emb_fraction", 1)
    must(share == 1, f"{source}: rotary_emb_fraction is {share!r}, not 1, as in transformers' nomic_bert")
    if "activation_function" in config:
        gate = config["activation_function"]
        must(
            isinstance(gate, str) and gate in NOMIC_GATES,
            f"{source}: activation_function is {gate!r}, not one of {', '.join(NOMIC_GATES)}",
        )
        config = {"hidden_act": NOMIC_GATES[gate]} | config
    if "n_embd" in config:
        config = nomic_sizes(config, source)
    if config.get("rope_parameters") is None and "rotary_emb_base" in config:
        config = config | {"rope_parameters": {"rope_type": "default", "rope_theta": config["rotary_emb_base"]}}
    return config


def nomic_sizes(config, source):
    """Texts end at the trained length, as in transformers: beyond it, rotary_scaling_factor changes the rotations."""
    inner, multiple = config.get("n_inner"), config.get("pad_vocab_size_multiple", 1)
    vocabulary, trained = config.get("vocab_size"), config.get("max_trained_positions", NOMIC_TRAINED)
    longest = config.get("max_position_embeddings", config.get("n_positions", trained))
    numbers = {"n_inner": inner, "pad_vocab_size_multiple": multiple, "vocab_size": vocabulary,
               "max_trained_positions": trained, "max_position_embeddings": longest}  # fmt: skip
    for name, value in numbers.items():
        must(type(value) is int and value > 0, f"{source}: {name} is {value!r}, not a whole number above 0")
    must("rotary_emb_base" in config or config.get("rope_parameters"), f"{source}: rotary_emb_base is missing")
    return {"intermediate_size": -(-inner // NOMIC_INNER) * NOMIC_INNER} | config | {
        "vocab_size": -(-vocabulary // multiple) * multiple,
        "max_position_embeddings": min(longest, trained),
    }  # fmt: skip


def gte_names(config, source):
    """As nomic_names, for GTE's."""
    config = (GTE_SILENT if config["model_type"] == "new" else {}) | config | {"model_type": "gte"}
    for name, needed in GTE_NEEDS.items():
        value = config.get(name, needed)
        must(value == needed, f"{source}: {name} is {value!r}, not {needed!r}, as in transformers' gte")
    if config.get("rope_parameters") is not None:
        return config
    found, theta = {"rope_type": "default"}, config.get("rope_theta")
    must(theta is not None, f"{source}: rope_theta is missing")
    if scaling := config.pop("rope_scaling", None):
        found, theta = as_linear(scaling, theta, config, source)
    return config | {"rope_parameters": found | {"rope_theta": theta}}


def as_linear(scaling, theta, config, source):
    """What GTE's scaling "ntk" is in transformers: a larger theta, and all rotations slower by the same factor."""
    factor = scaling.get("factor") if isinstance(scaling, dict) else None
    must(
        type(factor) in (int, float)
        and 1 < factor < 1e6
        and scaling.get("type") == "ntk"
        and not scaling.get("mixed_b"),
        f'{source}: rope_scaling is {scaling!r}, not {{"type": "ntk", "factor": ...}}',
    )
    width, heads = config.get("hidden_size", 768), config.get("num_attention_heads", 12)
    for name, value in {"hidden_size": width, "num_attention_heads": heads, "rope_theta": theta}.items():
        must(type(value) in (int, float) and value > 0, f"{source}: {name} is {value!r}, not a number above 0")
    must(width >= heads, f"{source}: hidden_size is {width!r}, fewer than {heads!r} heads")
    return {"rope_type": "linear", "factor": factor ** (2 * heads / width)}, theta * factor
