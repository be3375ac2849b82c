"""Attention that tells places by rotations (Su et al. 2021, arXiv:2104.09864), and may look at near tokens only.

Nomic's and GTE's layers see all tokens, most of ModernBERT's the near ones.
B batch, S sequence, T = B S tokens, D hidden size, H heads, d = D / H, W how far a local layer looks.
"""

import keras
import numpy as np
from keras import ops

from tfbert.model.attention import PADDING, SelfAttention
from tfbert.model.fused import rotated


class Rotations(keras.layers.Layer):
    """Angles of places: int (B, S) -> cosines and sines, (S, d): a pair for all layers, or one more for local ones."""

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.thetas = [theta for theta in (config.rope_theta, config.local_rope_theta) if theta]
        self.factor = config.rope_factor
        self.head_size = config.hidden_size // config.num_attention_heads

    def call(self, input_ids):
        place = ops.cast(ops.arange(ops.shape(input_ids)[1]), "float32")
        pairs = []
        for theta in self.thetas:
            speed = theta ** -(np.arange(0, self.head_size, 2) / self.head_size) / self.factor
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
        return self.joined(context)


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
