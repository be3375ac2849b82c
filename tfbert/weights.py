"""Weights in Hugging Face files <-> Keras variables.

They travel as {name: array} under the names and in the shapes of PyTorch
transformers: linear kernels are (out, in). LAYOUTS says how each architecture
calls its parts; `h5_path` says how transformers 4's TensorFlow classes do.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tfbert.configs import CLASSES
from tfbert.errors import UserError

EMBEDDINGS = {
    "word": "embeddings.word_embeddings",
    "token_type": "embeddings.token_type_embeddings",
    "position": "embeddings.position_embeddings",
    "norm": "embeddings.LayerNorm",
}
BERT_BLOCK = {
    "qkv": ["attention.self.query", "attention.self.key", "attention.self.value"],
    "attention_output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "intermediate": "intermediate.dense",
    "output": "output.dense",
    "output_norm": "output.LayerNorm",
}


@dataclass(frozen=True)
class Layout:
    """The PyTorch names of an architecture's parts. Those of the encoder begin with `prefix`; {} is the layer's number.

    masked_lm: dense layer, LayerNorm and bias of the head that pre-training has.
    """

    prefix: str
    masked_lm: tuple
    layer: str = "encoder.layer.{}."
    block: dict = field(default_factory=lambda: BERT_BLOCK)
    project: str = "embeddings_project"
    position_bias: str = "encoder.relative_attention_bias"
    pooler: str = "classifier.dense"
    classifier: str = "classifier.out_proj"


LAYOUTS = {
    "bert": Layout(
        prefix="bert.",
        masked_lm=("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias"),
        pooler="bert.pooler.dense",
        classifier="classifier",
    ),
    "distilbert": Layout(
        prefix="distilbert.",
        masked_lm=("vocab_transform", "vocab_layer_norm", "vocab_projector.bias"),
        layer="transformer.layer.{}.",
        block={
            "qkv": ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
            "attention_output": "attention.out_lin",
            "attention_norm": "sa_layer_norm",
            "intermediate": "ffn.lin1",
            "output": "ffn.lin2",
            "output_norm": "output_layer_norm",
        },
        pooler="pre_classifier",
        classifier="classifier",
    ),
    "roberta": Layout(prefix="roberta.", masked_lm=("lm_head.dense", "lm_head.layer_norm", "lm_head.bias")),
    "electra": Layout(
        prefix="electra.",
        masked_lm=("generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head.bias"),
    ),
    "mpnet": Layout(
        prefix="mpnet.",
        masked_lm=("lm_head.dense", "lm_head.layer_norm", "lm_head.bias"),
        block=BERT_BLOCK
        | {
            "qkv": ["attention.attn.q", "attention.attn.k", "attention.attn.v"],
            "attention_output": "attention.attn.o",
            "attention_norm": "attention.LayerNorm",
        },
    ),
    "albert": Layout(
        prefix="albert.",
        masked_lm=("predictions.dense", "predictions.LayerNorm", "predictions.bias"),
        layer="encoder.albert_layer_groups.0.albert_layers.0.",
        block={
            "qkv": ["attention.query", "attention.key", "attention.value"],
            "attention_output": "attention.dense",
            "attention_norm": "attention.LayerNorm",
            "intermediate": "ffn",
            "output": "ffn_output",
            "output_norm": "full_layer_layer_norm",
        },
        project="encoder.embedding_hidden_mapping_in",
        pooler="albert.pooler",
        classifier="classifier",
    ),
}
# in checkpoints of the encoder's pre-training or of another task, and of no use to the model at hand
LEFT_ASIDE = (
    r"^(cls\.|vocab_|mlm___|nsp___|lm_head\.|predictions\.|sop_classifier|discriminator_|generator_|qa_outputs|"
    r"pooler|pre_classifier|classifier|embeddings\.position_ids)"
)


# {name: array} <-> Keras variables


def entries(model):
    """Yields (variable, names, is_kernel) for every variable of a SequenceClassifier or MaskedLanguageModel.

    A variable with several names is their concatenation along its last axis; a kernel, (in, out) in Keras,
    is transposed in the files.
    """
    layout, encoder = LAYOUTS[model.config.model_type], model.encoder

    def dense(layer, *names):
        yield layer.kernel, [f"{name}.weight" for name in names], True
        yield layer.bias, [f"{name}.bias" for name in names], False

    def norm(layer, name):
        yield layer.gamma, [f"{name}.weight"], False
        yield layer.beta, [f"{name}.bias"], False

    for table in ("word", "token_type", "position"):
        if table != "token_type" or model.config.type_vocab_size:
            yield getattr(encoder.embeddings, table), [f"{layout.prefix}{EMBEDDINGS[table]}.weight"], False
    yield from norm(encoder.embeddings.norm, layout.prefix + EMBEDDINGS["norm"])
    if encoder.embeddings.project:
        yield from dense(encoder.embeddings.project, layout.prefix + layout.project)
    if encoder.position_bias:
        yield encoder.position_bias.table, [f"{layout.prefix}{layout.position_bias}.weight"], False
    for number, block in enumerate(encoder.blocks):
        start, names = layout.prefix + layout.layer.format(number), layout.block
        yield from dense(block.attention.qkv, *(start + part for part in names["qkv"]))
        yield from dense(block.attention.output_dense, start + names["attention_output"])
        yield from norm(block.attention_norm, start + names["attention_norm"])
        yield from dense(block.intermediate, start + names["intermediate"])
        yield from dense(block.output_dense, start + names["output"])
        yield from norm(block.output_norm, start + names["output_norm"])
    if hasattr(model, "transform"):
        dense_name, norm_name, bias_name = layout.masked_lm
        yield from dense(model.transform, dense_name)
        yield from norm(model.norm, norm_name)
        yield model.bias, [bias_name], False
        return
    if model.pooler:
        yield from dense(model.pooler, layout.pooler)
    yield from dense(model.classifier, layout.classifier)


def get_weights(model):
    """{PyTorch name: float32 array} of a model."""
    weights = {}
    for variable, names, is_kernel in entries(model):
        for name, part in zip(names, np.split(np.asarray(variable), len(names), axis=-1)):
            weights[name] = part.T if is_kernel else part
    return weights


def set_weights(model, weights, source):
    """Assigns {PyTorch name: array} to a model and returns the names of head weights that stay new.

    Names may lack the architecture's prefix. Raises UserError for a missing encoder weight or a wrong shape.
    A classifier for another number of labels stays new.
    """
    layout = LAYOUTS[model.config.model_type]
    prefix = layout.prefix
    weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    new = []
    for variable, names, is_kernel in entries(model):
        found = [weights.get(name.removeprefix(prefix)) for name in names]
        for name, value in zip(names, found):
            is_head = not name.startswith(prefix) or name.startswith(layout.pooler)
            shape = (*variable.shape[:-1], variable.shape[-1] // len(names))
            shape = shape[::-1] if is_kernel else shape
            if value is None and not is_head:
                raise UserError(f"{source}: the encoder weight {name} is missing")
            if value is not None and value.shape != shape:
                if not name.startswith(layout.classifier):
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
    """Writes {PyTorch name: array} as transformers 4's TF classes do; config: the config.json dict."""
    import h5py

    class_name = snake_case(f"TF{CLASSES[config['model_type']]}ForSequenceClassification")
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
