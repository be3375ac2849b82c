"""What scripts for transformers 4 give to fit, evaluate and predict, as Keras 3 takes it: a dict of inputs, and labels.

There the labels may stand in the dict, from which the model takes them.
"""

import numpy as np

from tfbert.common.errors import UserError
from tfbert.model.auto_config import leave_aside

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def named_inputs(inputs):
    """A dict of inputs given as a mapping, as a list in the order of INPUTS, or as input_ids alone."""
    if hasattr(inputs, "keys"):
        return dict(inputs)
    if isinstance(inputs, (list, tuple)) and hasattr(inputs[0], "shape") and len(inputs[0].shape) == 2:
        return dict(zip(INPUTS, inputs))
    return {"input_ids": inputs}


def split(where, inputs, labels=None):
    """Inputs in any of these forms, perhaps with labels in them -> ({name: value}, labels or None)."""
    inputs = named_inputs(inputs)
    inside = inputs.pop("labels", None)
    if hasattr(labels, "keys"):
        labels = labels.get("labels")
    leave_aside(where, {name: value for name, value in inputs.items() if name not in INPUTS}, (*INPUTS, "labels"))
    inputs = {name: inputs[name] for name in INPUTS if inputs.get(name) is not None}
    return inputs, inside if labels is None else labels


def keras_data(where, x, y=None, with_labels=True):
    """x and y of fit for Keras: a tf.data.Dataset of pairs and None, or a dict of arrays and one array.

    x: a tf.data.Dataset of dicts or of (dict, labels), a dict of arrays, or an array of input_ids. with_labels=False:
    for predict, inputs alone. Raises UserError for anything else, and where there are no labels.
    """
    if hasattr(x, "element_spec"):
        spec = x.element_spec if isinstance(x.element_spec, tuple) else (x.element_spec,)
        must_have_labels(where, split(where, *spec[:2])[1], with_labels)
        return x.map(lambda *element: pair(where, element, with_labels)), None
    if not (hasattr(x, "keys") or hasattr(x, "shape")) or hasattr(x, "to_tf_dataset"):
        raise UserError(f"{where}: data is a {type(x).__name__}: give a dict of arrays or a tf.data.Dataset")
    inputs, labels = split(where, x, y)
    must_have_labels(where, labels, with_labels)
    try:
        inputs = {name: np.asarray(value) for name, value in inputs.items()}
    except ValueError as error:
        raise UserError(f"{where}: texts of different lengths: call the tokenizer with padding=True") from error
    return inputs, np.asarray(labels) if with_labels else None


def pair(where, element, with_labels):
    """An element of a data set, (inputs, labels, weights) or less -> (inputs, labels, weights), or inputs."""
    inputs, labels = split(where, *element[:2])
    return (inputs, labels, *element[2:]) if with_labels else inputs


def must_be_ids(ids):
    """Raises UserError where there are none, or texts."""
    first = ids[0] if isinstance(ids, (list, tuple)) and ids else ids
    if ids is None or isinstance(first, str):
        what = "no input_ids" if ids is None else "a text"
        raise UserError(f"model: {what}: give what the tokenizer returns")


def must_have_labels(where, labels, with_labels):
    if labels is None and with_labels:
        raise UserError(f"{where}: no labels: give them as y, or as labels beside input_ids")
