"""Hugging Face files <-> Keras variables.

Weights travel as {name: array} under the names and in the shapes of PyTorch
transformers: linear kernels are (out, in). LAYOUTS says how each architecture
calls its parts; `h5_path` says how transformers 4's TensorFlow classes do.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfbert.errors import UserError
from tfbert.files import write_json

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


@dataclass(frozen=True)
class Layout:
    """The PyTorch names of a model's parts; {} stands for the layer's number."""

    architecture: str
    prefix: str
    embeddings: dict
    block: dict
    pooler: str
    classifier: str = "classifier"


LAYOUTS = {
    "bert": Layout(
        architecture="BertForSequenceClassification",
        prefix="bert.",
        embeddings={
            "word": "bert.embeddings.word_embeddings",
            "token_type": "bert.embeddings.token_type_embeddings",
            "position": "bert.embeddings.position_embeddings",
            "norm": "bert.embeddings.LayerNorm",
        },
        block={
            "qkv": ["bert.encoder.layer.{}.attention.self." + part for part in ("query", "key", "value")],
            "attention_output": "bert.encoder.layer.{}.attention.output.dense",
            "attention_norm": "bert.encoder.layer.{}.attention.output.LayerNorm",
            "intermediate": "bert.encoder.layer.{}.intermediate.dense",
            "output": "bert.encoder.layer.{}.output.dense",
            "output_norm": "bert.encoder.layer.{}.output.LayerNorm",
        },
        pooler="bert.pooler.dense",
    ),
    "distilbert": Layout(
        architecture="DistilBertForSequenceClassification",
        prefix="distilbert.",
        embeddings={
            "word": "distilbert.embeddings.word_embeddings",
            "position": "distilbert.embeddings.position_embeddings",
            "norm": "distilbert.embeddings.LayerNorm",
        },
        block={
            "qkv": ["distilbert.transformer.layer.{}.attention." + part for part in ("q_lin", "k_lin", "v_lin")],
            "attention_output": "distilbert.transformer.layer.{}.attention.out_lin",
            "attention_norm": "distilbert.transformer.layer.{}.sa_layer_norm",
            "intermediate": "distilbert.transformer.layer.{}.ffn.lin1",
            "output": "distilbert.transformer.layer.{}.ffn.lin2",
            "output_norm": "distilbert.transformer.layer.{}.output_layer_norm",
        },
        pooler="pre_classifier",
    ),
}
HEADS = ("pooler", "pre_classifier", "classifier")
# in checkpoints of the encoder's pre-training, and of no use to a classifier
LEFT_ASIDE = r"^(cls\.|vocab_|mlm___|nsp___|qa_outputs|embeddings\.position_ids)"


# config.json


def read_config(folder):
    """config.json as a dict. Raises UserError where it is missing, broken, or of an unknown architecture."""
    path = Path(folder, "config.json")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} holds no config.json: not a model folder") from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    if not isinstance(config, dict) or config.get("model_type") not in LAYOUTS:
        found = config.get("model_type") if isinstance(config, dict) else None
        raise UserError(f"{path}: model_type {found} is not supported; supported are {', '.join(LAYOUTS)}")
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
        "architectures": [LAYOUTS[config["model_type"]].architecture],
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


# {name: array} <-> Keras variables


def entries(model):
    """Yields (variable, names, is_kernel) for every variable of a SequenceClassifier.

    A variable with several names is their concatenation along its last axis; a kernel, (in, out) in Keras,
    is transposed in the files.
    """
    layout, encoder = LAYOUTS[model.config.model_type], model.encoder

    def dense(layer, names):
        names = [names] if isinstance(names, str) else names
        yield layer.kernel, [f"{name}.weight" for name in names], True
        yield layer.bias, [f"{name}.bias" for name in names], False

    def norm(layer, name):
        yield layer.gamma, [f"{name}.weight"], False
        yield layer.beta, [f"{name}.bias"], False

    for table, name in layout.embeddings.items():
        if table == "norm":
            yield from norm(encoder.embeddings.norm, name)
        elif table != "token_type" or model.config.type_vocab_size:
            yield getattr(encoder.embeddings, table), [f"{name}.weight"], False
    for number, block in enumerate(encoder.blocks):
        names = {
            part: [n.format(number) for n in name] if part == "qkv" else name.format(number)
            for part, name in layout.block.items()
        }
        yield from dense(block.attention.qkv, names["qkv"])
        yield from dense(block.attention.output_dense, names["attention_output"])
        yield from norm(block.attention_norm, names["attention_norm"])
        yield from dense(block.intermediate, names["intermediate"])
        yield from dense(block.output_dense, names["output"])
        yield from norm(block.output_norm, names["output_norm"])
    if model.pooler:
        yield from dense(model.pooler, layout.pooler)
    yield from dense(model.classifier, layout.classifier)


def get_weights(model):
    """{PyTorch name: float32 array} of a SequenceClassifier."""
    weights = {}
    for variable, names, is_kernel in entries(model):
        for name, part in zip(names, np.split(np.asarray(variable), len(names), axis=-1)):
            weights[name] = np.ascontiguousarray(part.T if is_kernel else part)
    return weights


def set_weights(model, weights, source):
    """Assigns {PyTorch name: array} to a SequenceClassifier and returns the names of head weights that stay new.

    Names may lack the architecture's prefix. Raises UserError for a missing encoder weight or a wrong shape.
    A classifier for another number of labels stays new.
    """
    prefix = LAYOUTS[model.config.model_type].prefix
    weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    new = []
    for variable, names, is_kernel in entries(model):
        found = [weights.get(name.removeprefix(prefix)) for name in names]
        for name, value in zip(names, found):
            is_head = name.removeprefix(prefix).startswith(HEADS)
            shape = (*variable.shape[:-1], variable.shape[-1] // len(names))
            shape = shape[::-1] if is_kernel else shape
            if value is None and not is_head:
                raise UserError(f"{source}: the encoder weight {name} is missing")
            if value is not None and value.shape != shape:
                if not name.startswith("classifier"):
                    raise UserError(f"{source}: {name} has shape {value.shape}, config.json asks for {shape}")
                value = None
            if value is None:
                new.append(name)
        if not set(names) & set(new):
            variable.assign(np.concatenate([v.T if is_kernel else v for v in found], axis=-1))
    return new


# Files with weights


def read_weights(folder):
    """{PyTorch name: float32 array} from model.safetensors, its shards, or tf_model.h5, and the file's path.

    Raises UserError where there is none or one is damaged.
    """
    folder = Path(folder)
    single, index, h5 = (folder / n for n in ("model.safetensors", "model.safetensors.index.json", "tf_model.h5"))
    try:
        if single.exists():
            return read_safetensors(single), single
        if index.exists():
            files = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            return {k: v for file in sorted(files) for k, v in read_safetensors(folder / file).items()}, index
        if h5.exists():
            return read_h5(h5), h5
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"cannot read the weights in {folder}: {error}; download or copy them again") from error
    if any(folder.glob("pytorch_model*.bin")):
        raise UserError(
            f"{folder} holds pytorch_model.bin only, which can run code when it is read: use model.safetensors"
        )
    raise UserError(f"{folder} holds no weights: neither model.safetensors nor tf_model.h5")


def read_safetensors(path):
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        weights = load_file(path)
    except (SafetensorError, FileNotFoundError) as error:
        raise ValueError(f"{path.name} is missing, cut off or damaged ({error})") from error
    return normalised({name: value for name, value in weights.items()})


def normalised(weights):
    """LayerNorm.gamma and .beta, TensorFlow's names in the oldest checkpoints, become .weight and .bias."""
    renamed = {}
    for name, value in weights.items():
        name = re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))
        renamed[name] = value.astype(np.float32) if value.dtype.kind not in "iub" else value
    return renamed


