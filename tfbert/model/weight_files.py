"""Files with weights: model.safetensors, tf_model.h5 and their shards, and TensorFlow checkpoints.

They may have the names and layouts of PyTorch, of transformers 4's TensorFlow classes or of google-research/bert.
"""

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tfbert.common.errors import UserError, one_line
from tfbert.common.inputs import must_be_regular, read_json
from tfbert.model.h5_files import datasets
from tfbert.model.weight_names import normalised, pytorch_name, snake_case, tensorflow_path

FLOATS = {"float16", "bfloat16", "float32", "float64"}


@dataclass(frozen=True)
class Stored:
    """An array in a file: its shape and dtype there, and what reads it."""

    shape: tuple
    dtype: str
    read: Callable
    transposed: bool = False  # in the file


class StoredWeights:
    """The weights in `path` by their PyTorch names: `shapes`, {name: shape}, and `read`. Nothing is read before."""

    def __init__(self, path, arrays):
        self.path, self.arrays = path, arrays
        self.shapes = {
            name: tuple(each.shape[::-1] if each.transposed else each.shape) for name, each in arrays.items()
        }

    def read(self, name):
        """float32, in PyTorch's layout. Raises UserError where the numbers are of another kind, or not finite."""
        stored = self.arrays[name]
        if stored.dtype not in FLOATS:
            raise UserError(f"{self.path}: {name} is {stored.dtype}, not float32 or float16: not a model to train on")
        with np.errstate(over="ignore"), damaged(self.path):
            value = np.asarray(stored.read()).astype(np.float32, copy=False)
        if not np.isfinite(value).all():
            raise UserError(f"{self.path}: {name} holds numbers that are not finite (NaN): download or copy it again")
        return value.T if stored.transposed else value


@contextlib.contextmanager
def damaged(path):
    """What the libraries raise for a damaged file becomes a UserError."""
    from safetensors import SafetensorError

    try:
        yield
    except UserError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError, MemoryError,
            SafetensorError) as error:  # fmt: skip
        if isinstance(error, PermissionError):
            raise UserError(f"cannot read the weights in {path}: {error.strerror}") from error
        raise UserError(
            f"cannot read the weights in {path}: cut off or damaged ({one_line(error)}); download or copy them again"
        ) from error


@contextlib.contextmanager
def open_weights(folder):
    """Yields the StoredWeights of model.safetensors, tf_model.h5, either's shards, or a *.ckpt of TensorFlow.

    Raises UserError where there is none or one is damaged.
    """
    path, files = weight_paths(Path(folder))
    arrays = {}
    with contextlib.ExitStack() as stack:
        with damaged(path):
            for file in files:
                must_be_regular(file)
                kind = {".safetensors": safetensors_arrays, ".h5": h5_arrays, ".index": checkpoint_arrays}[file.suffix]
                arrays |= kind(file, stack)
        yield StoredWeights(path, arrays)


def weight_paths(folder):
    """The file that stands for the weights in `folder`, in messages, and those that hold them."""
    for name in ("model.safetensors", "tf_model.h5"):
        path, index = folder / name, folder / f"{name}.index.json"
        if path.exists():
            return path, [path]
        if index.exists():
            return index, shards(index)
    checkpoints = sorted(folder.glob("*.ckpt*.index"))
    if len(checkpoints) > 1:
        checkpoints = [path for path in checkpoints if path.name == "bert_model.ckpt.index"] or checkpoints
    if len(checkpoints) > 1:
        raise UserError(f"{folder} holds {len(checkpoints)} checkpoints: keep one, such as {checkpoints[-1].stem}")
    if checkpoints:
        return checkpoints[0], checkpoints
    if any(folder.glob("pytorch_model*.bin")):
        raise UserError(
            f"{folder} holds pytorch_model.bin only, which can run code when it is read: use model.safetensors"
        )
    raise UserError(f"{folder} holds no weights: neither model.safetensors nor tf_model.h5")


def shards(index):
    """The paths that an index of shards names; UserError where one is not beside it."""
    found = read_json(index)
    named = found.get("weight_map") if isinstance(found, dict) else None
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        raise UserError(f"{index}: weight_map is not there, or does not name files; download or copy it again")
    names = sorted(set(named.values()))
    ending = "." + index.name.split(".")[1]
    for name in names:
        if not name.endswith(ending) or set(name) & set("/\\:\0"):
            raise UserError(f"{index} names {name[:100]!r}, not a {ending} file beside it")
        if not (index.parent / name).exists():
            raise UserError(f"{index.parent / name} is missing; download or copy it again")
    return [index.parent / name for name in names]


