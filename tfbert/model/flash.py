"""Attention that never writes its scores to memory (Dao et al. 2022, arXiv:2205.14135): cuDNN's, on NVIDIA GPUs.

TensorFlow has no operation for it, but its XLA compiler knows cuDNN's kernels by the names that JAX calls them by
(jax/_src/cudnn/fused_attention_stablehlo.py): a step that XLA compiles as a whole can call them too. It takes memory
in proportion to S, not to S squared, and a third of the time (benchmarks/results/gpu.md).
"""

import json
from functools import cache

TYPES = {"bfloat16": "BF16", "float16": "F16"}
# the dimensions over which each product sums, of its left and of its right factor, of (B, H, S, d) and (B, H, S, S)
PRODUCTS = {
    "": {"bmm1": (3, 3), "bmm2": (3, 2)},
    "Backward": {"bmm1_grad_gemm1": (2, 2), "bmm1_grad_gemm2": (3, 2), "bmm2_grad_gemm1": (2, 2),
                 "bmm2_grad_gemm2": (3, 3)},
}  # fmt: skip


def flash_can_attend(query, keep):
    """Whether flash_attend can take these: inside of a graph that knows all sizes, without attention dropout."""
    import tensorflow as tf

    return not tf.executing_eagerly() and query.shape.is_fully_defined() and query.dtype.name in TYPES and keep is None


def flash_attend(query, key, value, lengths, bias=None):
    """As fused.attend without dropout, in tf.function(jit_compile=True) on an NVIDIA GPU, where flash_works.

    query, key, value: bfloat16 or float16 (B, H, S, d), of known sizes; lengths: int32 (B,), tokens before the
    padding; bias: (1, H, S, S), learnt, or None. What stands in place of padding gets zeros.
    """
    import tensorflow as tf

    shape, dtype = query.shape, query.dtype

    @tf.custom_gradient
    def differentiable(query, key, value, *bias):
        results = [(dtype, shape), (tf.float32, shape[:3])]  # the output, and a logarithm for each softmax
        output, statistics = kernel("", [query, key, value, *bias, lengths, lengths], bool(bias), results)

        def gradient(upstream):
            operands = [query, key, value, statistics, upstream, *bias, output, lengths, lengths]
            results = [(dtype, each.shape) for each in (query, key, value, *bias)]
            return kernel("Backward", operands, bool(bias), results)

        return output, gradient

    return differentiable(query, key, value, *([] if bias is None else [bias]))


def kernel(direction, operands, has_bias, results):
    """What cuDNN's kernel returns, a list of tensors. results: the dtype and shape of each."""
    import tensorflow as tf
    from tensorflow.compiler.tf2xla.ops.gen_xla_ops import xla_custom_call_v2

    query = operands[0]
    *tensors, _ = xla_custom_call_v2(
        operands=operands,
        call_target_name=f"__cudnn$fmha{'ScaleBias' * has_bias}Softmax{direction}",
        backend_config=json.dumps({"cudnn_fmha_backend_config": description(direction, query.shape, query.dtype.name)}),
        has_side_effect=False,
        result_dtypes=[dtype for dtype, _ in results] + [tf.uint8],  # the last is the kernel's work space
        result_shapes=[shape for _, shape in results] + [[0]],
    )
    return tensors


def description(direction, shape, dtype):
    """XLA's CudnnfMHABackendConfig (xla/service/gpu/backend_configs.proto) for texts with padding."""
    batch, heads, length, size = shape
    sums = {
        f"{product}_dot_dimension_numbers": {
            "lhs_contracting_dimensions": [left],
            "rhs_contracting_dimensions": [right],
            "lhs_batch_dimensions": [0, 1],
            "rhs_batch_dimensions": [0, 1],
        }
        for product, (left, right) in PRODUCTS[direction].items()
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


@cache
def flash_works(head_size):
    """Whether this machine's only device does it, tried with a few numbers: the gradients are those of the formula."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) != 1 or head_size % 8 or head_size > 128:
        return False
    details = tf.config.experimental.get_device_details(gpus[0])
    if details.get("compute_capability", (0, 0)) < (8, 0):
        return False
    inputs = tf.unstack(tf.cast(tf.random.stateless_normal((4, 2, 2, 64, head_size), (0, 0)), "bfloat16"))

    def both(attention):
        *inner, upstream = inputs
        with tf.GradientTape() as tape:
            tape.watch(inner)
            output = attention(*inner)
        return [output, *tape.gradient(output, inner, upstream)]

    def plain(query, key, value):
        weights = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) * head_size**-0.5)
        return tf.matmul(weights, value)

    def flash(query, key, value):
        return flash_attend(query, key, value, tf.constant([64, 64]))

    try:
        found = tf.function(lambda: both(flash), jit_compile=True, autograph=False)()
    except (tf.errors.OpError, AttributeError, ImportError):
        return False
    differences = [tf.norm(tf.cast(one - other, "float32")) / tf.norm(tf.cast(other, "float32"))
                   for one, other in zip(found, both(plain))]  # fmt: skip
    return float(tf.reduce_max(differences)) < 0.05