def write_safetensors(weights, path):
    from safetensors.numpy import save

    Path(path).write_bytes(save(weights, metadata={"format": "pt"}))


def h5_path(name):
    """A PyTorch name as transformers 4's TensorFlow classes write it, such as bert/.../query/kernel:0."""
    *parts, kind = name.split(".")
    if "LayerNorm" in parts[-1] or "layer_norm" in parts[-1]:
        kind = {"weight": "gamma", "bias": "beta"}[kind]
    elif kind == "weight":
        kind = {
            "word_embeddings": "weight",
            "position_embeddings": "embeddings",
            "token_type_embeddings": "embeddings",
        }.get(parts[-1], "kernel")
    return "/".join(parts).replace("/layer/", "/layer_._") + f"/{kind}:0"


def pytorch_name(path):
    """The inverse of h5_path, and whether the array is a kernel, which the file holds transposed."""
    name, kind = path.removesuffix(":0").replace("layer_._", "layer/").rsplit("/", 1)
    kinds = {"kernel": "weight", "gamma": "weight", "embeddings": "weight", "beta": "bias"}
    return name.replace("/", ".") + "." + kinds.get(kind, kind), kind == "kernel"


def read_h5(path):
    import h5py

    weights = {}
    with h5py.File(path, "r") as file:
        for layer in file.attrs["layer_names"]:
            group = file[layer]
            for stored in group.attrs["weight_names"]:
                name, is_kernel = pytorch_name(stored.split("/", 1)[1])
                weights[name] = np.asarray(group[stored]).T if is_kernel else np.asarray(group[stored])
    return weights


