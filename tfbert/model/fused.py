"""Chains of elementwise operations as one pass over memory, forwards and backwards.

TensorFlow runs such a chain operation by operation, each a pass through memory; measured on a CPU, GELU and
its gradient cost as much time as half of the matrix products of a block. XLA makes one loop of a chain but
multiplies matrices at half of the speed of TensorFlow's own kernels. So only the chains go through XLA.
"""

from functools import cache

import keras
from keras import ops

from tfbert.model.dropout import keep_factors
from tfbert.model.flash import flash_attend, flash_can_attend


def fused(function, gradient=None):
    """Compiles a function of tensors, and its gradient, with XLA, where the TensorFlow backend can.

    The gradient computes what it needs anew from the inputs: nothing but these is kept until then. gradient: where a
    formula is shorter than what the tape finds, a function from the inputs, what `function` returns beside its output,
    and upstream, to the inputs' gradients.
    """
    if keras.backend.backend() != "tensorflow":
        return function if gradient is None else lambda *inputs: function(*inputs)[0]  # JAX compiles the whole step
    import tensorflow as tf

    def by_tape(inputs, kept, upstream):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(*inputs)
        return tape.gradient(outputs, inputs, upstream)

    def with_kept(*inputs):
        return function(*inputs) if gradient else (function(*inputs),)

    forward = tf.function(with_kept, jit_compile=True, autograph=False)
    backward = tf.function(gradient or by_tape, jit_compile=True, autograph=False)

    @tf.custom_gradient
    def differentiable(*inputs):
        output, *kept = forward(*inputs)
        return output, lambda upstream: backward(inputs, kept, upstream)

    def call(*inputs):
        if tf.executing_eagerly() or not xla_works():  # eagerly every length would compile anew
            return with_kept(*inputs)[0]
        return differentiable(*map(tf.convert_to_tensor, inputs))

    return call


@cache
def xla_works():
    """False where TensorFlow's device has no XLA compiler, as those of the Metal and DirectML plug-ins."""
    import tensorflow as tf

    with tf.init_scope():
        try:
            tf.function(lambda x: tf.math.erf(tf.math.rsqrt(x)), jit_compile=True)(tf.constant(1.0))
        except tf.errors.OpError:
            return False
    return True


@fused
def gelu(x):
    """x Phi(x), exact (Hendrycks and Gimpel 2016, arXiv:1606.08415), computed in float32. x: float, any shape."""
    wide = ops.cast(x, "float32")
    return ops.cast(0.5 * wide * (1 + ops.erf(wide * 0.5**0.5)), x.dtype)


def rotation(x, cosine, sine):
    wide = ops.cast(x, "float32")
    first, second = ops.split(wide, 2, axis=-1)
    turned = ops.concatenate([-second, first], axis=-1)
    return (ops.cast(wide * ops.cast(cosine, "float32") + turned * ops.cast(sine, "float32"), x.dtype),)


def gradient_of_rotation(inputs, kept, upstream):
    _, cosine, sine = inputs
    return *rotation(upstream, cosine, -sine), None, None


# Each pair of numbers of x, float (..., S, d), turned by the angle of its place (Su et al. 2021, arXiv:2104.09864); the
# i-th number and the i-th of the second half make a pair. Cosines and sines: (S, d).
rotated = fused(rotation, gradient_of_rotation)


def stored(*tensors):
    """The same. On a GPU, XLA writes them to memory once, in the type that they have.

    Where it compiles the whole step, it would else compute each anew for all who use it, in float32, from tensors in
    float32: of BERT-base's step, LayerNorm took 7 of 36 ms that way (benchmarks/results/gpu.md). Within `fused` only.
    """
    if keras.backend.backend() != "tensorflow":
        return tensors
    import tensorflow as tf
    from tensorflow.compiler.tf2xla.ops.gen_xla_ops import xla_optimization_barrier

    if tf.executing_eagerly() or not xla_works() or not tf.config.list_physical_devices("GPU"):
        return tensors
    return xla_optimization_barrier(tensors)


