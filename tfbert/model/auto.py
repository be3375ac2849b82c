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

from tfbert.common.errors import UserError
from tfbert.common.files import replaced_file, write_json
from tfbert.data.sources import find_encoder
from tfbert.data.tasks import MULTI_LABEL, SINGLE_LABEL
from tfbert.model.backend import load_keras
from tfbert.model.configs import classifier_config, labels_of, read_config
from tfbert.model.folders import load_classifier
from tfbert.model.weight_files import write_h5
from tfbert.model.weights import get_weights

load_keras()
from keras import ops  # noqa: E402


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
    def from_pretrained(cls, name_or_path, num_labels=None, id2label=None, label2id=None, problem_type=None):
        """From a folder or a Hub id. num_labels or id2label: a new head where the folder's is another.

        Prints a line where weights are new. Raises tfbert.errors.UserError where the folder cannot be used.
        """
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

    def __call__(self, input_ids=None, attention_mask=None, token_type_ids=None, labels=None, training=False):
        """Inputs one by one or as one mapping; int (B, S). labels: int (B,), or float (B, L) for several a text."""
        if hasattr(input_ids, "keys"):
            inputs = dict(input_ids)
        else:
            inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        labels = inputs.pop("labels", labels)
        inputs = {name: ops.convert_to_tensor(value, "int32") for name, value in inputs.items() if value is not None}
        logits = self.keras_model(inputs, training=training)
        if labels is None:
            return SequenceClassifierOutput(logits=logits)
        if self.config.problem_type == "multi_label_classification":
            labels = ops.convert_to_tensor(labels, "float32")
            loss = ops.mean(ops.binary_crossentropy(labels, logits, from_logits=True), axis=-1)
        else:
            loss = ops.sparse_categorical_crossentropy(ops.convert_to_tensor(labels), logits, from_logits=True)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def save_pretrained(self, folder):
        """Writes config.json and tf_model.h5, in transformers 4's layout.

        Raises UserError where the folder holds a model in other formats too, which would stay as they are.
        """
        folder = Path(folder)
        for name in ("onnx", "pytorch"):
            if (folder / name).exists():
                raise UserError(f"{folder / name} is that of another model: save to another folder, or delete it")
        with replaced_file(folder / "tf_model.h5") as staged:
            write_h5(get_weights(self.keras_model), staged, self.config_json)
        write_json(folder / "config.json", self.config_json)


class AutoTokenizer:
    """transformers' AutoTokenizer whose tokenizers still understand return_tensors="tf"."""

    @staticmethod
    def from_pretrained(name_or_path, **arguments):
        tokenizer = transformers.AutoTokenizer.from_pretrained(name_or_path, **arguments)
        tokenizer.__class__ = type(type(tokenizer).__name__, (WithTensorFlow, type(tokenizer)), {})
        return tokenizer


class WithTensorFlow:
    def __call__(self, *texts, return_tensors=None, **arguments):
        as_tensors = return_tensors == "tf"
        encoded = super().__call__(*texts, return_tensors="np" if as_tensors else return_tensors, **arguments)
        if as_tensors:
            for name, value in encoded.items():
                encoded[name] = ops.convert_to_tensor(np.asarray(value, np.int32))
        return encoded
