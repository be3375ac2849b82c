"""DeBERTa's attention, in which words and distances meet apart (He et al. 2020, arXiv:2006.03654, section 3.1).

A score is the sum of three: how much a word asks for a word, as everywhere; how much it asks for one so far away; and
how much a word is asked for from so far away. Keys and queries of distances come from the words' own matrices, and far
distances share a vector, as in DeBERTa-v3 (He et al. 2021, arXiv:2111.09543).
B batch, S sequence, T = B S tokens, D hidden size, H heads, d = D / H.
"""

import keras
import numpy as np
from keras import ops

from tfbert.model.attention import SelfAttention
from tfbert.model.dropout import Dropout
from tfbert.model.fused import transposed
from tfbert.model.layers import initial, norm


class RelativeVectors(keras.layers.Layer):
    """A learnt vector for each distance between tokens: int (B, S) -> float (2 S - 1, D), from -(S - 1) to S - 1."""

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.rows, _ = config.relative_shape
        farthest = config.max_length - 1
        bucket = self.bucket_of(np.arange(-farthest, farthest + 1))
        self.row = np.clip(bucket + self.rows // 2, 0, self.rows - 1)  # int64 (2 max_length - 1,), of each distance
        self.norm = norm(config, "norm") if config.relative_norm else None

    def bucket_of(self, distance):
        """Up to half of the buckets one a distance, then ever wider ones, to both sides."""
        if not self.config.position_buckets:
            return distance
        near = self.config.position_buckets // 2
        far = np.maximum(np.abs(distance), near).astype(np.float32) / np.float32(near)
        share = np.log(far) / np.log(np.float32((self.config.max_relative_positions - 1) / near))
        wide = np.ceil(share * (near - 1)) + near
        return np.where(np.abs(distance) <= near, distance, np.sign(distance) * wide).astype(int)

    def build(self, input_shape=None):
        shape = self.config.relative_shape
        self.table = self.add_weight(name="table", shape=shape, initializer=initial(self.config))
        if self.norm:
            self.norm.build(shape)
        super().build(input_shape)

    def call(self, input_ids):
        length, middle = ops.shape(input_ids)[1], len(self.row) // 2
        row = ops.convert_to_tensor(self.row, "int32")[middle + 1 - length : middle + length]
        table = ops.cast(self.table, self.compute_dtype)
        return ops.take(self.norm(table) if self.norm else table, row, axis=0)


class DisentangledAttention(SelfAttention):
    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        self.distance_dropout = Dropout(config.hidden_dropout_prob)

    def call(self, x, mask, vectors, training=False):
        """As SelfAttention's; vectors: those of RelativeVectors."""
        query, key, value = self.parted(self.qkv(x), ops.shape(mask)[-1])
        vectors = self.distance_dropout(vectors, training=training)
        of_distance = self.parted(self.qkv(vectors), ops.shape(vectors)[0])
        query = query / 3**0.5  # three terms: `attend` divides by the root of d only
        bias = distance_scores(query, key, of_distance[0] / 3**0.5, of_distance[1]) / self.head_size**0.5
        return self.joined(self.attended(query, key, value, mask, training, bias))


def distance_scores(query, key, of_query, of_key):
    """What distances add to the scores, (B, H, S, S).

    query, key: (B, H, S, d), of words; of_query, of_key: (1, H, 2 S - 1, d), of distances from key to query.
    """
    ahead = ops.matmul(query, transposed(ops.flip(of_key, axis=2)))
    behind = ops.matmul(key, transposed(of_query))
    return shifted(ahead) + transposed(shifted(behind))


def shifted(x):
    """(B, H, S, 2 S - 1) -> (B, H, S, S): of row i what stands at S - 1 - i and after.

    By reading the numbers as rows that are one shorter (Dai et al. 2019, arXiv:1901.02860, appendix B).
    """
    batch, heads, length, _ = ops.shape(x)
    flat = ops.reshape(ops.pad(x, [(0, 0), (0, 0), (0, 0), (0, 1)]), (batch, heads, -1))
    flat = flat[:, :, length - 1 : length - 1 + length * (2 * length - 1)]
    return ops.reshape(flat, (batch, heads, length, 2 * length - 1))[:, :, :, :length]
