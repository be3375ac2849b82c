"""The ONNX model in int8."""

import os
import tempfile
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from tfbert.common.systems import patiently


def quantize(source, target):
    """Writes the ONNX model `source` to `target` with weights in int8, a scale for each column.

    Inputs of matrix products become int8 as they come ("dynamic"); onnxruntime.ai/docs/performance/
    model-optimizations/quantization.html. Raises OSError where target cannot be written.
    """
    from onnxruntime.quantization import quantize_dynamic

    model = onnx.load(source)
    helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})  # nothing is left to simplify
    options = {"DefaultTensorType": TensorProto.FLOAT}  # of the outputs of fused operators, which it cannot infer
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".saving-") as folder:
        staged = Path(folder, target.name)
        quantize_dynamic(model, staged, per_channel=True, use_external_data_format=True, extra_options=options)
        weights = staged.with_name(target.name + ".data")
        weights.chmod(staged.stat().st_mode)
        for path in (weights, staged):  # the graph last: with it the model is there
            patiently(os.replace, path, target.parent / path.name)
