"""Encoder and the head of its pre-training, which guesses the words that fill gaps in texts.

Devlin et al. 2018 (arXiv:1810.04805), section 3.1, task 1. On a task's own texts, before fine-tuning: Sun et al. 2019
(arXiv:1905.05583, section 5.4), Gururangan et al. 2020 (arXiv:2004.10964).
"""

import keras
from keras import ops

from tfbert.model.configs import read_encoder_config
from tfbert.model.folders import load_model
from tfbert.model.layers import ACTIVATIONS, dense, norm
from tfbert.model.layouts import LAYOUTS
from tfbert.model.modeling import TextModel
from tfbert.model.weight_files import open_weights


@keras.saving.register_keras_serializable("tfbert")
class MaskedLanguageModel(TextModel):
    """Encoder and the head of its pre-training: logits for each gap, float32 (B, K, V), or each place, (B, S, V).

    The last product is with the embedding table itself, to which the head is tied.
    """

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        self.width = config.embedding_size or config.hidden_size
        self.transform = dense(config, self.width, "transform", ACTIVATIONS[config.hidden_act])
        self.norm = norm(config, "norm")

    def build(self, input_shape=None):
        self.encoder.build()
        self.transform.build((None, self.config.hidden_size))
        self.norm.build((None, self.width))
        self.bias = self.add_weight(name="bias", shape=(self.config.vocab_size,), initializer="zeros")
        self.built = True

    def call(self, inputs, training=False):
        """inputs: as of all, and gaps, int (B, K), their places in the text; without them each place is one."""
        hidden, _ = self.read(inputs, training)
        if inputs.get("gaps") is not None:
            hidden = ops.take_along_axis(hidden, inputs["gaps"][:, :, None], axis=1)
        table = ops.cast(self.encoder.embeddings.word, self.compute_dtype)
        logits = ops.matmul(self.norm(self.transform(hidden)), ops.transpose(table))
        return ops.cast(logits, "float32") + ops.cast(self.bias, "float32")


def load_masked_lm(folder, config=None, policy="float32"):
    """A MaskedLanguageModel with the weights in `folder`; else as folders.load_classifier."""
    return load_model(MaskedLanguageModel, folder, config or read_encoder_config(folder), policy)


def pooler_weights(kind, folder):
    """The pooler of the encoder in `folder`, where it has one; masked language modelling does not change it."""
    layout = LAYOUTS[kind]
    prefix = "" if layout.pooler.startswith("pooler") else layout.prefix  # DeBERTa's stands outside of the encoder
    with open_weights(folder) as stored:
        named = {prefix + layout.bare(name): name for name in stored.shapes}
        return {full: stored.read(name) for full, name in named.items() if full.startswith(prefix + "pooler")}
