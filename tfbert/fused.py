"""Chains of elementwise operations as one pass over memory, forwards and backwards.

TensorFlow runs such a chain operation by operation, each a pass through memory; measured on a CPU, GELU and
its gradient cost as much time as half of the matrix products of a block. XLA makes one loop of a chain but
multiplies matrices at half of the speed of TensorFlow's own kernels. So only the chains go through XLA.
"""

import keras
from keras import ops


def fused(function):
    """Compiles a function of tensors, and its gradient, with XLA, on the TensorFlow backend.

    The gradient computes what it needs anew from the inputs: nothing but these is kept until then.
    """
    if keras.backend.backend() != "tensorflow":
        return function  # JAX compiles the whole step
    import tensorflow as tf

    forward = tf.function(function, jit_compile=True)

    @tf.function(jit_compile=True)
    def backward(inputs, upstream):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(*inputs)
        return tape.gradient(outputs, inputs, upstream)

    @tf.custom_gradient
    def differentiable(*inputs):
        return forward(*inputs), lambda upstream: backward(inputs, upstream)

    return lambda *inputs: differentiable(*map(tf.convert_to_tensor, inputs))


@fused
def gelu(x):
    """x Phi(x), exact (Hendrycks and Gimpel 2016, arXiv:1606.08415), computed in float32. x: float, any shape."""
    wide = ops.cast(x, "float32")
    return ops.cast(0.5 * wide * (1 + ops.erf(wide * 0.5**0.5)), x.dtype)


@fused
def add_and_normalize(x, residual, gamma, beta, epsilon):
    """LayerNorm of x + residual (Ba et al. 2016, arXiv:1607.06450), in float32; shapes (T, D) and (D,)."""
    wide = ops.cast(x, "float32") + ops.cast(residual, "float32")
    centred = wide - ops.mean(wide, axis=-1, keepdims=True)
    variance = ops.mean(centred * centred, axis=-1, keepdims=True)
    return ops.cast(centred * ops.rsqrt(variance + epsilon) * gamma + beta, x.dtype)


def softmax(scores):
    """Softmax over the last axis, its gradient in float32 as well. scores: float, any shape."""

    @ops.custom_gradient
    def differentiable(scores):
        # of bfloat16, TensorFlow's kernel makes float32 by itself, in a third of the time
        wide = ops.cast(scores, "float32") if scores.dtype == "float16" else scores
        weights = ops.cast(ops.softmax(wide), scores.dtype)
        return weights, lambda upstream: softmax_gradient(weights, upstream)

    return differentiable(scores)


@fused
def softmax_gradient(weights, upstream):
    w, up = ops.cast(weights, "float32"), ops.cast(upstream, "float32")
    return ops.cast(w * (up - ops.sum(w * up, axis=-1, keepdims=True)), weights.dtype)
