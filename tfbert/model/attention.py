"""Self-attention, and what MPNet adds to it.

B batch, S sequence, T = B S tokens, D hidden size, H heads, d = D / H.
"""

import keras
import numpy as np
from keras import ops

from tfbert.model.dropout import Dropout, keep_factors
from tfbert.model.fused import attend
from tfbert.model.layers import dense, initial

PADDING = -65504.0  # the lowest float16: what is added to the score of a key that is not to be seen


class SelfAttention(keras.layers.Layer):
    """Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762, section 3.2)."""

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.heads = config.num_attention_heads
        self.head_size = config.hidden_size // config.num_attention_heads
        self.qkv = dense(config, 3 * config.hidden_size, "qkv")  # query, key and value in one product
        self.output_dense = dense(config, config.hidden_size, "output")
        self.dropout = Dropout(config.attention_probs_dropout_prob)
        self.flash = False  # whether training may use cuDNN's attention (flash.py); step.py says so

    def build(self, input_shape):
        self.qkv.build(input_shape)
        self.output_dense.build(input_shape)
        super().build(input_shape)

    def call(self, x, mask, bias=None, training=False):
        """x: (T, D); mask: (B, 1, 1, S), 0, or very negative where there is padding; bias: (1, H, S, S) or None.

        Returns (T, D).
        """
        query, key, value = self.parted(self.qkv(x), ops.shape(mask)[-1])
        return self.joined(self.attended(query, key, value, mask, training, bias, self.flash))

    def parted(self, qkv, length):
        """(T, 3 D) of texts of so many tokens -> query, key and value, each (B, H, S, d)."""
        qkv = ops.reshape(qkv, (-1, length, 3, self.heads, self.head_size))
        return ops.unstack(ops.transpose(qkv, (2, 0, 3, 1, 4)), 3)

    def attended(self, query, key, value, mask, training, bias=None, flash=False):
        """What the queries find, (B, H, S, d), by weights that are dropped out in training."""
        drawn = self.dropout.drawn(training)
        scores = (*ops.shape(query)[:3], ops.shape(key)[2])
        keep = keep_factors(scores, self.compute_dtype, *drawn) if drawn else None
        return attend(query, key, value, mask, keep, bias, flash)

    def joined(self, context):
        """(B, H, S, d) -> (T, D), through the last product."""
        context = ops.transpose(context, (0, 2, 1, 3))
        return self.output_dense(ops.reshape(context, (-1, self.heads * self.head_size)))


class RelativePositionBias(keras.layers.Layer):
    """What MPNet adds to the attention scores: a learnt number for each head and distance between tokens.

    Distances share a number where they fall into one bucket (Raffel et al. 2020, arXiv:1910.10683, section 2.1).
    """

    BUCKETS, FARTHEST = 32, 128

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        place = np.arange(config.max_length)
        self.bucket = self.bucket_of(place[None, :] - place[:, None])  # int64 (S, S) of query and key

    def bucket_of(self, distance):
        """Half of the buckets look back, half ahead; in each half, one a distance at first, then ever wider ones."""
        half = self.BUCKETS // 2
        near, steps = half // 2, np.maximum(np.abs(distance), 1)
        share = np.log(np.float32(steps / near)) / np.log(self.FARTHEST / near)
        far = np.minimum(near + (share * (half - near)).astype(np.int32), half - 1)
        return np.where(distance > 0, half, 0) + np.where(np.abs(distance) < near, np.abs(distance), far)

    def build(self, input_shape=None):
        shape = self.config.relative_shape
        self.table = self.add_weight(name="table", shape=shape, initializer=initial(self.config))
        super().build(input_shape)

    def call(self, input_ids):
        """int (B, S) -> float (1, H, S, S)."""
        length = ops.shape(input_ids)[1]
        bucket = ops.convert_to_tensor(self.bucket, "int32")[:length, :length]
        # a product, as its gradient is one too; that of `take` would add S x S numbers to 32, one after the other
        one_hot = ops.one_hot(bucket, self.config.relative_attention_num_buckets, dtype=self.compute_dtype)
        bias = ops.matmul(one_hot, ops.cast(self.table, self.compute_dtype))
        return ops.transpose(bias, (2, 0, 1))[None]
