"""The model as an ONNX graph of ONNX Runtime's fused operators, written straight from the weights.

An encoder is a short list of nodes: EmbedLayerNormalization, Attention, SkipLayerNormalization and
BiasGelu are defined in github.com/microsoft/onnxruntime, docs/ContribOperators.md.
"""

import os
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FUSED = "com.microsoft"


class Graph:
    """Collects nodes and weights; `add` returns the name of a node's first output."""

    def __init__(self):
        self.nodes, self.weights = [], {}

    def weight(self, name, value):
        """The name, for a node's inputs; the layers of an ALBERT share theirs."""
        self.weights[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def add(self, operator, *inputs, outputs=1, domain="", **attributes):
        names = [f"{operator}_{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def activation(self, kind, x, bias):
        """The activation of x + bias."""
        if kind == "gelu":
            return self.add("BiasGelu", x, bias, domain=FUSED)
        if kind in ("gelu_new", "gelu_pytorch_tanh"):
            return self.add("FastGelu", x, bias, domain=FUSED)
        x = self.add("Add", x, bias)
        if kind in ("silu", "swish"):
            return self.add("Mul", x, self.add("Sigmoid", x))
        return self.add({"relu": "Relu", "tanh": "Tanh"}[kind], x)


def export_onnx(model, path):
    """Writes a SequenceClassifier to `path`, its weights to a file beside it, which is mapped, not read, when used.

    Inputs: input_ids, attention_mask (padding on the right only) and, for BERT, token_type_ids, int64 (B, S).
    Output: logits, float32 (B, L).
    """
    config, encoder, graph = model.config, model.encoder, Graph()
    inputs = ["input_ids", "attention_mask"] + ["token_type_ids"] * bool(config.type_vocab_size)
    ids = {name: graph.add("Cast", name, to=TensorProto.INT32) for name in inputs}

    def weight(variable):
        return graph.weight(variable.path, np.asarray(variable))

    def norm(operator, x, skip, layer, bias):
        return graph.add(operator, x, skip, weight(layer.gamma), weight(layer.beta), weight(bias),
                         domain=FUSED, epsilon=config.layer_norm_eps)  # fmt: skip

    table = encoder.embeddings
    x, lengths, _ = graph.add(
        "EmbedLayerNormalization",
        ids["input_ids"],
        ids.get("token_type_ids", ""),
        weight(table.word),
        graph.weight("positions", np.asarray(table.position)[config.position_offset :]),
        weight(table.token_type) if config.type_vocab_size else "",
        weight(table.norm.gamma),
        weight(table.norm.beta),
        ids["attention_mask"],
        outputs=3,
        domain=FUSED,
        epsilon=config.layer_norm_eps,
    )
    if table.project:
        x = graph.add("Add", graph.add("MatMul", x, weight(table.project.kernel)), weight(table.project.bias))
    if encoder.position_bias:
        bias = position_bias(graph, encoder.position_bias)
    for number in range(config.num_hidden_layers):
        block = encoder.blocks[number % len(encoder.blocks)]
        attention, heads = block.attention, {"domain": FUSED, "num_heads": config.num_attention_heads}
        kernel, qkv_bias = weight(attention.qkv.kernel), weight(attention.qkv.bias)
        if encoder.position_bias:  # Attention takes such a bias too, but not when it is quantized
            qkv = graph.add("Split", graph.add("MatMul", x, kernel), outputs=3, axis=2)
            attended = graph.add("MultiHeadAttention", *qkv, qkv_bias, lengths, bias, **heads)
        else:
            attended = graph.add("Attention", x, kernel, qkv_bias, lengths, **heads)
        attended = graph.add("MatMul", attended, weight(attention.output_dense.kernel))
        x = norm("SkipLayerNormalization", attended, x, block.attention_norm, attention.output_dense.bias)
        hidden = graph.add("MatMul", x, weight(block.intermediate.kernel))
        hidden = graph.activation(config.hidden_act, hidden, weight(block.intermediate.bias))
        hidden = graph.add("MatMul", hidden, weight(block.output_dense.kernel))
        x = norm("SkipLayerNormalization", hidden, x, block.output_norm, block.output_dense.bias)

    if config.pooling == "mean":
        pooled = mean_of_tokens(graph, x)
    else:
        pooled = graph.add("Gather", x, graph.weight("first_token", np.array(0)), axis=1)
    if model.pooler:
        pooled = graph.add("MatMul", pooled, weight(model.pooler.kernel))
        pooled = graph.activation(config.pooler_act, pooled, weight(model.pooler.bias))
    graph.nodes.append(
        helper.make_node("Gemm", [pooled, weight(model.classifier.kernel), weight(model.classifier.bias)], ["logits"])
    )
    signature = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in inputs]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", config.num_labels])
    onnx_graph = helper.make_graph(graph.nodes, "sequence_classifier", signature, [logits], graph.weights.values())
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(FUSED, 1)]
    model = helper.make_model(onnx_graph, opset_imports=opsets, ir_version=8)
    weights = path.with_name(path.name + ".data")
    onnx.save(model, path, save_as_external_data=True, location=weights.name)
    weights.chmod(path.stat().st_mode)  # onnx lets only its owner read it


def position_bias(graph, layer):
    """The name of MPNet's bias, float (1, H, S, S), for S as long as the inputs."""
    whole = graph.weight("position_bias", np.asarray(layer(np.zeros((1, layer.config.max_length), np.int32))))
    length = graph.add("Shape", "input_ids", start=1, end=2)
    ends = graph.add("Concat", length, length, axis=0)
    starts, axes = graph.weight("starts", np.zeros(2, np.int64)), graph.weight("axes", np.array([2, 3]))
    return graph.add("Slice", whole, starts, ends, axes)


def mean_of_tokens(graph, x):
    """The name of the mean over all that is not padding, float (B, D)."""
    axis = graph.weight("axis", np.array([1]))
    mask = graph.add("Cast", "attention_mask", to=TensorProto.FLOAT)
    weighed = graph.add("Mul", x, graph.add("Unsqueeze", mask, graph.weight("last", np.array([2]))))
    total = graph.add("ReduceSum", weighed, axis, keepdims=0)
    return graph.add("Div", total, graph.add("ReduceSum", mask, axis, keepdims=1))


def largest_difference(path, model, batch):
    """The largest distance between the logits of the ONNX model and the Keras model on a padded batch."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {name: value.astype(np.int64) for name, value in batch.items()}
    if model.config.type_vocab_size:
        feeds.setdefault("token_type_ids", np.zeros_like(feeds["input_ids"]))
    return float(np.abs(session.run(None, feeds)[0] - model.predict_on_batch(batch)).max())


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
            os.replace(path, target.parent / path.name)
