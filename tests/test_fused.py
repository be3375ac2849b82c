import keras
import numpy as np
import pytest

from tfbert.model import fused
from tfbert.model.dropout import keep_factors

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX compiles everything anyway")


def values(*shape):
    return tf.constant(np.random.default_rng(0).normal(size=shape).astype(np.float32))


@tf.function
def value_and_gradients(function, inputs, upstream):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        output = function(*inputs)
    return output, tape.gradient(output, inputs, upstream)


def plain_normalize(x, residual, gamma, beta):
    return keras.ops.layer_normalization(x + residual, gamma, beta, epsilon=1e-12)


MASK = np.where(np.arange(5) < 4, 0.0, -65504.0)[None, None, None].repeat(2, axis=0).astype(np.float32)
KEEP = tf.constant(np.random.default_rng(1).choice([0.0, 1.25], (2, 3, 5, 5)).astype(np.float32))


def plain_attention(query, key, value, keep):
    scores = tf.matmul(query, key, transpose_b=True) / 2 + MASK
    return tf.matmul(tf.nn.softmax(scores) * keep, value)


CASES = {
    "gelu": (fused.gelu, lambda x: keras.activations.gelu(x, approximate=False), [values(5, 7)]),
    "attend": (
        lambda *inputs: fused.attend(*inputs, tf.cast(MASK, inputs[0].dtype)),
        lambda *inputs: plain_attention(*inputs, 1.0),
        [values(2, 3, 5, 4), values(2, 3, 5, 4)[::-1], values(2, 3, 5, 4) + 0.5],
    ),
    "attend with dropout": (
        lambda *inputs: fused.attend(*inputs, tf.cast(MASK, inputs[0].dtype), tf.cast(KEEP, inputs[0].dtype)),
        lambda *inputs: plain_attention(*inputs, KEEP),
        [values(2, 3, 5, 4), values(2, 3, 5, 4)[::-1], values(2, 3, 5, 4) + 0.5],
    ),
    "attend with a learnt bias": (
        lambda *inputs: fused.attend(*inputs[:3], tf.cast(MASK, inputs[0].dtype), None, inputs[3]),
        lambda query, key, value, bias: tf.matmul(
            tf.nn.softmax(tf.matmul(query, key, transpose_b=True) / 2 + bias + MASK), value
        ),
        [values(2, 3, 5, 4), values(2, 3, 5, 4)[::-1], values(2, 3, 5, 4) + 0.5, values(1, 3, 5, 5)],
    ),
    "normalize": (
        lambda *inputs: fused.add_and_normalize(*inputs, 1e-12),
        plain_normalize,
        [values(6, 8), 2 * values(6, 8)[::-1], values(8), values(8) + 1],
    ),
}

SEED = tf.constant([3, 4])
CASES["normalize with dropout"] = (
    lambda *inputs: fused.add_and_normalize(*inputs, 1e-12, SEED, 0.25),
    lambda x, *others: plain_normalize(x * keep_factors(x.shape, "float32", SEED, 0.25), *others),
    CASES["normalize"][2],
)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_equal_those_of_the_plain_operations(name, compiled, monkeypatch):
    assert fused.xla_works()
    monkeypatch.setattr(fused, "xla_works", lambda: compiled)
    function, plain, inputs = CASES[name]
    upstream = values(*inputs[0].shape) - 0.3
    output, gradients = value_and_gradients(function, inputs, upstream)
    expected, expected_gradients = value_and_gradients(plain, inputs, upstream)
    np.testing.assert_allclose(output, expected, atol=1e-5)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, wanted, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", CASES)
def test_half_precision_rounds_only_results(name, dtype):
    function, plain, inputs = CASES[name]
    rounded = [tf.cast(each, dtype) if each.shape.rank > 1 else each for each in inputs]
    output = tf.function(function)(*rounded)
    exact = plain(*[tf.cast(each, "float32") for each in rounded])
    assert output.dtype == dtype
    roundings = 4 if "attend" in name else 2.5 if "normalize" in name else 1.1  # of three, of two, of one
    tolerance = {"bfloat16": 2**-8, "float16": 2**-11}[dtype] * roundings
    near_zero = tolerance / (2 if "normalize" in name else 4)  # the sum that is normalized is rounded too
    np.testing.assert_allclose(tf.cast(output, "float32"), exact, rtol=tolerance, atol=near_zero)


def test_what_a_gpu_stores_changes_nothing(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["one"])
    function = fused.fused(fused.normalized_sum, fused.gradient_of_normalized_sum)
    inputs = [*CASES["normalize"][2], 1e-12, SEED, 0.25]

    def step(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs[:4])
            output = function(*inputs)
        return output, tape.gradient(output, inputs[:4])

    compiled = tf.function(step, jit_compile=True, autograph=False)
    assert compiled.experimental_get_compiler_ir(*inputs)(stage="hlo").count(" opt-barrier(") >= 6
    output, gradients = compiled(*inputs)
    expected, wanted = value_and_gradients(CASES["normalize with dropout"][1], inputs[:4], tf.ones_like(output))
    np.testing.assert_allclose(output, expected, atol=1e-5)
    for one, other in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
