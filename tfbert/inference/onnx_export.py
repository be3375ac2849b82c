"""The model as an ONNX graph of ONNX Runtime's fused operators, written straight from the weights.

An encoder is a short list of nodes: EmbedLayerNormalization, Attention, SkipLayerNormalization and
BiasGelu are defined in github.com/microsoft/onnxruntime, docs/ContribOperators.md.
"""

import shutil

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tfbert.inference.runtimes import onnx_model

FUSED = "com.microsoft"


class Graph:
    """Collects nodes and weights; `add` returns the name of a node's first output."""

    def __init__(self):
        self.nodes, self.weights = [], {}

    def weight(self, name, value):
        """The name, for a node's inputs; the layers of an ALBERT share theirs."""
        self.weights[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def variable(self, variable):
        return self.weight(variable.path, variable)

    def product(self, x, layer):
        """x times a linear layer's matrix."""
        return self.add("MatMul", x, self.variable(layer.kernel))

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


def save_onnx(folder, model, some):
    """Writes a compiled SequenceClassifier to folder/model.onnx, if it then gives the same logits for some inputs.

    Else it says so and leaves the folder out.
    """
    folder.mkdir()
    export_onnx(model, folder / "model.onnx")
    difference = abs(onnx_model(folder.parent)(some) - exact_logits(model, some)).max()
    if not difference < 1e-3:
        print(f"WARNING: the ONNX model differs by {difference:.1g} and is left out; infer.py will use Keras")
        shutil.rmtree(folder)


def exact_logits(model, inputs):
    """float32 (B, L), also on GPUs, which by default round the factors of float32 products to 10 bits (TensorFloat-32):
    of 77 labels' logits 0.007 were lost on an H100.
    """
    if keras.backend.backend() != "tensorflow":
        import jax

        with jax.default_matmul_precision("float32"):
            return np.asarray(model(inputs, training=False))
    import tensorflow as tf

    rounds = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        return np.asarray(model(inputs, training=False))
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(rounds)


def export_onnx(model, path):
    """Writes a SequenceClassifier to `path`, its weights to a file beside it, which is mapped, not read, when used.

    Inputs: input_ids, attention_mask (padding on the right only) and, where the encoder has types, token_type_ids,
    int64 (B, S). Output: logits, float32 (B, L).
    """
    config, encoder, graph = model.config, model.encoder, Graph()
    inputs = ["input_ids", "attention_mask"] + ["token_type_ids"] * bool(config.type_vocab_size)
    x, lengths = embedded(graph, encoder.embeddings, config, inputs)
    bias = position_bias(graph, encoder.position_bias) if encoder.position_bias else None
    for number in range(config.num_hidden_layers):
        x = transformed(graph, encoder.blocks[number % len(encoder.blocks)], config, x, lengths, bias)
    add_head(graph, model, x)

    signature = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in inputs]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", config.num_labels])
    onnx_graph = helper.make_graph(graph.nodes, "sequence_classifier", signature, [logits], graph.weights.values())
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(FUSED, 1)]
    model = helper.make_model(onnx_graph, opset_imports=opsets, ir_version=8)
    weights = path.with_name(path.name + ".data")
    onnx.save(model, path, save_as_external_data=True, location=weights.name)
    weights.chmod(path.stat().st_mode)  # onnx lets only its owner read it


def embedded(graph, layer, config, inputs):
    """The names of the embedded texts, float (B, S, D), and of their lengths, int32 (B,)."""
    ids = {name: graph.add("Cast", name, to=TensorProto.INT32) for name in inputs}
    x, lengths, _ = graph.add(
        "EmbedLayerNormalization",
        ids["input_ids"],
        ids.get("token_type_ids", ""),
        graph.variable(layer.word),
        graph.weight("positions", np.asarray(layer.position)[config.position_offset :]),
        graph.variable(layer.token_type) if config.type_vocab_size else "",
        graph.variable(layer.norm.gamma),
        graph.variable(layer.norm.beta),
        ids["attention_mask"],
        outputs=3,
        domain=FUSED,
        epsilon=config.layer_norm_eps,
    )
    if layer.project:
        x = graph.add("Add", graph.product(x, layer.project), graph.variable(layer.project.bias))
    return x, lengths


def transformed(graph, block, config, x, lengths, bias):
    """The name of what a block makes of x, float (B, S, D)."""
    attention, heads = block.attention, {"domain": FUSED, "num_heads": config.num_attention_heads}
    qkv_bias = graph.variable(attention.qkv.bias)
    if bias:  # Attention takes such a bias too, but not when it is quantized
        qkv = graph.add("Split", graph.product(x, attention.qkv), outputs=3, axis=2)
        attended = graph.add("MultiHeadAttention", *qkv, qkv_bias, lengths, bias, **heads)
    else:
        attended = graph.add("Attention", x, graph.variable(attention.qkv.kernel), qkv_bias, lengths, **heads)

    def add_and_normalize(y, x, dense, norm):
        weights = [graph.variable(each) for each in (norm.gamma, norm.beta, dense.bias)]
        y = graph.product(y, dense)
        return graph.add("SkipLayerNormalization", y, x, *weights, domain=FUSED, epsilon=config.layer_norm_eps)

    x = add_and_normalize(attended, x, attention.output_dense, block.attention_norm)
    hidden = graph.product(x, block.intermediate)
    hidden = graph.activation(config.hidden_act, hidden, graph.variable(block.intermediate.bias))
    return add_and_normalize(hidden, x, block.output_dense, block.output_norm)


def add_head(graph, model, x):
    """Pooling, pooler and classifier: adds the logits."""
    config = model.config
    if config.pooling == "mean":
        pooled = mean_of_tokens(graph, x)
    else:
        pooled = graph.add("Gather", x, graph.weight("first_token", np.array(0)), axis=1)
    if model.pooler:
        pooled = graph.product(pooled, model.pooler)
        pooled = graph.activation(config.pooler_act, pooled, graph.variable(model.pooler.bias))
    weights = [graph.variable(each) for each in (model.classifier.kernel, model.classifier.bias)]
    graph.nodes.append(helper.make_node("Gemm", [pooled, *weights], ["logits"]))


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
