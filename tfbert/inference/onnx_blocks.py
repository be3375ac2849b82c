"""The blocks of an encoder as nodes of an ONNX graph, and how they see distances.

B texts of S tokens, D hidden size, H heads, d = D / H. Names in the graph stand for tensors.
"""

import numpy as np
from onnx import TensorProto

from tfbert.inference.onnx_graph import FUSED
from tfbert.model.attention import PADDING
from tfbert.model.rotary import band


def bert_blocks(graph, encoder, config, x, lengths):
    """The name of what all blocks make of x, float (B, S, D). lengths: int32 (B,)."""
    if config.rope_theta:
        attend = RotaryAttention(graph, encoder, config)
    elif config.disentangled:
        attend = DisentangledAttention(graph, encoder, config)
    elif encoder.relative:
        attend = BiasedAttention(graph, encoder, config)
    else:
        attend = attended

    def add_and_normalize(y, x, dense, norm):
        weights = [graph.variable(each) for each in (norm.gamma, norm.beta, dense.bias)]
        y = graph.product(y, dense)
        return graph.add("SkipLayerNormalization", y, x, *weights, domain=FUSED, epsilon=config.layer_norm_eps)

    for number in range(config.num_hidden_layers):
        block = encoder.blocks[number % len(encoder.blocks)]
        found = attend(graph, block.attention, x, lengths)
        x = add_and_normalize(found, x, block.attention.output_dense, block.attention_norm)
        x = add_and_normalize(inner(graph, block, config, x), x, block.output_dense, block.output_norm)
    return x


def inner(graph, block, config, x):
    """The inner vector of a feed-forward, float (B, S, I)."""
    hidden, bias = graph.product(x, block.intermediate), graph.variable(block.intermediate.bias)
    if not config.gate:
        return graph.activation(config.hidden_act, hidden, bias)
    halves = graph.add("Split", graph.add("Add", hidden, bias) if bias else hidden, outputs=2, axis=2)
    gate, other = halves if config.gate == "first" else halves[::-1]
    return graph.add("Mul", graph.activation(config.hidden_act, gate), other)


def attended(graph, layer, x, lengths):
    """What BERT's attention finds, float (B, S, D)."""
    weights = graph.variable(layer.qkv.kernel), graph.variable(layer.qkv.bias)
    return graph.add("Attention", x, *weights, lengths, domain=FUSED, num_heads=layer.heads)


class BiasedAttention:
    """MPNet's. `Attention` takes such a bias too, but not when it is quantized."""

    def __init__(self, graph, encoder, config):
        whole = np.asarray(encoder.relative(np.zeros((1, config.max_length), np.int32)))
        length, start = length_of_texts(graph), graph.integers(0)
        rows = graph.sliced(graph.weight("position_bias", whole), start, length, 2)
        self.bias = graph.sliced(rows, start, length, 3)

    def __call__(self, graph, layer, x, lengths):
        qkv = graph.add("Split", graph.product(x, layer.qkv), outputs=3, axis=2)
        bias = graph.variable(layer.qkv.bias)
        return graph.add("MultiHeadAttention", *qkv, bias, lengths, self.bias, domain=FUSED, num_heads=layer.heads)


class DisentangledAttention:
    """DeBERTa's; what disentangled.py says of each step is not said again."""

    def __init__(self, graph, encoder, config):
        relative = encoder.relative
        table = np.asarray(relative.norm(relative.table) if relative.norm else relative.table)
        self.table, middle = table, len(relative.row) // 2
        self.length = length_of_texts(graph)
        self.less = graph.add("Sub", self.length, graph.integers(1))
        self.width = graph.add("Add", self.length, self.less)
        self.end = graph.add("Add", self.less, graph.add("Mul", self.length, self.width))
        row = graph.weight("rows_of_distances", relative.row)
        start = graph.add("Sub", graph.integers(middle), self.less)
        self.ascending = graph.sliced(row, start, graph.add("Add", start, self.width), 0)
        row = graph.weight("rows_of_distances_back", relative.row[::-1])
        self.descending = graph.sliced(row, start, graph.add("Add", start, self.width), 0)

    def __call__(self, graph, layer, x, lengths):
        scale = (3 * layer.head_size) ** -0.5
        query, key, value = graph.add("Split", graph.linear(x, layer.qkv), outputs=3, axis=2)
        of_query, of_key, _ = np.split(self.table @ np.asarray(layer.qkv.kernel) + np.asarray(layer.qkv.bias), 3, 1)
        ahead = self.shifted(graph, layer, query, scale * of_key, self.descending, "keys")
        behind = self.shifted(graph, layer, key, scale * of_query, self.ascending, "queries")
        bias = graph.add("Add", ahead, graph.add("Transpose", behind, perm=[0, 1, 3, 2]))
        return graph.add("MultiHeadAttention", query, key, value, "", lengths, bias, domain=FUSED, scale=scale,
                         num_heads=layer.heads)  # fmt: skip

    def shifted(self, graph, layer, x, of_distances, rows, name):
        """The scores of x, (B, S, D), and of distances, (rows, D), for each pair of tokens, (B, H, S, S)."""
        by_head = of_distances.reshape(-1, layer.heads, layer.head_size).transpose(1, 2, 0)
        vectors = graph.weight(f"{layer.qkv.kernel.path}/{name}_of_distances", by_head)
        x = graph.add("Transpose", graph.reshaped(x, 0, 0, layer.heads, layer.head_size), perm=[0, 2, 1, 3])
        scores = graph.add("MatMul", x, graph.add("Gather", vectors, rows, axis=2))
        scores = graph.add("Pad", scores, graph.integers(0, 0, 0, 0, 0, 0, 0, 1))
        flat = graph.sliced(graph.reshaped(scores, 0, 0, -1), self.less, self.end, 2)
        return graph.sliced(graph.reshaped(flat, 0, 0, self.length, self.width), graph.integers(0), self.length, 3)


