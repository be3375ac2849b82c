"""config.json <-> ModelConfig: the sizes and labels of a model, under the names that Hugging Face gives them."""

import json
from pathlib import Path

from tfbert.errors import UserError

ARCHITECTURES = {"bert": "BertForSequenceClassification", "distilbert": "DistilBertForSequenceClassification"}

# model_type -> how config.json calls what ModelConfig calls otherwise
CONFIG_NAMES = {
    "bert": {},
    "distilbert": {
        "hidden_size": "dim",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "intermediate_size": "hidden_dim",
        "hidden_act": "activation",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "attention_dropout",
        "classifier_dropout": "seq_classif_dropout",
    },
}
CONFIG_CONSTANTS = {
    "bert": {"pooler_act": "tanh"},
    "distilbert": {"pooler_act": "relu", "type_vocab_size": 0, "layer_norm_eps": 1e-12},
}


def read_config(folder):
    """config.json as a dict. Raises UserError where it is missing, broken, or of an unknown architecture."""
    path = Path(folder, "config.json")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} holds no config.json: not a model folder") from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    if not isinstance(config, dict) or config.get("model_type") not in ARCHITECTURES:
        found = config.get("model_type") if isinstance(config, dict) else None
        raise UserError(f"{path}: model_type {found} is not supported; supported are {', '.join(ARCHITECTURES)}")
    return config


def model_config(config, folder="config.json"):
    """The ModelConfig of a config.json dict. Raises UserError where it asks for what modeling.py does not build."""
    from tfbert.modeling import ACTIVATIONS, MULTI_LABEL, SINGLE_LABEL, ModelConfig

    kind = config["model_type"]
    names = {field: field for field in ModelConfig.__dataclass_fields__} | CONFIG_NAMES[kind]
    values = {field: config[name] for field, name in names.items() if config.get(name) is not None}
    values |= CONFIG_CONSTANTS[kind]
    if kind == "bert":
        values.setdefault("classifier_dropout", values.get("hidden_dropout_prob", 0.1))
    if "id2label" in values:
        values["id2label"] = {int(number): label for number, label in values["id2label"].items()}
    elif "num_labels" in config:
        values["id2label"] = {number: f"LABEL_{number}" for number in range(config["num_labels"])}
    result = ModelConfig(**values)
    if result.hidden_act not in ACTIVATIONS:
        raise UserError(f"{folder}: activation {result.hidden_act} is not one of {', '.join(ACTIVATIONS)}")
    if result.problem_type not in (SINGLE_LABEL, MULTI_LABEL):
        raise UserError(f"{folder}: problem_type {result.problem_type} is not {SINGLE_LABEL} or {MULTI_LABEL}")
    if config.get("position_embedding_type", "absolute") != "absolute" or config.get("is_decoder"):
        raise UserError(f"{folder}: relative positions and decoders are not supported")
    if result.hidden_size % result.num_attention_heads:
        raise UserError(
            f"{folder}: {result.hidden_size} dimensions do not divide by {result.num_attention_heads} heads"
        )
    return result


def classifier_config(config, label_names, problem_type, settings=None):
    """A copy of a config.json dict, for a classifier with these labels.

    settings: of the training; its dropouts replace the encoder's, and "tfbert" tells infer.py how texts were cut.
    """
    config = {name: value for name, value in config.items() if name not in ("_name_or_path", "torch_dtype", "dtype")}
    config |= {
        "architectures": [ARCHITECTURES[config["model_type"]]],
        "id2label": dict(enumerate(label_names)),
        "label2id": {label: number for number, label in enumerate(label_names)},
        "problem_type": problem_type,
    }
    if settings:
        names = CONFIG_NAMES[config["model_type"]]
        config[names.get("attention_probs_dropout_prob", "attention_probs_dropout_prob")] = settings.attention_dropout
        if settings.hidden_dropout is not None:
            config[names.get("hidden_dropout_prob", "hidden_dropout_prob")] = settings.hidden_dropout
        config["tfbert"] = {"max_seq_length": settings.max_seq_length, "truncation": settings.truncation}
    return config
