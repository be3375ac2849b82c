"""The layers that all encoders are made of. T tokens of a batch, D hidden size."""

import keras

from tfbert.model.dropout import Dropout
from tfbert.model.fused import add_and_normalize, gelu

ACTIVATIONS = {
    "gelu": gelu,
    "gelu_new": lambda x: keras.activations.gelu(x, approximate=True),
    "gelu_pytorch_tanh": lambda x: keras.activations.gelu(x, approximate=True),
    "relu": keras.activations.relu,
    "silu": keras.activations.silu,
    "swish": keras.activations.silu,
    "tanh": keras.activations.tanh,
}


def initial(config):
    """How BERT's weights begin."""
    return keras.initializers.TruncatedNormal(stddev=config.initializer_range)


def dense(config, units, name, activation=None, dtype=None):
    """A linear layer."""
    biased = config.has_bias(name)
    return keras.layers.Dense(units, activation, biased, kernel_initializer=initial(config), name=name, dtype=dtype)


def norm(config, name, dtype=None):
    """LayerNorm (Ba et al. 2016, arXiv:1607.06450)."""
    centred = config.has_bias("norm")
    return keras.layers.LayerNormalization(epsilon=config.layer_norm_eps, center=centred, name=name, dtype=dtype)


class AddAndNormalize(keras.layers.Layer):
    """LayerNorm of a sum: dropout(x) + residual, float (T, D)."""

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = config.layer_norm_eps
        self.dropout = Dropout(config.hidden_dropout_prob)

    def build(self, input_shape):
        self.gamma = self.add_weight(name="gamma", shape=input_shape[-1:], initializer="ones", autocast=False)
        self.beta = self.add_weight(name="beta", shape=input_shape[-1:], initializer="zeros", autocast=False)
        super().build(input_shape)

    def call(self, x, residual, training=False):
        return add_and_normalize(x, residual, self.gamma, self.beta, self.epsilon, *self.dropout.drawn(training))
