"""Dropout (Srivastava et al. 2014) whose random bits are computed from a seed and each number's place.

They are computed again on the way back: no mask lies in memory, and XLA computes them within the loop that uses them.
Keras's dropout draws its bits by a generator that is a program of its own: of BERT-base's compiled step it was half of
the instructions, and 1.5 of 36 ms on a GPU (benchmarks/results/gpu.md).
"""

import math

import keras
from keras import ops


class Dropout(keras.layers.Layer):
    """Zeroes a share `rate` of its inputs while training, and scales the others up to keep the mean."""

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        if rate:
            self.seeds = keras.random.SeedGenerator()

    def call(self, x, training=False):
        drawn = self.drawn(training)
        return x * keep_factors(ops.shape(x), x.dtype, *drawn) if drawn else x

    def drawn(self, training):
        """The seed, new in each step, and the rate, as keep_factors takes them; () where nothing is dropped."""
        return (ops.cast(self.seeds.next(), "int32"), self.rate) if training and self.rate else ()


def keep_factors(shape, dtype, seed, rate):
    """0 with probability `rate`, else 1 / (1 - rate), for each number of `shape`; the same for the same seed.

    seed: int32 (2,); rate: a number or a float32 tensor.
    """
    first, second = ops.unstack(ops.cast(seed, "uint32"), 2)
    bits = mixed(ops.bitwise_xor(ops.cast(ops.arange(math.prod(shape)), "uint32"), mixed(first + mixed(second))))
    kept = ops.reshape(ops.right_shift(bits, number(8)), shape) >= number(rate * 2**24)
    return ops.where(kept, ops.cast(1 / (1 - rate), dtype), ops.cast(0, dtype))


def mixed(x):
    """Numbers each of whose bits depends on all bits of x, uint32.

    The shifts and factors are those that Christopher Wellons found to be the least biased of their kind
    (https://nullprogram.com/blog/2018/07/31/, lowbias32).
    """
    x = ops.bitwise_xor(x, ops.right_shift(x, number(16))) * number(0x7FEB352D)
    x = ops.bitwise_xor(x, ops.right_shift(x, number(15))) * number(0x846CA68B)
    return ops.bitwise_xor(x, ops.right_shift(x, number(16)))


def number(value):
    return ops.cast(value, "uint32")
