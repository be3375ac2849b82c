"""Files with weights: model.safetensors and its shards, tf_model.h5 as transformers 4 lays it out."""

import io
import json
import re
from pathlib import Path

import numpy as np

from tfbert.common.errors import UserError
from tfbert.model.configs import CLASSES


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
    return normalised(weights)


def normalised(weights):
    """LayerNorm.gamma and .beta, TensorFlow's names in the oldest checkpoints, become .weight and .bias."""
    renamed = {}
    for name, value in weights.items():
        name = re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))
        renamed[name] = value.astype(np.float32) if value.dtype.kind not in "iub" else value
    return renamed


def write_safetensors(weights, path):
    from safetensors.numpy import save

    weights = {name: np.ascontiguousarray(value) for name, value in weights.items()}  # else save mixes values up
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
            "relative_attention_bias": "embeddings",
        }.get(parts[-1], "kernel")
    return re.sub(r"/(layer|albert_layer_groups|albert_layers)/(?=\d)", r"/\1_._", "/".join(parts)) + f"/{kind}:0"


def pytorch_name(path):
    """The inverse of h5_path, and whether the array is a kernel, which the file holds transposed."""
    name, kind = path.removesuffix(":0").replace("_._", "/").rsplit("/", 1)
    kinds = {"kernel": "weight", "gamma": "weight", "embeddings": "weight", "beta": "bias"}
    return name.replace("/", ".") + "." + kinds.get(kind, kind), kind == "kernel"


def snake_case(name):
    """A class name as Keras names its instances: TFMPNetForX -> tfmp_net_for_x."""
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


def read_h5(path):
    import h5py

    weights = {}
    with h5py.File(path, "r") as file:
        for layer in map(as_text, file.attrs["layer_names"]):
            group = file[layer]
            for stored in map(as_text, group.attrs["weight_names"]):
                name, is_kernel = pytorch_name(stored.split("/", 1)[1])
                weights[name] = np.asarray(group[stored]).T if is_kernel else np.asarray(group[stored])
    return weights


def as_text(name):
    """A name in an attribute of an h5 file, which old versions of h5py stored as bytes."""
    return name.decode() if isinstance(name, bytes) else name


def write_h5(weights, path, config):
    """Writes {PyTorch name: array} as transformers 4's TF classes do; config: the config.json dict.

    In memory first: a disk that fills up under h5py itself ends the process with a segmentation fault.
    """
    import h5py

    class_name = snake_case(f"TF{CLASSES[config['model_type']]}ForSequenceClassification")
    layers = {}
    for name in weights:
        layers.setdefault(name.split(".")[0], []).append(name)
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
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
    Path(path).write_bytes(content.getbuffer())
