"""The names of transformers 4 that transformers 5 no longer has for TensorFlow.

    from tfbert import AutoTokenizer, TFAutoModelForSequenceClassification

A script for transformers 4 may stay as it is where it loads, calls, compiles, fits and saves a model. What the classes
share stands in pretrained.py, the tokenizers in tensor_tokenizers.py, AutoConfig in auto_config.py.
"""

from dataclasses import dataclass
from numbers import Integral

from transformers.utils import ModelOutput

from tfbert.common.errors import UserError
from tfbert.data.tasks import MULTI_LABEL, SINGLE_LABEL
from tfbert.model.configs import classifier_config, encoder_config, labels_of, masked_lm_config
from tfbert.model.masked_lm import MaskedLanguageModel
from tfbert.model.modeling import SequenceClassifier
from tfbert.model.pretrained import PretrainedModel, keras, ops
from tfbert.model.text_vectors import TextVectors
from tfbert.model.weight_names import class_names

FROM = "from_pretrained"
NO_GAP = -100  # the label of a token that is not to be guessed


@dataclass
class Vectors(ModelOutput):
    """last_hidden_state: float32 (B, S, D); pooler_output: float32 (B, D), None where transformers has none.

    hidden_states: of this and the next two, where they were asked for, a tuple of what the embeddings and each layer
    give, float32 (B, S, D).
    """

    last_hidden_state: object = None
    pooler_output: object = None
    hidden_states: object = None


@dataclass
class MaskedLMOutput(ModelOutput):
    """logits: float32 (B, S, V); loss: float32 (1,), the mean over all gaps, None without labels."""

    loss: object = None
    logits: object = None
    hidden_states: object = None


@dataclass
class SequenceClassifierOutput(ModelOutput):
    """logits: float32 (B, L); loss: float32 (B,), one for each text as in transformers 4, None without labels."""

    loss: object = None
    logits: object = None
    hidden_states: object = None


class TFAutoModel(PretrainedModel):
    """The encoder alone: the vectors of all tokens, and the one that its own pooler makes of the first."""

    head, keras_class, output_class = "Model", TextVectors, Vectors

    @classmethod
    def own_config(cls, config, of_folder, arguments):
        return encoder_config(config)

    def outputs(self, found, loss=None, hidden_states=None):
        return Vectors(**found, hidden_states=hidden_states)


class TFAutoModelForMaskedLM(PretrainedModel):
    """The encoder and the head of its pre-training: logits of all words, for each place. labels: int (B, S)."""

    head, keras_class, output_class = "ForMaskedLM", MaskedLanguageModel, MaskedLMOutput

    @classmethod
    def own_config(cls, config, of_folder, arguments):
        if config.get("tie_word_embeddings") is False:
            raise UserError("tie_word_embeddings is false: a head with a table of its own is not supported")
        return masked_lm_config(encoder_config(config))

    def own_loss(self):
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=NO_GAP)

    def loss_of(self, labels, found):
        return ops.reshape(self.own_loss()(labels, found), (1,))


def named_labels(id2label, label2id):
    """The labels of a new head by their numbers, a list. Raises UserError where the two disagree, or skip a number."""
    names = labels_of(id2label, {}, FROM) if id2label else {}
    if label2id:
        if not isinstance(label2id, dict):
            raise UserError(f"{FROM}: label2id is a {type(label2id).__name__}, not a dict of numbers by label")
        numbers = {number: label for label, number in label2id.items()}
        if len(numbers) < len(label2id):
            raise UserError(f"{FROM}: label2id gives two labels the same number")
        by_number = labels_of(numbers, {}, FROM)
        if names not in ({}, by_number):
            raise UserError(f"{FROM}: id2label and label2id disagree: give one of them")
        names = by_number
    return list(names.values())


class TFAutoModelForSequenceClassification(PretrainedModel):
    """A classifier. num_labels or id2label: a new head where the folder's is another.

    labels: int (B,), or float (B, L) where several may hold.
    """

    head, keras_class, output_class = "ForSequenceClassification", SequenceClassifier, SequenceClassifierOutput
    own_arguments = ("num_labels", "id2label", "label2id", "problem_type")

    @classmethod
    def own_config(cls, config, of_folder, arguments):
        num_labels, id2label, label2id, problem_type = (arguments.pop(name, None) for name in cls.own_arguments)
        known = list(labels_of(of_folder.get("id2label"), of_folder, "config.json").values())
        labels = list(labels_of(config.get("id2label"), config, "config").values())
        if id2label or label2id:
            labels = named_labels(id2label, label2id)
        elif num_labels is not None and num_labels != len(labels):
            if not isinstance(num_labels, Integral) or num_labels < 1:
                raise UserError(f"num_labels is {num_labels!r}: a classifier has a whole number of them, 1 at least")
            labels = [f"LABEL_{number}" for number in range(num_labels)]
        own_type = config.get("problem_type") or SINGLE_LABEL
        if labels != known or problem_type not in (None, own_type):
            kept = MULTI_LABEL if own_type == MULTI_LABEL else SINGLE_LABEL
            return classifier_config(config, labels, problem_type or kept)
        return config

    def own_loss(self):
        several = self.config.problem_type == MULTI_LABEL
        kind = keras.losses.BinaryCrossentropy if several else keras.losses.SparseCategoricalCrossentropy
        return kind(from_logits=True)

    def loss_of(self, labels, found):
        if self.config.problem_type == MULTI_LABEL:
            labels = ops.cast(labels, "float32")
        return self.own_loss().call(labels, found)


for auto in (TFAutoModel, TFAutoModelForMaskedLM, TFAutoModelForSequenceClassification):
    for model_type, name in class_names(auto.head).items():
        globals()[name] = type(name, (auto,), {"model_type": model_type, "__doc__": auto.__doc__})
