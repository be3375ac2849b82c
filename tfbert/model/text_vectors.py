"""The encoder alone: the vectors of a text's tokens, and that of the pooler with which it was trained."""

import keras

from tfbert.model.layers import ACTIVATIONS, dense
from tfbert.model.layouts import LAYOUTS
from tfbert.model.modeling import TextModel


@keras.saving.register_keras_serializable("tfbert")
class TextVectors(TextModel):
    """A dict: last_hidden_state, float (B, S, D), and pooler_output, float32 (B, D), where transformers has such.

    The latter is tanh of a linear layer over the first token, whatever the pooler of a classifier does. DistilBERT,
    ELECTRA, DeBERTa and those with rotations have none.
    """

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        has_pooler = LAYOUTS[config.model_type].own_pooler
        self.pooler = (
            dense(config, config.hidden_size, "pooler", ACTIVATIONS["tanh"], dtype="float32") if has_pooler else None
        )

    def build(self, input_shape=None):
        self.encoder.build()
        if self.pooler:
            self.pooler.build((None, self.config.hidden_size))
        self.built = True

    def call(self, inputs, training=False):
        hidden, _ = self.read(inputs, training)
        return {"last_hidden_state": hidden} | ({"pooler_output": self.pooler(hidden[:, 0])} if self.pooler else {})
