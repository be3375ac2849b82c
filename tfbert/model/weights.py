"""Weights in Hugging Face files <-> Keras variables.

They travel as {name: array} under the names and in the shapes of PyTorch
transformers: linear kernels are (out, in). layouts.py says how each architecture
calls its parts; weight_names.py says how TensorFlow's files do.
"""

from dataclasses import dataclass

import numpy as np

from tfbert.common.errors import UserError
from tfbert.model.layouts import LAYOUTS


@dataclass(frozen=True)
class Part:
    """A variable, its shape in Keras, and its names in the files.

    One with several names is their concatenation along its last axis; a kernel, (in, out) in Keras, is transposed in
    the files.
    """

    variable: str  # from the model on, such as encoder.embeddings.word
    names: list
    shape: tuple
    is_kernel: bool = False

    @property
    def stored_shape(self):
        """Of each array in the files."""
        shape = (*self.shape[:-1], self.shape[-1] // len(self.names))
        return shape[::-1] if self.is_kernel else shape


def dense_parts(config, layer, names, inputs, outputs):
    yield Part(f"{layer}.kernel", [f"{name}.weight" for name in names], (inputs, outputs), True)
    if config.has_bias(layer):
        yield Part(f"{layer}.bias", [f"{name}.bias" for name in names], (outputs,))


def norm_parts(config, layer, name, size):
    yield Part(f"{layer}.gamma", [f"{name}.weight"], (size,))
    if config.has_bias("norm"):
        yield Part(f"{layer}.beta", [f"{name}.bias"], (size,))


def encoder_parts(config):
    """Yields the Parts of the encoder that a ModelConfig describes."""
    layout, hidden, inner = LAYOUTS[config.model_type], config.hidden_size, config.intermediate_size
    width, prefix = config.embedding_size or hidden, layout.prefix
    rows = {"word": config.vocab_size, "token_type": config.type_vocab_size}
    rows["position"] = config.max_position_embeddings if config.absolute_positions else 0
    for table, number in rows.items():
        if number:
            name = f"{prefix}{layout.embeddings[table]}.weight"
            yield Part(f"encoder.embeddings.{table}", [name], (number, width))
    yield from norm_parts(config, "encoder.embeddings.norm", prefix + layout.embeddings["norm"], width)
    if config.embedding_size:
        yield from dense_parts(config, "encoder.embeddings.project", [prefix + layout.project], width, hidden)
    if shape := config.relative_shape:
        yield Part("encoder.relative.table", [f"{prefix}{layout.relative}.weight"], shape)
    if config.relative_norm:
        yield from norm_parts(config, "encoder.relative.norm", prefix + layout.relative_norm, hidden)
    for number in range(1 if config.share_layers else config.num_hidden_layers):
        start, names, block = prefix + layout.layer.format(number), layout.block, f"encoder.blocks.{number}"
        qkv, intermediate = ([start + part for part in names[several]] for several in ("qkv", "intermediate"))
        yield from dense_parts(config, f"{block}.attention.qkv", qkv, hidden, 3 * hidden)
        output = [start + names["attention_output"]]
        yield from dense_parts(config, f"{block}.attention.output_dense", output, hidden, hidden)
        if number or not config.pre_norm:
            yield from norm_parts(config, f"{block}.attention_norm", start + names["attention_norm"], hidden)
        first = 2 * inner if config.gate else inner
        yield from dense_parts(config, f"{block}.intermediate", intermediate, hidden, first)
        yield from dense_parts(config, f"{block}.output_dense", [start + names["output"]], inner, hidden)
        yield from norm_parts(config, f"{block}.output_norm", start + names["output_norm"], hidden)
    if config.pre_norm:
        yield from norm_parts(config, "encoder.last_norm", prefix + layout.last_norm, hidden)


def parts(model):
    """Yields the Parts of a SequenceClassifier, MaskedLanguageModel or TextVectors."""
    config, hidden = model.config, model.config.hidden_size
    layout = LAYOUTS[config.model_type]
    yield from encoder_parts(config)
    if hasattr(model, "transform"):
        dense_name, norm_name, bias_name = layout.masked_lm
        yield from dense_parts(config, "transform", [dense_name], hidden, model.width)
        yield from norm_parts(config, "norm", norm_name, model.width)
        yield Part("bias", [bias_name], (config.vocab_size,))
        return
    of_classifier = hasattr(model, "classifier")
    if model.pooler:
        name = layout.pooler if of_classifier else layout.prefix + layout.own_pooler
        yield from dense_parts(config, "pooler", [name], hidden, hidden)
    if not of_classifier:
        return
    if model.pooler_norm:
        yield from norm_parts(config, "pooler_norm", layout.pooler_norm, hidden)
    yield from dense_parts(config, "classifier", [layout.classifier], hidden, config.num_labels)


def variable_of(model, part):
    """The Keras variable of a Part."""
    found = model
    for name in part.variable.split("."):
        found = found[int(name)] if name.isdigit() else getattr(found, name)
    return found


def get_weights(model):
    """{PyTorch name: float32 array} of a model."""
    weights = {}
    for part in parts(model):
        values = np.split(np.asarray(variable_of(model, part)), len(part.names), axis=-1)
        weights |= {name: value.T if part.is_kernel else value for name, value in zip(part.names, values)}
    return weights


def check_encoder(config, stored, new_tokens=0):
    """Raises UserError where StoredWeights lack a weight of the encoder, or have it in another shape.

    new_tokens: how many of the last rows of the word embeddings they need not have. Names may lack the prefix.
    """
    bare = LAYOUTS[config.model_type].bare
    found = {bare(name): shape for name, shape in stored.shapes.items()}
    for part in encoder_parts(config):
        shape = part.stored_shape
        if part.variable == "encoder.embeddings.word":
            shape = (shape[0] - new_tokens, shape[1])
        for name in part.names:
            there = found.get(bare(name))
            if there is None:
                raise UserError(f"{stored.path}: the encoder weight {name} is missing")
            if there != shape:
                raise UserError(f"{stored.path}: {name} has shape {there}, config.json asks for {shape}")


def set_weights(model, stored, new_tokens=0):
    """Reads StoredWeights, of which check_encoder thought well, into a model; returns the names of what stays new.

    Raises UserError for a head of a wrong shape; a classifier for another number of labels stays new. So do the last
    new_tokens rows of the word embeddings, and of the bias over the vocabulary.
    """
    layout = LAYOUTS[model.config.model_type]
    called = {layout.bare(name): name for name in stored.shapes}
    new = []
    for part in parts(model):
        known = [called.get(layout.bare(name)) for name in part.names]
        over_vocabulary = part.variable in ("encoder.embeddings.word", "bias")
        kept, shape = new_tokens if over_vocabulary else 0, part.stored_shape
        shape = (shape[0] - kept, *shape[1:])
        for name, there in zip(part.names, known):
            if there is not None and stored.shapes[there] != shape:
                if not name.startswith(layout.classifier):
                    found = stored.shapes[there]
                    raise UserError(f"{stored.path}: {name} has shape {found}, config.json asks for {shape}")
                there = None
            if there is None:
                new.append(name)
        if not set(part.names) & set(new):
            variable, values = variable_of(model, part), [stored.read(each) for each in known]
            value = np.concatenate([each.T if part.is_kernel else each for each in values], axis=-1)
            variable.assign(np.concatenate([value, np.asarray(variable)[len(value) :]]) if kept else value)
    return new
