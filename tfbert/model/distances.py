"""What config.json says of how DeBERTa, ModernBERT, Nomic and GTE see the distances between tokens.

Their configs can ask for more than the released models use; what those do not use is refused.
"""

from tfbert.common.errors import must


def deberta_distances(config, values, source):
    """Of ModelConfig's values those that hang on several names of a config.json dict, a dict."""
    terms, norm = config.get("pos_att_type") or [], config.get("norm_rel_ebd", "none")
    terms = terms.split("|") if isinstance(terms, str) else terms
    rules = {
        "relative_attention must be true": config.get("relative_attention") is True,
        "pos_att_type must be p2c and c2p": sorted(map(str.strip, map(str, terms))) == ["c2p", "p2c"],
        "share_att_key must be true": config.get("share_att_key") is True,
        "a convolution (conv_kernel_size, of DeBERTa-v2-xlarge) is not supported": not config.get("conv_kernel_size"),
        f"norm_rel_ebd is {norm!r}, not none or layer_norm": norm in ("none", "layer_norm"),
    }
    for rule, holds in rules.items():
        must(holds, f"{source}: {rule}")
    buckets, farthest = (count_of(config, name, source) for name in ("position_buckets", "max_relative_positions"))
    farthest = farthest or values.get("max_position_embeddings", 512)
    must(
        buckets == 0 or 4 <= buckets < 2 * farthest - 2, f"{source}: position_buckets is {buckets}, too few or too many"
    )
    return {
        "absolute_positions": config.get("position_biased_input", True) is not False,
        "position_buckets": buckets,
        "max_relative_positions": farthest,
        "relative_norm": norm == "layer_norm",
    }


def count_of(config, name, source):
    """A count, where -1 and what is missing mean 0."""
    value = config.get(name, -1)
    must(type(value) is int and -1 <= value <= 100_000, f"{source}: {name} is {value!r}, not a whole number")
    return max(value, 0)


def modernbert_distances(config, values, source):
    """As deberta_distances."""
    biases = [name for name in ("norm_bias", "attention_bias", "mlp_bias", "classifier_bias") if config.get(name)]
    must(not biases, f"{source}: {', '.join(biases)} must be false, as in the released models")
    layers, every = values.get("num_hidden_layers", 22), config.get("global_attn_every_n_layers", 3)
    must(type(every) is int and every > 0, f"{source}: global_attn_every_n_layers is {every!r}, not a whole number")
    kinds = ["full_attention", "sliding_attention"]
    types = config.get("layer_types") or [kinds[number % every > 0] for number in range(layers)]
    must(
        isinstance(types, list) and len(types) == layers and all(each in kinds for each in types),
        f"{source}: layer_types must say full_attention or sliding_attention for each of {layers} layers",
    )
    must(values["local_attention"] >= 2, f"{source}: local_attention is {values['local_attention']}, too few tokens")
    must_turn_in_pairs(config, values, source)
    parameters = rope_parameters(config, source)
    far, near = (
        theta_of(config, source, parameters.get(kind), f"rope_parameters.{kind}", old, usual)
        for kind, old, usual in (
            ("full_attention", "global_rope_theta", 160_000.0),
            ("sliding_attention", "local_rope_theta", 10_000.0),
        )
    )
    return {"layer_types": types, "rope_theta": far, "local_rope_theta": near}


def nomic_distances(config, values, source):
    """As deberta_distances."""
    must_turn_in_pairs(config, values, source)
    theta = theta_of(config, source, rope_parameters(config, source), "rope_parameters", "rope_theta", 1000.0)
    return {"rope_theta": theta}


def gte_distances(config, values, source):
    """As deberta_distances. Rotations of the type linear are slower by a factor."""
    must_turn_in_pairs(config, values, source)
    found, factor = rope_parameters(config, source), 1.0
    if found.get("rope_type") == "linear":
        factor = found.get("factor")
        must(
            type(factor) in (int, float) and 1 <= factor < 1e6,
            f"{source}: rope_parameters.factor is {factor!r}, not a number from 1 on",
        )
        found = found | {"rope_type": "default"}
    theta = theta_of(config, source, found, "rope_parameters", "rope_theta", 160_000.0)
    return {"rope_theta": theta, "rope_factor": float(factor)}


def must_turn_in_pairs(config, values, source):
    """Raises UserError where heads are not of an even number, or not of hidden_size by their count."""
    width, heads = values.get("hidden_size", 768), values.get("num_attention_heads", 12)
    must(width // heads % 2 == 0, f"{source}: heads of {width // heads} numbers cannot be turned in pairs")
    must(config.get("head_dim") in (None, width // heads), f"{source}: head_dim must be {width // heads}")


def rope_parameters(config, source):
    """What transformers 5 calls so, a dict."""
    must(not config.get("rope_scaling"), f"{source}: rope_scaling is not supported")
    found = {} if config.get("rope_parameters") is None else config["rope_parameters"]
    must(isinstance(found, dict), f"{source}: rope_parameters must be a JSON object")
    return found


def theta_of(config, source, found, name, old, usual):
    """The base of rotations, under transformers 5's name or 4's, `old`; found: the parameters that `name` has."""
    found = {} if found is None else found
    must(
        isinstance(found, dict)
        and found.get("rope_type", "default") == "default"
        and found.get("partial_rotary_factor", 1) == 1,
        f"{source}: {name} must be of the type default, and turn all numbers",
    )
    value = found.get("rope_theta", config.get(old, usual))
    must(type(value) in (int, float) and 1 < value < 1e12, f"{source}: {old} is {value!r}, not a number above 1")
    return float(value)


DISTANCES = {
    "deberta-v2": deberta_distances,
    "modernbert": modernbert_distances,
    "nomic_bert": nomic_distances,
    "gte": gte_distances,
}
