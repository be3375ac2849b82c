"""ModernBERT's block (Warner et al. 2024, arXiv:2412.13663): what changed in encoders since BERT.

LayerNorm comes before each part, not after it (Xiong et al. 2020, arXiv:2002.04745); positions are rotations (Su et
al. 2021, arXiv:2104.09864); half of the inner vector gates the other (Shazeer 2020, arXiv:2002.05202); most layers
look at near tokens only; there are no biases.
B batch, S sequence, T = B S tokens, D hidden size, I inner size, H heads, d = D / H, W how far a local layer looks.
"""

import keras
import numpy as np
from keras import ops

from tfbert.model.attention import PADDING, SelfAttention
from tfbert.model.dropout import Dropout
from tfbert.model.fused import rotated
from tfbert.model.layers import ACTIVATIONS, dense, norm


class Rotations(keras.layers.Layer):
    """The angles of each place, by global and by local layers: int (B, S) -> two pairs of cosines and sines, (S, d)."""

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.thetas = config.rope_theta, config.local_rope_theta
        self.head_size = config.hidden_size // config.num_attention_heads

    def call(self, input_ids):
        place = ops.cast(ops.arange(ops.shape(input_ids)[1]), "float32")
        pairs = []
        for theta in self.thetas:
            speed = theta ** -(np.arange(0, self.head_size, 2) / self.head_size)
            angle = place[:, None] * ops.convert_to_tensor(np.tile(speed, 2), "float32")
            pairs.append((ops.cos(angle), ops.sin(angle)))
        return pairs


class RotaryAttention(SelfAttention):
    """Self-attention with rotated queries and keys. reach: how many tokens to either side are seen, None for all."""

    def __init__(self, config, reach, **kwargs):
        super().__init__(config, **kwargs)
        self.reach = reach

    def call(self, x, mask, rotations, training=False):
        length = ops.shape(mask)[-1]
        query, key, value = self.parted(self.qkv(x), length)
        query, key = (rotated(each, *rotations[bool(self.reach)]) for each in (query, key))
        if not self.reach:
            context = self.attended(query, key, value, mask, training, flash=self.flash)
        else:
            near = in_blocks(query, self.reach), *(with_neighbours(each, self.reach) for each in (key, value))
            context = self.attended(*near, near_mask(mask, self.reach), training)
            context = out_of_blocks(context, length)
        return self.dropout(self.joined(context), training=training)


# Texts cut into blocks of W tokens, each of which sees itself and its neighbours: time and memory grow with S, not S^2.


def in_blocks(x, size):
    """(B, H, S, d) -> (B N, H, W, d), N blocks, the last one filled up with zeros."""
    _, heads, length, width = ops.shape(x)
    blocks = (length + size - 1) // size
    x = ops.pad(x, [(0, 0), (0, 0), (0, size), (0, 0)])[:, :, : blocks * size]
    x = ops.transpose(ops.reshape(x, (-1, heads, blocks, size, width)), (0, 2, 1, 3, 4))
    return ops.reshape(x, (-1, heads, size, width))


def out_of_blocks(x, length):
    """The way back."""
    _, heads, size, width = ops.shape(x)
    blocks = (length + size - 1) // size
    x = ops.transpose(ops.reshape(x, (-1, blocks, heads, size, width)), (0, 2, 1, 3, 4))
    return ops.reshape(x, (-1, heads, blocks * size, width))[:, :, :length]


def with_neighbours(x, size, filling=0.0):
    """(B, H, S, d) -> (B N, H, 3 W, d): of each block the one before, itself and the one after."""
    _, heads, length, width = ops.shape(x)
    blocks = (length + size - 1) // size
    x = ops.pad(x, [(0, 0), (0, 0), (size, 2 * size), (0, 0)], constant_values=filling)
    x = ops.reshape(x[:, :, : (blocks + 2) * size], (-1, heads, blocks + 2, size, width))
    x = ops.concatenate([x[:, :, :-2], x[:, :, 1:-1], x[:, :, 2:]], axis=3)
    return ops.reshape(ops.transpose(x, (0, 2, 1, 3, 4)), (-1, heads, 3 * size, width))


def near_mask(mask, size):
    """(B, 1, 1, S) -> (B N, 1, W, 3 W): also very negative where a key is farther than W from the query."""
    columns = with_neighbours(ops.transpose(mask, (0, 1, 3, 2)), size, PADDING)
    return ops.minimum(ops.transpose(columns, (0, 1, 3, 2)), ops.convert_to_tensor(band(size), mask.dtype))


def band(size):
    """Of each query in a block and each key in it and its neighbours, float32 (W, 3 W): 0, or PADDING where too far."""
    distance = np.arange(3 * size) - size - np.arange(size)[:, None]
    return np.where(np.abs(distance) <= size, 0, PADDING).astype(np.float32)


class ModernBlock(keras.layers.Layer):
    """One encoder layer: x + attention(norm(x)), then x + feed-forward(norm(x)); the first has no first norm."""

    def __init__(self, config, number, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        is_local = config.layer_types[number] == "sliding_attention"
        self.attention_norm = norm(config, "attention_norm") if number else None
        self.attention = RotaryAttention(config, config.local_attention // 2 if is_local else None, name="attention")
        self.output_norm = norm(config, "output_norm")
        self.intermediate = dense(config, 2 * config.intermediate_size, "intermediate")
        self.activation = ACTIVATIONS[config.hidden_act]
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.output_dense = dense(config, config.hidden_size, "output")

    def build(self, input_shape):
        for layer in (self.attention_norm, self.attention, self.output_norm, self.intermediate):
            if layer:
                layer.build(input_shape)
        self.output_dense.build((*input_shape[:-1], self.config.intermediate_size))
        super().build(input_shape)

    def call(self, x, mask, rotations, training=False):
        normalized = self.attention_norm(x) if self.attention_norm else x
        x = x + self.attention(normalized, mask, rotations, training=training)
        inner, gate = ops.split(self.intermediate(self.output_norm(x)), 2, axis=-1)
        return x + self.output_dense(self.dropout(self.activation(inner) * gate, training=training))