def safetensors_arrays(path, stack):
    from safetensors import safe_open

    file = stack.enter_context(safe_open(path, "np"))
    kinds = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
    arrays = {}
    for stored in file.keys():
        name, is_kernel = pytorch_name(stored) if "/" in stored else (normalised(stored), False)
        entry = file.get_slice(stored)
        dtype = kinds.get(entry.get_dtype(), entry.get_dtype())
        arrays[name] = Stored(entry.get_shape(), dtype, partial(file.get_tensor, stored), is_kernel)
    return arrays


def h5_arrays(path, stack):
    import h5py

    arrays = {}
    for stored, entry in datasets(stack.enter_context(h5py.File(path, "r")), path).items():
        name, is_kernel = pytorch_name(stored)
        arrays[name] = Stored(entry.shape or (), str(entry.dtype), partial(entry.__getitem__, ...), is_kernel)
    return arrays


def checkpoint_arrays(path, stack):
    """Of google-research/bert: without what its optimizer kept."""
    import tensorflow as tf

    def plainly(function, *arguments):
        try:
            return function(*arguments)
        except tf.errors.OpError as error:
            raise ValueError(error.message) from error

    reader = plainly(tf.train.load_checkpoint, str(path.with_suffix("")))
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    arrays = {}
    for stored, shape in shapes.items():
        if stored.split("/")[-1] in ("adam_m", "adam_v", "global_step"):
            continue
        name, is_kernel = pytorch_name(stored)
        arrays[name] = Stored(shape, dtypes[stored].name, partial(plainly, reader.get_tensor, stored), is_kernel)
    return arrays


def read_weights(folder):
    """{PyTorch name: float32 array} of all weights in `folder`, and the file's path."""
    with open_weights(folder) as stored:
        return {name: stored.read(name) for name in stored.shapes}, stored.path


def in_tensorflow(weights, kind):
    """{PyTorch name: array} of a model_type under the paths, and in the shapes, of transformers 4's TensorFlow classes.

    Two of its heads for masked language modelling go by other names: BERT's cls, and ALBERT's bias, which has two.
    """
    named = {tensorflow_path(name): value for name, value in weights.items()}
    named = {path: value.T if path.endswith("/kernel:0") else value for path, value in named.items()}
    if kind == "bert":
        named = {path.replace("cls/predictions", "mlm___cls/predictions"): value for path, value in named.items()}
    if "predictions/bias:0" in named:
        named["predictions/decoder/bias:0"] = named["predictions/bias:0"]
    return named


def write_safetensors(weights, path, form="pt"):
    """Writes {name: array}; form: "pt" where the names are PyTorch's, "tf" where they are those of in_tensorflow."""
    from safetensors.numpy import save

    weights = {name: np.ascontiguousarray(value) for name, value in weights.items()}  # else save mixes values up
    Path(path).write_bytes(save(weights, metadata={"format": form}))


def write_h5(weights, path, config):
    """Writes {PyTorch name: array} as transformers 4's TF classes do; config: the config.json dict, with architectures.

    In memory first: a disk that fills up under h5py itself ends the process with a segmentation fault.
    """
    import h5py

    class_name = snake_case(f"TF{config['architectures'][0]}")
    layers = {}
    for target, value in in_tensorflow(weights, config["model_type"]).items():
        layers.setdefault(target.split("/")[0], {})[f"{class_name}/{target}"] = value
    if class_name.endswith("_masked_lm"):  # its last layer, tied to the embeddings, holds them too
        encoder, *_, last = layers.values()
        last |= {target: value for target, value in encoder.items() if "/embeddings/" in target}
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs["layer_names"] = list(layers)
        file.attrs["backend"] = "tensorflow"
        file.attrs["keras_version"] = "2.21.0"
        for layer, stored in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = list(stored)
            for target, value in stored.items():
                group.create_dataset(target, data=value)
        file.create_group("top_level_model_weights").attrs["weight_names"] = np.array([], dtype=float)
    Path(path).write_bytes(content.getbuffer())
