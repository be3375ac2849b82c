"""Nodes and weights of an ONNX graph, with ONNX Runtime's fused operators where it has them.

These are defined in github.com/microsoft/onnxruntime, docs/ContribOperators.md.
"""

import numpy as np
from onnx import helper, numpy_helper

FUSED = "com.microsoft"


class Graph:
    """Collects nodes and weights; `add` returns the name of a node's first output."""

    def __init__(self):
        self.nodes, self.weights = [], {}

    def weight(self, name, value):
        """The name, for a node's inputs; the layers of an ALBERT share theirs."""
        self.weights[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def integers(self, *values):
        """The name of a constant, int64 (N,)."""
        return self.weight("integers_" + "_".join(map(str, values)), np.array(values, np.int64))

    def variable(self, variable):
        """The name of a layer's weight; of one that it does not have, "", which stands for a missing input."""
        return "" if variable is None else self.weight(variable.path, variable)

    def product(self, x, layer):
        """x times a linear layer's matrix."""
        return self.add("MatMul", x, self.variable(layer.kernel))

    def linear(self, x, layer):
        """What a linear layer without activation makes of x."""
        x = self.product(x, layer)
        return x if layer.bias is None else self.add("Add", x, self.variable(layer.bias))

    def normalized(self, x, layer):
        """LayerNorm of x."""
        weights = self.variable(layer.gamma), self.variable(layer.beta)
        return self.add("LayerNormalization", x, *weights, axis=-1, epsilon=layer.epsilon)

    def add(self, operator, *inputs, outputs=1, domain="", **attributes):
        while not inputs[-1]:  # ONNX Runtime 1.31 crashes where the last one is named, but missing
            inputs = inputs[:-1]
        names = [f"{operator}_{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def activation(self, kind, x, bias=""):
        """The activation of x + bias, or of x."""
        if kind == "gelu":
            return self.add("BiasGelu", x, bias, domain=FUSED) if bias else self.add("Gelu", x, domain=FUSED)
        if kind in ("gelu_new", "gelu_pytorch_tanh"):
            return self.add("FastGelu", x, bias, domain=FUSED)
        x = self.add("Add", x, bias) if bias else x
        if kind in ("silu", "swish"):
            return self.add("Mul", x, self.add("Sigmoid", x))
        return self.add({"relu": "Relu", "tanh": "Tanh"}[kind], x)

    def sliced(self, x, start, end, axis):
        """x[start:end] along an axis. start and end: names of int64 (1,)."""
        return self.add("Slice", x, start, end, self.integers(axis))

    def reshaped(self, x, *shape):
        """shape: numbers, as Reshape takes them, and names of int64 (1,)."""
        parts = [self.integers(each) if isinstance(each, int) else each for each in shape]
        return self.add("Reshape", x, self.add("Concat", *parts, axis=0))
