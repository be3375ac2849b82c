"""Attention that never writes the scores to memory (Dao et al. 2022, arXiv:2205.14135): cuDNN's, on NVIDIA GPUs.

TensorFlow has no operation for it, but its XLA compiler knows cuDNN's kernels by name, as JAX asks for them
(jax/_src/cudnn/fused_attention_stablehlo.py): so a whole step that XLA compiles can call them. Memory grows with S
in place of S squared.
"""

import json

FORWARD, BACKWARD = "__cudnn$fmhaSoftmax", "__cudnn$fmhaSoftmaxBackward"
BIASED = {FORWARD: "__cudnn$fmhaScaleBiasSoftmax", BACKWARD: "__cudnn$fmhaScaleBiasSoftmaxBackward"}
TYPES = {"bfloat16": "BF16", "float16": "F16"}
# the last two of four dimensions over which each product sums, of its left and of its right factor
PRODUCTS = {
    FORWARD: {"bmm1": (3, 3), "bmm2": (3, 2)},
    BACKWARD: {"bmm1_grad_gemm1": (2, 2), "bmm1_grad_gemm2": (3, 2), "bmm2_grad_gemm1": (2, 2),
               "bmm2_grad_gemm2": (3, 3)},
}  # fmt: skip


def flash_attend(query, key, value, lengths, bias=None):
    """As fused.attend without dropout, for TensorFlow, inside of tf.function(jit_compile=True), on an NVIDIA GPU.

    query, key, value: bfloat16 or float16 (B, H, S, d) whose sizes are known when the graph is made; lengths: int32
    (B,), tokens that are not padding; bias: (1, H, S, S), learnt, or None. What is padding gets zeros.
    """
    import tensorflow as tf

    shape, dtype = query.shape, query.dtype

    @tf.custom_gradient
    def differentiable(query, key, value, *bias):
        output, statistics = call(
            FORWARD, [query, key, value, *bias, lengths, lengths], shape, [(dtype, shape), (tf.float32, shape[:3])],
        )  # fmt: skip

        def gradient(upstream):
            operands = [query, key, value, statistics, upstream, *bias, output, lengths, lengths]
            return call(BACKWARD, operands, shape, [(dtype, shape)] * 3 + [(dtype, each.shape) for each in bias])

        return output, gradient

    return differentiable(query, key, value, *([] if bias is None else [bias]))


def call(name, operands, shape, results):
    """What cuDNN's kernel returns, without its workspace. results: of each tensor the dtype and the shape."""
    import tensorflow as tf
    from tensorflow.compiler.tf2xla.ops.gen_xla_ops import xla_custom_call_v2

    has_bias = len(operands) == {FORWARD: 6, BACKWARD: 9}[name]
    *tensors, _ = xla_custom_call_v2(
        operands=operands,
        call_target_name=BIASED[name] if has_bias else name,
        backend_config=json.dumps({"cudnn_fmha_backend_config": description(name, shape, operands[0].dtype.name)}),
        has_side_effect=False,
        result_dtypes=[dtype for dtype, _ in results] + [tf.uint8],
        result_shapes=[shape for _, shape in results] + [[0]],
    )
    return tensors


def description(name, shape, dtype):
    """XLA's CudnnfMHABackendConfig (xla/service/gpu/backend_configs.proto), for padded texts."""
    batch, heads, length, size = shape
    sums = {
        f"{product}_dot_dimension_numbers": {
            "lhs_contracting_dimensions": [left],
            "rhs_contracting_dimensions": [right],
            "lhs_batch_dimensions": [0, 1],
            "rhs_batch_dimensions": [0, 1],
        }
        for product, (left, right) in PRODUCTS[name].items()
    }
    return sums | {
        "algorithm": {"algo_id": 0, "math_type": "TENSOR_OP_MATH", "tuning_knobs": {"17": 1, "24": 0},
                      "is_cudnn_frontend": True},
        "fmha_scale": size**-0.5,
        "intermediate_tensor_shape": {
            "element_type": TYPES[dtype],
            "dimensions": [batch, heads, length, length],
            "layout": {"minor_to_major": [3, 2, 1, 0]},
            "is_dynamic_dimension": [False] * 4,
        },
        "is_flash_attention": True,
        "mask_type": "PADDING",
        "max_seg_per_batch": 1,
    }  # fmt: skip
