"""The model as an ONNX graph, written straight from the weights: a short list of nodes.

onnx_graph.py collects them; onnx_blocks.py has the blocks of the encoder.
"""

import shutil

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper

from tfbert.inference.onnx_blocks import bert_blocks, modern_blocks
from tfbert.inference.onnx_graph import FUSED, Graph
from tfbert.inference.runtimes import onnx_model


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
    blocks = modern_blocks if config.pre_norm else bert_blocks
    add_head(graph, model, blocks(graph, encoder, config, x, lengths))

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
    types = graph.variable(layer.token_type) if config.type_vocab_size else ""
    if config.absolute_positions:
        x, lengths, _ = graph.add(
            "EmbedLayerNormalization",
            ids["input_ids"],
            ids.get("token_type_ids", ""),
            graph.variable(layer.word),
            graph.weight("positions", np.asarray(layer.position)[config.position_offset :]),
            types,
            graph.variable(layer.norm.gamma),
            graph.variable(layer.norm.beta),
            ids["attention_mask"],
            outputs=3,
            domain=FUSED,
            epsilon=config.layer_norm_eps,
        )
    else:
        x = graph.add("Gather", graph.variable(layer.word), ids["input_ids"])
        if types:
            x = graph.add("Add", x, graph.add("Gather", types, ids["token_type_ids"]))
        x = graph.normalized(x, layer.norm)
        lengths = graph.add("ReduceSum", ids["attention_mask"], graph.integers(1), keepdims=0)
    return graph.linear(x, layer.project) if layer.project else x, lengths


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
    if model.pooler_norm:
        pooled = graph.normalized(pooled, model.pooler_norm)
    weights = [graph.variable(each) for each in (model.classifier.kernel, model.classifier.bias)]
    graph.nodes.append(helper.make_node("Gemm", [pooled, *weights], ["logits"]))


def mean_of_tokens(graph, x):
    """The name of the mean over all that is not padding, float (B, D)."""
    mask = graph.add("Cast", "attention_mask", to=TensorProto.FLOAT)
    weighed = graph.add("Mul", x, graph.add("Unsqueeze", mask, graph.integers(2)))
    total = graph.add("ReduceSum", weighed, graph.integers(1), keepdims=0)
    return graph.add("Div", total, graph.add("ReduceSum", mask, graph.integers(1), keepdims=1))
