"""Weights in Hugging Face files <-> Keras variables.

They travel as {name: array} under the names and in the shapes of PyTorch
transformers: linear kernels are (out, in). LAYOUTS says how each architecture
calls its parts; `h5_path` says how transformers 4's TensorFlow classes do.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfbert.errors import UserError


@dataclass(frozen=True)
class Layout:
    """The PyTorch names of a model's parts; {} stands for the layer's number."""

    prefix: str
    embeddings: dict
    block: dict
    pooler: str
    classifier: str = "classifier"


LAYOUTS = {
    "bert": Layout(
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
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
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
