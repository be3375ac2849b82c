"""The two names of transformers 4 that transformers 5 no longer has for TensorFlow.

    from tfbert import AutoTokenizer, TFAutoModelForSequenceClassification

A script for transformers 4 may stay as it is where it calls the tokenizer and the model, and uses .logits, .loss,
.config and save_pretrained.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import transformers
from transformers.utils import ModelOutput

from tfbert.common.console import note_once
from tfbert.common.errors import UserError, nearest
from tfbert.common.files import replaced_file, write_json
from tfbert.data.sources import find_encoder
from tfbert.data.tasks import MULTI_LABEL, SINGLE_LABEL
from tfbert.model.backend import load_keras
from tfbert.model.configs import classifier_config, labels_of, read_config
from tfbert.model.folders import load_classifier
from tfbert.model.weight_files import write_h5
from tfbert.model.weights import get_weights

load_keras()
from keras import InputSpec, ops  # noqa: E402

# what transformers 4 takes and this project has no use for; of these, what would be missed where it is True
LEFT_ASIDE = {"from_pt", "from_tf", "ignore_mismatched_sizes", "cache_dir", "local_files_only", "force_download",
              "resume_download", "proxies", "revision", "token", "use_auth_token", "use_safetensors",
              "trust_remote_code", "output_attentions", "output_hidden_states", "output_loading_info", "return_dict",
              "use_fast", "attn_implementation", "torch_dtype", "dtype", "safe_serialization", "max_shard_size",
              "push_to_hub", "is_main_process", "variant"}  # fmt: skip
REFUSED = {"output_attentions", "output_hidden_states", "output_loading_info", "trust_remote_code", "push_to_hub"}


def leave_aside(arguments, where):
    """Names, in one note, arguments that have no meaning here. Raises UserError for unknown ones, and for outputs."""
    if unknown := sorted(set(arguments) - LEFT_ASIDE):
        raise UserError(f"{where} has no argument {unknown[0]}{nearest(unknown[0], LEFT_ASIDE)}")
    for name in REFUSED:
        if arguments.get(name):
            raise UserError(f"{where}: {name} is not to be had here: leave it out")
    if said := [name for name, value in arguments.items() if value]:
        note_once(f"{where}: without meaning here and left aside: {', '.join(said)}")


INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@dataclass
class SequenceClassifierOutput(ModelOutput):
    """logits: float32 (B, L); loss: float32 (B,), one for each text as in transformers 4, None without labels."""

    loss: object = None
    logits: object = None


class TFAutoModelForSequenceClassification:
    """A classifier in a Hugging Face folder: `from_pretrained`, a call, `save_pretrained`.

    `keras_model` is the Keras model inside, a dict of inputs -> logits, to compile and fit as any other.
    """

    def __init__(self, keras_model, config):
        self.keras_model = keras_model
        self.config_json = config
        self.config = keras_model.config

    @classmethod
    def from_pretrained(cls, name_or_path, num_labels=None, id2label=None, label2id=None, problem_type=None, **others):
        """From a folder or a Hub id. num_labels or id2label: a new head where the folder's is another.

        others: as LEFT_ASIDE. Prints a line where weights are new. Raises tfbert.common.errors.UserError where the
        folder cannot be used.
        """
        leave_aside(others, "from_pretrained")
        folder = find_encoder(str(name_or_path)).folder
        config = read_config(folder)
        known = labels = list(labels_of(config.get("id2label"), config, folder).values())
        if label2id and not id2label:
            id2label = {number: label for label, number in label2id.items()}
        if id2label:
            labels = [id2label[number] for number in sorted(id2label, key=int)]
        elif num_labels is not None and num_labels != len(labels):
            if num_labels < 1:
                raise UserError(f"num_labels is {num_labels}: a classifier has at least one")
            labels = [f"LABEL_{number}" for number in range(num_labels)]
        own_type = config.get("problem_type") or SINGLE_LABEL
        if labels != known or problem_type not in (None, own_type):
            kept = MULTI_LABEL if own_type == MULTI_LABEL else SINGLE_LABEL
            config = classifier_config(config, labels, problem_type or kept)
        model, line = load_classifier(folder, config)
        if "new:" in line:
            print(f"{name_or_path}: {line}")
        return cls(model, config)

    def __call__(self, input_ids=None, attention_mask=None, token_type_ids=None, labels=None, training=False,
                 return_dict=True, **others):  # fmt: skip
        """Inputs one by one, as one list in this order, or as one mapping; int (B, S).

        labels: int (B,), or float (B, L) for several a text. return_dict: False for a tuple. others: as LEFT_ASIDE.
        """
        leave_aside(others, "a call of the model")
        if hasattr(input_ids, "keys"):
            inputs = dict(input_ids)
        elif isinstance(input_ids, (list, tuple)) and input_ids and getattr(input_ids[0], "ndim", 0) == 2:
            inputs = dict(zip(INPUTS, input_ids))
        else:
            inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        labels = inputs.pop("labels", labels)
        inputs = {name: ops.convert_to_tensor(value, "int32") for name, value in inputs.items() if value is not None}
        logits = self.keras_model(inputs, training=training)
        if labels is None:
            output = SequenceClassifierOutput(logits=logits)
            return output if return_dict else output.to_tuple()
        if self.config.problem_type == "multi_label_classification":
            labels = ops.convert_to_tensor(labels, "float32")
            loss = ops.mean(ops.binary_crossentropy(labels, logits, from_logits=True), axis=-1)
        else:
            loss = ops.sparse_categorical_crossentropy(ops.convert_to_tensor(labels), logits, from_logits=True)
        output = SequenceClassifierOutput(loss=loss, logits=logits)
        return output if return_dict else output.to_tuple()

    def save_pretrained(self, folder, saved_model=False, **others):
        """Writes config.json and tf_model.h5, in transformers 4's layout.

        saved_model: TensorFlow's SavedModel too, in saved_model/1. others: as LEFT_ASIDE. Raises UserError where the
        folder holds a model in other formats too, which would stay as they are.
        """
        leave_aside(others, "save_pretrained")
        folder = Path(folder)
        for name in ("onnx", "pytorch"):
            if (folder / name).exists():
                raise UserError(f"{folder / name} is that of another model: save to another folder, or delete it")
        with replaced_file(folder / "tf_model.h5") as staged:
            write_h5(get_weights(self.keras_model), staged, self.config_json)
        write_json(folder / "config.json", self.config_json)
        if saved_model:
            names = INPUTS if self.config.type_vocab_size else INPUTS[:2]
            signature = {name: InputSpec(shape=(None, None), dtype="int32") for name in names}
            self.keras_model.export(str(folder / "saved_model" / "1"), verbose=False, input_signature=[signature])


class AutoTokenizer:
    """transformers' AutoTokenizer whose tokenizers still understand return_tensors="tf"."""

    @staticmethod
    def from_pretrained(name_or_path, **arguments):
        return with_tensorflow(transformers.AutoTokenizer.from_pretrained(name_or_path, **arguments))