def modern_blocks(graph, encoder, config, x, lengths):
    """As bert_blocks, with LayerNorm before each part."""
    attend = RotaryAttention(graph, encoder, config)
    sum_and_norm = {"domain": FUSED, "outputs": 4, "epsilon": config.layer_norm_eps}

    def add_and_normalize(y, norm):
        normalized, _, _, total = graph.add("SkipLayerNormalization", y, x, graph.variable(norm.gamma), **sum_and_norm)
        return total, normalized

    following = [block.attention_norm for block in encoder.blocks[1:]] + [encoder.last_norm]
    normalized = x
    for block, norm in zip(encoder.blocks, following):
        found = graph.product(attend(graph, block.attention, normalized, lengths), block.attention.output_dense)
        x, normalized = add_and_normalize(found, block.output_norm)
        transformed = graph.product(inner(graph, block, config, normalized), block.output_dense)
        x, normalized = add_and_normalize(transformed, norm)
    return normalized


class RotaryAttention:
    """With rotated queries and keys; local layers see blocks of tokens and their neighbours, as in rotary.py."""

    def __init__(self, graph, encoder, config):
        self.hidden, self.length = config.hidden_size, length_of_texts(graph)
        angles = encoder.relative(np.zeros((1, config.max_length), np.int32))
        half = config.hidden_size // config.num_attention_heads // 2
        self.angles = [
            [graph.weight(f"{name}_{kind}", np.asarray(each)[:, :half]) for name, each in zip(("cos", "sin"), pair)]
            for kind, pair in zip(("global", "local"), angles)
        ]
        if config.local_attention:
            self.look_at_neighbours(graph, config.local_attention // 2)

    def look_at_neighbours(self, graph, size):
        """What local layers share: the number of blocks of so many tokens, and the mask within."""
        self.size = size
        more = graph.add("Add", self.length, graph.integers(size - 1))
        self.blocks = graph.add("Div", more, graph.integers(size))
        self.whole = graph.add("Mul", self.blocks, graph.integers(size))
        self.missing = graph.add("Sub", self.whole, self.length)
        mask = graph.add("Unsqueeze", graph.add("Cast", "attention_mask", to=TensorProto.FLOAT), graph.integers(2))
        seen = graph.reshaped(self.with_neighbours(graph, mask, 1), -1, 1, 1, 3 * size)
        hidden = graph.add("Sub", seen, graph.weight("one", np.float32(1)))
        hidden = graph.add("Mul", hidden, graph.weight("padding", np.float32(-PADDING)))
        self.mask = graph.add("Add", hidden, graph.weight("far", band(size)))

    def __call__(self, graph, layer, x, lengths):
        query, key, value = graph.add("Split", graph.linear(x, layer.qkv), outputs=3, axis=2)
        angles = self.angles[bool(layer.reach)]
        query, key = (
            graph.add("RotaryEmbedding", each, graph.integers(0), *angles, domain=FUSED) for each in (query, key)
        )
        heads = {"domain": FUSED, "num_heads": layer.heads}
        if not layer.reach:
            return graph.add("MultiHeadAttention", query, key, value, "", lengths, **heads)
        query = graph.reshaped(self.padded(graph, query, graph.integers(0), self.missing), -1, self.size, self.hidden)
        key, value = (
            graph.reshaped(self.with_neighbours(graph, each, self.hidden), -1, 3 * self.size, self.hidden)
            for each in (key, value)
        )
        found = graph.add("MultiHeadAttention", query, key, value, "", "", self.mask, **heads)
        return graph.sliced(graph.reshaped(found, -1, self.whole, self.hidden), graph.integers(0), self.length, 1)

    def padded(self, graph, x, before, after):
        """(B, S, n) with zeros before and after the tokens."""
        nothing = graph.integers(0)
        return graph.add("Pad", x, graph.add("Concat", nothing, before, nothing, nothing, after, nothing, axis=0))

    def with_neighbours(self, graph, x, width):
        """(B, S, width) -> (B, N, 3 W width): of each block the one before, itself and the one after."""
        size = graph.integers(self.size)
        x = self.padded(graph, x, size, graph.add("Add", self.missing, size))
        x = graph.reshaped(x, 0, graph.add("Add", self.blocks, graph.integers(2)), self.size * width)
        ends = [graph.add("Add", self.blocks, graph.integers(number)) for number in range(3)]
        parts = [graph.sliced(x, graph.integers(number), end, 1) for number, end in enumerate(ends)]
        return graph.add("Concat", *parts, axis=2)


def length_of_texts(graph):
    """int64 (1,)."""
    return graph.add("Shape", "input_ids", start=1, end=2)
