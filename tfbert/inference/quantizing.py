"""The ONNX model in int8."""

import contextlib
import logging
import os
import tempfile
from collections import Counter
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from tfbert.common.systems import patiently


def quantize(source, target):
    """Writes the ONNX model `source` to `target` with weights in int8, a scale for each column.

    Inputs of matrix products become int8 as they come ("dynamic"); onnxruntime.ai/docs/performance/
    model-optimizations/quantization.html. Raises OSError where target cannot be written.

    Weights have a sign, which is faster, unless layers share them, as ALBERT's: those ONNX Runtime 1.31 cannot compute
    another way where a CPU's products of signed numbers overflow, as runtimes.py asks it to.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(source)
    helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})  # nothing is left to simplify
    options = {"DefaultTensorType": TensorProto.FLOAT}  # of the outputs of fused operators, which it cannot infer
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".saving-") as folder, without_warnings():
        staged = Path(folder, target.name)
        kind = QuantType.QUInt8 if shares_weights(model.graph) else QuantType.QInt8
        quantize_dynamic(
            model, staged, weight_type=kind, per_channel=True, use_external_data_format=True, extra_options=options
        )
        weights = staged.with_name(target.name + ".data")
        weights.chmod(staged.stat().st_mode)
        for path in (weights, staged):  # the graph last: with it the model is there
            patiently(os.replace, path, target.parent / path.name)


@contextlib.contextmanager
def without_warnings():
    """No lines of `logging` below errors: there is one for each output whose type DefaultTensorType says."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def shares_weights(graph):
    """Whether a matrix is multiplied with in several places."""
    uses = Counter(node.input[1] for node in graph.node if node.op_type == "MatMul")
    return any(uses[each.name] > 1 for each in graph.initializer)