def with_tensorflow(tokenizer):
    tokenizer.__class__ = type(type(tokenizer).__name__, (WithTensorFlow, type(tokenizer)), {})
    return tokenizer


def as_tensor(value):
    return ops.convert_to_tensor(np.asarray(value, np.int32))


class WithTensorFlow:
    """The methods of a tokenizer that take return_tensors, and what transformers 4 called them besides."""

    def __call__(self, *texts, return_tensors=None, pad_to_max_length=False, **arguments):
        if pad_to_max_length:
            arguments.setdefault("padding", "max_length")
        return self.in_tensors(super().__call__, return_tensors, *texts, **arguments)

    def pad(self, *encoded, return_tensors=None, **arguments):
        return self.in_tensors(super().pad, return_tensors, *encoded, **arguments)

    def in_tensors(self, method, return_tensors, *arguments, **settings):
        if return_tensors != "tf":
            return method(*arguments, return_tensors=return_tensors, **settings)
        encoded = method(*arguments, return_tensors="np", **settings)
        for name, value in encoded.items():
            encoded[name] = as_tensor(value)
        return encoded

    def encode(self, *texts, return_tensors=None, **arguments):
        if return_tensors != "tf":
            return super().encode(*texts, return_tensors=return_tensors, **arguments)
        return as_tensor(super().encode(*texts, return_tensors="np", **arguments))

    def encode_plus(self, *texts, **arguments):
        return self(*texts, **arguments)

    def batch_encode_plus(self, texts, **arguments):
        pairs = texts and isinstance(texts[0], tuple)
        return self(*map(list, zip(*texts)), **arguments) if pairs else self(texts, **arguments)

    def __reduce__(self):
        own = type(self).__mro__[2]
        plain = own.__new__(own)
        plain.__dict__.update(self.__dict__)
        return with_tensorflow, (plain,)
