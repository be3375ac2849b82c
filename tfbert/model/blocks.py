"""A layer of the encoder: attention and feed-forward, in the ways that BERT and its successors have them.

BERT takes LayerNorm of each part's sum with what came in; ModernBERT (Warner et al. 2024, arXiv:2412.13663) takes it
before each part (Xiong et al. 2020, arXiv:2002.04745). In the feed-forward of ModernBERT, Nomic (Nussbaum et al. 2024,
arXiv:2402.01613) and GTE (Zhang et al. 2024, arXiv:2407.19669), one half of the inner vector gates the other (Shazeer
2020, arXiv:2002.05202). T tokens of a batch, D hidden size, I inner size.
"""

import keras
from keras import ops

from tfbert.model.attention import SelfAttention
from tfbert.model.disentangled import DisentangledAttention
from tfbert.model.dropout import Dropout
from tfbert.model.layers import ACTIVATIONS, AddAndNormalize, dense, norm
from tfbert.model.rotary import RotaryAttention


def attention_of(config, number):
    """The attention of a layer."""
    if config.rope_theta:
        is_local = config.layer_types[number : number + 1] == ["sliding_attention"]
        return RotaryAttention(config, config.local_attention // 2 if is_local else None, name="attention")
    return (DisentangledAttention if config.disentangled else SelfAttention)(config, name="attention")


class Block(keras.layers.Layer):
    """One encoder layer: attention, then feed-forward, each with dropout, residual and LayerNorm; float (T, D)."""

    def __init__(self, config, number, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        normalized = norm if config.pre_norm else AddAndNormalize
        self.attention = attention_of(config, number)
        is_first = config.pre_norm and number == 0  # where the embeddings are normalized already
        self.attention_norm = None if is_first else normalized(config, name="attention_norm")
        self.activation = ACTIVATIONS[config.hidden_act]
        if config.gate:
            self.intermediate = dense(config, 2 * config.intermediate_size, "intermediate")
        else:
            self.intermediate = dense(config, config.intermediate_size, "intermediate", self.activation)
        self.inner_dropout = Dropout(config.hidden_dropout_prob) if config.inner_dropout else None
        self.output_dense = dense(config, config.hidden_size, "output")
        self.output_norm = normalized(config, name="output_norm")

    def build(self, input_shape):
        for layer in (self.attention, self.attention_norm, self.intermediate, self.output_norm):
            if layer:
                layer.build(input_shape)
        self.output_dense.build((*input_shape[:-1], self.config.intermediate_size))
        super().build(input_shape)

    def call(self, x, mask, relative=None, training=False):
        if self.config.pre_norm:
            normalized = self.attention_norm(x) if self.attention_norm else x
            attended = self.attention(normalized, mask, relative, training=training)
            x = x + self.attention.dropout(attended, training=training)
            return x + self.transformed(self.output_norm(x), training)
        x = self.attention_norm(self.attention(x, mask, relative, training=training), x, training=training)
        return self.output_norm(self.transformed(x, training), x, training=training)

    def transformed(self, x, training):
        """What the feed-forward makes of x, by way of an inner vector, (T, I)."""
        inner = self.intermediate(x)
        if self.config.gate:
            first, last = ops.split(inner, 2, axis=-1)
            inner = self.activation(first) * last if self.config.gate == "first" else first * self.activation(last)
        if self.inner_dropout:
            inner = self.inner_dropout(inner, training=training)
        return self.output_dense(inner)