def normalized_sum(x, residual, gamma, beta, epsilon, *drawn):
    (total,) = stored(ops.cast(dropped(x, *drawn) + ops.cast(residual, "float32"), x.dtype))
    wide = ops.cast(total, "float32")
    (mean,) = stored(ops.mean(wide, axis=-1, keepdims=True))
    (scale,) = stored(ops.rsqrt(ops.mean((wide - mean) ** 2, axis=-1, keepdims=True) + epsilon))
    (output,) = stored(ops.cast((wide - mean) * scale * gamma + beta, x.dtype))
    return output, total, mean, scale


def gradient_of_normalized_sum(inputs, kept, upstream):
    _, _, gamma, _, _, *drawn = inputs
    total, mean, scale = kept
    (upstream,) = stored(upstream)
    unit, wide = (ops.cast(total, "float32") - mean) * scale, ops.cast(upstream, "float32")
    of_unit = wide * gamma
    average, along = stored(*(ops.mean(each, axis=-1, keepdims=True) for each in (of_unit, of_unit * unit)))
    (of_total,) = stored(ops.cast(scale * (of_unit - average - unit * along), total.dtype))
    of_x = ops.cast(dropped(of_total, *drawn), total.dtype)
    return of_x, of_total, ops.sum(wide * unit, axis=0), ops.sum(wide, axis=0), None, *(None for _ in drawn)


def dropped(x, *drawn):
    """In float32. Dropout is linear: its gradient is itself."""
    wide = ops.cast(x, "float32")
    return wide * keep_factors(ops.shape(x), "float32", *drawn) if drawn else wide


# LayerNorm of dropout(x) + residual (Ba et al. 2016, arXiv:1607.06450), in float32, of x and residual (T, D), gamma and
# beta (D,), epsilon, and, where there is dropout, what it has drawn.
add_and_normalize = fused(normalized_sum, gradient_of_normalized_sum)


def attend(query, key, value, mask, keep=None, bias=None, flash=False):
    """softmax(query key^T / sqrt(d) + bias + mask) value: (B, H, S, d), as query, key and value.

    mask: (B, 1, 1, S), added to the scores; keep: (B, H, S, S), factors of attention dropout, None for none;
    bias: (1 or B, H, S, S), added to the scores too, but learnt, or None; flash: whether cuDNN may do it, where it can.
    The gradient of softmax takes the sum that it needs from the output, which is smaller than the weights by
    S / d (Dao et al. 2022, arXiv:2205.14135, appendix B.2).
    """
    if flash and flash_can_attend(query, keep):
        return flash_attend(query, key, value, ops.sum(ops.cast(ops.equal(mask[:, 0, 0], 0), "int32"), axis=-1), bias)
    scale = query.shape[-1] ** -0.5

    @ops.custom_gradient
    def differentiable(query, key, value, *bias):
        scores = sum(bias, ops.matmul(query, transposed(key)) * scale) + mask
        wide = scores if softmax_widens(scores.dtype) else ops.cast(scores, "float32")
        weights = ops.cast(ops.softmax(wide), scores.dtype)
        dropped = weights if keep is None else weights * keep
        output = ops.matmul(dropped, value)

        def gradient(upstream):
            of_weights = ops.matmul(upstream, transposed(value))
            of_weights = of_weights if keep is None else of_weights * keep
            of_scores = scores_gradient(weights, of_weights, output, upstream, scale)
            gradients = (
                ops.matmul(of_scores, key),
                ops.matmul(transposed(of_scores), query),
                ops.matmul(transposed(dropped), upstream),
            )
            of_bias = of_scores / scale
            summed = (each.shape[0] == 1 for each in bias)
            return gradients + tuple(ops.sum(of_bias, axis=0, keepdims=True) if one else of_bias for one in summed)

        return output, gradient

    return differentiable(query, key, value, *([] if bias is None else [bias]))


def softmax_widens(dtype):
    """Whether softmax computes in float32 by itself, as TensorFlow's for bfloat16 on CPUs, in a third of the time."""
    if keras.backend.backend() != "tensorflow" or dtype != "bfloat16":
        return dtype == "float32"
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def transposed(x):
    return ops.transpose(x, (0, 1, 3, 2))


@fused
def scores_gradient(weights, of_weights, output, of_output, scale):
    total = ops.sum(ops.cast(output, "float32") * ops.cast(of_output, "float32"), axis=-1, keepdims=True)
    gradient = ops.cast(weights, "float32") * (ops.cast(of_weights, "float32") - total)
    return ops.cast(scale * gradient, weights.dtype)