def write_h5(weights, path, config):
    """Writes {PyTorch name: array} as transformers 4's TF classes do; config: the config.json dict."""
    import h5py

    kind = config["model_type"]
    class_name = {"bert": "tf_bert", "distilbert": "tf_distil_bert"}[kind] + "_for_sequence_classification"
    layers = {}
    for name in weights:
        layers.setdefault(name.split(".")[0], []).append(name)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = list(layers)
        file.attrs["backend"] = "tensorflow"
        file.attrs["keras_version"] = "2.21.0"
        for layer, names in layers.items():
            group = file.create_group(layer)
            stored = {f"{class_name}/{h5_path(name)}": weights[name] for name in names}
            group.attrs["weight_names"] = list(stored)
            for target, value in stored.items():
                group.create_dataset(target, data=value.T if target.endswith("/kernel:0") else value)
        file.create_group("top_level_model_weights").attrs["weight_names"] = np.array([], dtype=float)


# Whole folders

# what train.py leaves in its output folder; anything else there is the user's and is kept
OUTPUT_FILES = {"tf_model.h5", "config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json",
                "special_tokens_map.json", "added_tokens.json", "pytorch", "onnx", "metrics.json", "README.md",
                "history.csv", "history.json"}  # fmt: skip


def load_classifier(folder, config=None, policy="float32"):
    """A SequenceClassifier with the weights in `folder`, and one line on what is new and what was left aside.

    config: a config.json dict to use in place of the folder's, such as one with other labels.
    policy: a Keras dtype policy. Raises UserError as the parts above do.
    """
    config = config or read_config(folder)
    model = new_classifier(config, policy, folder)
    weights, path = read_weights(folder)
    new = set_weights(model, weights, path)

    prefix = LAYOUTS[config["model_type"]].prefix
    used = {name.removeprefix(prefix) for _, names, _ in entries(model) for name in names}
    unused = {name.removeprefix(prefix) for name in weights} - used
    aside = sorted({name.split(".")[0] for name in unused if re.match(LEFT_ASIDE, name)} - {"embeddings"})
    strange = sorted(name for name in unused if not re.match(LEFT_ASIDE, name))
    if any(re.search(r"\d", name) for name in strange):
        raise UserError(f"{path}: weights that config.json does not ask for, such as {strange[0]}")
    parts = [f"{len(used) - len(new)} weights from {path.name}"]
    if new:
        parts.append("new: " + ", ".join(dict.fromkeys(name.rsplit(".", 1)[0] for name in new)))
    if aside + strange:
        parts.append("left aside: " + ", ".join(aside + strange))
    return model, "; ".join(parts)


def new_classifier(config, policy="float32", source="config.json"):
    """A SequenceClassifier with random weights from a config.json dict."""
    import keras

    from tfbert.modeling import SequenceClassifier

    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)  # every layer inside takes the policy that stands when it is made
    try:
        model = SequenceClassifier(model_config(config, source))
        model.build()
    finally:
        keras.config.set_dtype_policy(previous)
    return model


def save_classifier(folder, weights, config, tokenizer):
    """Writes a model as users of transformers know it into an existing folder.

    tf_model.h5, config.json and the tokenizer for transformers 4 with TensorFlow; pytorch/ with
    model.safetensors for transformers 5, apart because transformers 4 would choose it and fail.
    weights: {PyTorch name: array}; config: config.json's dict; tokenizer: a transformers tokenizer.
    """
    pytorch = Path(folder, "pytorch")
    pytorch.mkdir()
    write_h5(weights, Path(folder, "tf_model.h5"), config)
    write_safetensors(weights, pytorch / "model.safetensors")
    for place in (folder, pytorch):
        write_json(Path(place, "config.json"), config)
        save_tokenizer(tokenizer, place)


def load_tokenizer(folder, max_seq_length, config):
    """The transformers tokenizer in `folder`, to be used and saved without the truncation of its former life.

    Raises UserError where there is none, or it has more entries than config.json's vocab_size.
    """
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # the library raises what its parsers raise
        raise UserError(f"cannot read the tokenizer in {folder}: {error}") from error
    if len(tokenizer) > config["vocab_size"]:
        raise UserError(f"{folder}: {len(tokenizer)} tokens, but config.json has a vocab_size of {config['vocab_size']}")
    for leftover in ("max_length", "stride", "truncation_strategy", "pad_to_multiple_of", "pad_token_type_id"):
        tokenizer.init_kwargs.pop(leftover, None)
    tokenizer.model_max_length = max_seq_length
    return tokenizer


def save_tokenizer(tokenizer, folder):
    """tokenizer.json, tokenizer_config.json and, which transformers 5 no longer writes, vocab.txt."""
    tokenizer.save_pretrained(folder)
    vocabulary = tokenizer.get_vocab()
    lines = sorted(vocabulary, key=vocabulary.get)
    Path(folder, "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
