"""The two names of transformers 4 that transformers 5 no longer has for TensorFlow.

    from tfbert import AutoTokenizer, TFAutoModelForSequenceClassification

A script for transformers 4 may stay as it is where it calls the tokenizer and the model, and uses .logits, .loss,
.config and save_pretrained. The tokenizers stand in tensor_tokenizers.py.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from transformers.utils import ModelOutput

from tfbert.common.console import note_once
from tfbert.common.errors import UserError, nearest
from tfbert.common.files import replaced_file, write_json
from tfbert.data.sources import find_encoder
from tfbert.data.tasks import MULTI_LABEL, SINGLE_LABEL
from tfbert.model.backend import load_keras
from tfbert.model.configs import CONFIG_NAMES, SHARES, classifier_config, labels_of, read_config
from tfbert.model.folders import load_classifier
from tfbert.model.weight_files import write_h5, write_safetensors
from tfbert.model.weights import get_weights

load_keras()
from keras import ops  # noqa: E402

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
# arguments of transformers 4: those without meaning here, and those that ask for more than there is
LEFT_ASIDE = {"from_pt", "ignore_mismatched_sizes", "cache_dir", "local_files_only", "use_safetensors", "token",
              "revision", "use_auth_token", "force_download", "resume_download", "proxies", "trust_remote_code",
              "low_cpu_mem_usage", "torch_dtype", "dtype", "return_dict", "max_shard_size", "version",
              "signatures"}  # fmt: skip
NOT_THERE = {"output_attentions", "output_hidden_states", "subfolder", "push_to_hub", "inputs_embeds", "position_ids",
             "head_mask"}  # fmt: skip
READ_FIRST = ["onnx", "pytorch", "model.safetensors", "model.safetensors.index.json"]  # before a tf_model.h5


def leave_aside(where, arguments):
    """Takes the arguments that have no meaning here, and names them in one note; UserError for those that have one."""
    for name, value in arguments.items():
        if name in NOT_THERE and value is not None and value is not False:
            raise UserError(f"{where}: {name} is not there; the model gives logits and loss")
        if name not in LEFT_ASIDE | NOT_THERE:
            raise UserError(f"{where}: unknown argument {name}{nearest(name, LEFT_ASIDE | {'num_labels', 'id2label'})}")
    meant = sorted(name for name, value in arguments.items() if name in LEFT_ASIDE and value is not None)
    if meant:
        note_once(f"{where}: {', '.join(meant)} {'have' if len(meant) > 1 else 'has'} no meaning here")


@dataclass
class SequenceClassifierOutput(ModelOutput):
    """logits: float32 (B, L); loss: float32 (B,), one for each text as in transformers 4, None without labels."""

    loss: object = None
    logits: object = None


class TFAutoModelForSequenceClassification:
    """A classifier in a Hugging Face folder: `from_pretrained`, a call, `save_pretrained`.

    `keras_model` is the Keras model inside, a dict of inputs -> logits, to compile, fit, save and export as any other.
    """

    def __init__(self, keras_model, config):
        self.keras_model = keras_model
        self.config_json = config
        self.config = keras_model.config

    @classmethod
    def from_pretrained(
        cls, name_or_path, num_labels=None, id2label=None, label2id=None, problem_type=None, **arguments
    ):
        """From a folder or a Hub id. num_labels or id2label: a new head where the folder's is another.

        arguments: the dropouts of config.json; of transformers 4's others, those without meaning are left aside with
        a note. Prints a line where weights are new. Raises UserError where the folder cannot be used.
        """
        if arguments.get("revision") not in (None, "main") and not os.path.isdir(name_or_path):
            raise UserError("revision: download it with the hf command, and name the folder")
        folder = find_encoder(str(name_or_path)).folder
        config = read_config(folder)
        shares = {*SHARES, *(CONFIG_NAMES.get(config["model_type"], {}).get(name, name) for name in SHARES)}
        config |= {name: arguments.pop(name) for name in shares & arguments.keys()}
        leave_aside("from_pretrained", arguments)
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

    def __call__(
        self, input_ids=None, attention_mask=None, token_type_ids=None, labels=None, training=False, **arguments
    ):
        """Inputs one by one, as one mapping or as one list; int (B, S). labels: int (B,), or float (B, L).

        return_dict=False: a tuple.
        """
        as_tuple = arguments.pop("return_dict", None) is False
        if hasattr(input_ids, "keys"):
            inputs = dict(input_ids)
        elif isinstance(input_ids, (list, tuple)) and hasattr(input_ids[0], "shape") and input_ids[0].ndim == 2:
            inputs = dict(zip(INPUTS, input_ids))
        else:
            inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        labels = inputs.pop("labels", labels)
        leave_aside("model", arguments | {name: value for name, value in inputs.items() if name not in INPUTS})
        inputs = {name: inputs[name] for name in INPUTS if inputs.get(name) is not None}
        inputs = {name: ops.convert_to_tensor(value, "int32") for name, value in inputs.items()}
        logits = self.keras_model(inputs, training=training)
        loss = None
        if labels is not None and self.config.problem_type == MULTI_LABEL:
            labels = ops.convert_to_tensor(labels, "float32")
            loss = ops.mean(ops.binary_crossentropy(labels, logits, from_logits=True), axis=-1)
        elif labels is not None:
            loss = ops.sparse_categorical_crossentropy(ops.convert_to_tensor(labels), logits, from_logits=True)
        output = SequenceClassifierOutput(loss=loss, logits=logits)
        return output.to_tuple() if as_tuple else output

    def save_pretrained(self, folder, saved_model=False, safe_serialization=False, **arguments):
        """Writes config.json and tf_model.h5, in transformers 4's layout.

        safe_serialization: model.safetensors in its place, with TensorFlow's names, as transformers 4 writes it.
        saved_model: also saved_model/1, a SavedModel. Raises UserError where the folder holds a model in another format
        that would be read in its place.
        """
        leave_aside("save_pretrained", arguments)
        folder, name = Path(folder), "model.safetensors" if safe_serialization else "tf_model.h5"
        for other in READ_FIRST[:2] if safe_serialization else READ_FIRST:
            if (folder / other).exists():
                raise UserError(f"{folder / other} is that of another model: save to another folder, or delete it")
        weights = get_weights(self.keras_model)
        with replaced_file(folder / name) as staged:
            if safe_serialization:
                write_safetensors(weights, staged, of_tensorflow=True)
            else:
                write_h5(weights, staged, self.config_json)
        write_json(folder / "config.json", self.config_json)
        if saved_model:
            self.keras_model.export(str(folder / "saved_model" / "1"), verbose=False)
