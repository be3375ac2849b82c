import json
import re

import keras
import numpy as np
import pytest

from tfbert.model import fused

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="for TensorFlow's XLA")
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    from tfbert.model import flash

B, H, S, D = 2, 3, 8, 16
MASK = np.where(np.arange(S) < np.array([[8], [5]]), 0.0, -65504.0)[:, None, None, :]


def inputs(dtype, bias=False):
    rng = np.random.default_rng(0)
    shapes = [(B, H, S, D)] * 3 + [(1, H, S, S)] * bias
    return [tf.cast(rng.normal(size=shape), dtype) for shape in shapes]


def output_and_gradients(query, key, value, *bias):
    with tf.GradientTape() as tape:
        tape.watch([query, key, value, *bias])
        output = fused.attend(query, key, value, tf.cast(MASK, query.dtype), None, *bias, flash=True)
    return [output, *tape.gradient(output, [query, key, value, *bias])]


def calls(function, tensors):
    """The calls to cuDNN in what TensorFlow hands to XLA: name, operands' shapes and description of each."""
    text = tf.function(function, jit_compile=True, autograph=False).experimental_get_compiler_ir(*tensors)(stage="hlo")
    lines = [line for line in text.splitlines() if "custom-call(" in line]
    return [
        (
            re.search(r'custom_call_target="([^"]+)"', line)[1],
            re.findall(r"(\w+\[[\d,]+\])", line.split("operand_layout_constraints=")[1].split("}, api")[0]),
            json.loads(re.search(r"backend_config=(\{.*\})", line)[1])["cudnn_fmha_backend_config"],
        )
        for line in lines
    ]


@pytest.mark.parametrize("bias", [False, True])
def test_cudnn_is_asked_as_xla_expects(bias):
    (forward, operands, said), (backward, more, of_gradient) = calls(output_and_gradients, inputs("bfloat16", bias))
    kind = "ScaleBiasSoftmax" if bias else "Softmax"
    assert (forward, backward) == (f"__cudnn$fmha{kind}", f"__cudnn$fmha{kind}Backward")
    vectors, scores, lengths = "bf16[2,3,8,16]", ["bf16[1,3,8,8]"] * bias, ["s32[2]"] * 2
    assert operands == [vectors] * 3 + scores + lengths
    assert more == [vectors] * 3 + ["f32[2,3,8]", vectors] + scores + [vectors] + lengths
    for each in (said, of_gradient):
        assert each["fmha_scale"] == 0.25 and each["mask_type"] == "PADDING"
        assert each["intermediate_tensor_shape"]["dimensions"] == [B, H, S, S]
    assert said["bmm2_dot_dimension_numbers"]["rhs_contracting_dimensions"] == [2]


@pytest.mark.parametrize("dtype, known", [("float32", True), ("bfloat16", False)])
def test_elsewhere_attention_is_the_plain_one(dtype, known):
    tensors = inputs(dtype)
    expected = output_and_gradients(*tensors)  # eagerly
    spec = [tf.TensorSpec((B, H, S if known else None, D), dtype)] * 3
    found = tf.function(output_and_gradients, input_signature=spec, autograph=False)(*tensors)
    for one, other in zip(found, expected):
        np.testing.assert_allclose(tf.cast(one, "float32"), tf.cast(other, "float32"), atol=0.02)


def test_attention_dropout_is_not_for_it():
    @tf.function(autograph=False)
    def can(query):
        return tf.constant([flash.flash_can_attend(query, None), flash.flash_can_attend(query, query)])

    assert can(inputs("bfloat16")[0]).numpy().tolist() == [True, False]


def test_without_a_gpu_it_is_not_used():
    if not tf.config.list_physical_devices("GPU"):
        assert not flash.flash_works(64)


@pytest.mark.parametrize("wrong, works", [(0.0, True), (0.2, False)])
def test_it_is_used_where_its_gradients_are_right(wrong, works, monkeypatch):
    def stand_in(query, key, value, lengths, bias=None):
        weights = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) * D**-0.5)
        return tf.matmul(weights, value + wrong)

    monkeypatch.setattr(flash, "flash_attend", stand_in)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["one"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": (9, 0)})
    assert flash.flash_works.__wrapped__(D) == works
