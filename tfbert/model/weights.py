"""Weights in Hugging Face files <-> Keras variables.

They travel as {name: array} under the names and in the shapes of PyTorch
transformers: linear kernels are (out, in). LAYOUTS says how each architecture
calls its parts; weight_names.py says how TensorFlow's files do.
"""

from dataclasses import dataclass, field

import numpy as np

from tfbert.common.errors import UserError
from tfbert.model.weight_names import ROBERTAS

EMBEDDINGS = {
    "word": "embeddings.word_embeddings",
    "token_type": "embeddings.token_type_embeddings",
    "position": "embeddings.position_embeddings",
    "norm": "embeddings.LayerNorm",
}
BERT_BLOCK = {
    "qkv": ["attention.self.query", "attention.self.key", "attention.self.value"],
    "attention_output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "intermediate": "intermediate.dense",
    "output": "output.dense",
    "output_norm": "output.LayerNorm",
}


@dataclass(frozen=True)
class Layout:
    """The PyTorch names of an architecture's parts. Those of the encoder begin with `prefix`; {} is the layer's number.

    masked_lm: dense layer, LayerNorm and bias of the head that pre-training has.
    """

    prefix: str
    masked_lm: tuple
    layer: str = "encoder.layer.{}."
    block: dict = field(default_factory=lambda: BERT_BLOCK)
    project: str = "embeddings_project"
    position_bias: str = "encoder.relative_attention_bias"
    pooler: str = "classifier.dense"
    classifier: str = "classifier.out_proj"


LAYOUTS = {
    "bert": Layout(
        prefix="bert.",
        masked_lm=("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias"),
        pooler="bert.pooler.dense",
        classifier="classifier",
    ),
    "distilbert": Layout(
        prefix="distilbert.",
        masked_lm=("vocab_transform", "vocab_layer_norm", "vocab_projector.bias"),
        layer="transformer.layer.{}.",
        block={
            "qkv": ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
            "attention_output": "attention.out_lin",
            "attention_norm": "sa_layer_norm",
            "intermediate": "ffn.lin1",
            "output": "ffn.lin2",
            "output_norm": "output_layer_norm",
        },
        pooler="pre_classifier",
        classifier="classifier",
    ),
    "roberta": Layout(prefix="roberta.", masked_lm=("lm_head.dense", "lm_head.layer_norm", "lm_head.bias")),
    "electra": Layout(
        prefix="electra.",
        masked_lm=("generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head.bias"),
    ),
    "mpnet": Layout(
        prefix="mpnet.",
        masked_lm=("lm_head.dense", "lm_head.layer_norm", "lm_head.bias"),
        block=BERT_BLOCK
        | {
            "qkv": ["attention.attn.q", "attention.attn.k", "attention.attn.v"],
            "attention_output": "attention.attn.o",
            "attention_norm": "attention.LayerNorm",
        },
    ),
    "albert": Layout(
        prefix="albert.",
        masked_lm=("predictions.dense", "predictions.LayerNorm", "predictions.bias"),
        layer="encoder.albert_layer_groups.0.albert_layers.0.",
        block={
            "qkv": ["attention.query", "attention.key", "attention.value"],
            "attention_output": "attention.dense",
            "attention_norm": "attention.LayerNorm",
            "intermediate": "ffn",
            "output": "ffn_output",
            "output_norm": "full_layer_layer_norm",
        },
        project="encoder.embedding_hidden_mapping_in",
        pooler="albert.pooler",
        classifier="classifier",
    ),
}
LAYOUTS |= dict.fromkeys(ROBERTAS, LAYOUTS["roberta"])
# in checkpoints of the encoder's pre-training or of another task, and of no use to the model at hand
LEFT_ASIDE = (
    r"^(cls\.|vocab_|mlm___|nsp___|lm_head\.|predictions\.|sop_classifier|discriminator_|generator_|qa_outputs|"
    r"pooler|pre_classifier|classifier|embeddings\.position_ids|output_weights$|bias$)"
)


# {name: array} <-> Keras variables


def entries(model):
    """Yields (variable, names, is_kernel) for every variable of a SequenceClassifier or MaskedLanguageModel.

    A variable with several names is their concatenation along its last axis; a kernel, (in, out) in Keras,
    is transposed in the files.
    """
    layout, encoder = LAYOUTS[model.config.model_type], model.encoder

    def dense(layer, *names):
        yield layer.kernel, [f"{name}.weight" for name in names], True
        yield layer.bias, [f"{name}.bias" for name in names], False

    def norm(layer, name):
        yield layer.gamma, [f"{name}.weight"], False
        yield layer.beta, [f"{name}.bias"], False

    for table in ("word", "token_type", "position"):
        if table != "token_type" or model.config.type_vocab_size:
            yield getattr(encoder.embeddings, table), [f"{layout.prefix}{EMBEDDINGS[table]}.weight"], False
    yield from norm(encoder.embeddings.norm, layout.prefix + EMBEDDINGS["norm"])
    if encoder.embeddings.project:
        yield from dense(encoder.embeddings.project, layout.prefix + layout.project)
    if encoder.position_bias:
        yield encoder.position_bias.table, [f"{layout.prefix}{layout.position_bias}.weight"], False
    for number, block in enumerate(encoder.blocks):
        start, names = layout.prefix + layout.layer.format(number), layout.block
        yield from dense(block.attention.qkv, *(start + part for part in names["qkv"]))
        yield from dense(block.attention.output_dense, start + names["attention_output"])
        yield from norm(block.attention_norm, start + names["attention_norm"])
        yield from dense(block.intermediate, start + names["intermediate"])
        yield from dense(block.output_dense, start + names["output"])
        yield from norm(block.output_norm, start + names["output_norm"])
    if hasattr(model, "transform"):
        dense_name, norm_name, bias_name = layout.masked_lm
        yield from dense(model.transform, dense_name)
        yield from norm(model.norm, norm_name)
        yield model.bias, [bias_name], False
        return
    if model.pooler:
        yield from dense(model.pooler, layout.pooler)
    yield from dense(model.classifier, layout.classifier)


def get_weights(model):
    """{PyTorch name: float32 array} of a model."""
    weights = {}
    for variable, names, is_kernel in entries(model):
        for name, part in zip(names, np.split(np.asarray(variable), len(names), axis=-1)):
            weights[name] = part.T if is_kernel else part
    return weights


def encoder_shapes(config):
    """{PyTorch name: shape} of the encoder that a ModelConfig describes, without the pooler."""
    layout, hidden, inner = LAYOUTS[config.model_type], config.hidden_size, config.intermediate_size
    width, shapes = config.embedding_size or hidden, {}

    def dense(name, inputs, outputs):
        shapes.update({f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)})

    def norm(name, size):
        shapes.update({f"{name}.weight": (size,), f"{name}.bias": (size,)})

    rows = {"word": config.vocab_size, "token_type": config.type_vocab_size, "position": config.max_position_embeddings}
    for table, number in rows.items():
        if number:
            shapes[f"{layout.prefix}{EMBEDDINGS[table]}.weight"] = (number, width)
    norm(layout.prefix + EMBEDDINGS["norm"], width)
    if config.embedding_size:
        dense(layout.prefix + layout.project, width, hidden)
    if config.relative_attention_num_buckets:
        table = (config.relative_attention_num_buckets, config.num_attention_heads)
        shapes[f"{layout.prefix}{layout.position_bias}.weight"] = table
    for number in range(1 if config.share_layers else config.num_hidden_layers):
        start, names = layout.prefix + layout.layer.format(number), layout.block
        for part in (*names["qkv"], names["attention_output"]):
            dense(start + part, hidden, hidden)
        dense(start + names["intermediate"], hidden, inner)
        dense(start + names["output"], inner, hidden)
        norm(start + names["attention_norm"], hidden)
        norm(start + names["output_norm"], hidden)
    return shapes


def check_encoder(config, stored, new_tokens=0):
    """Raises UserError where StoredWeights lack a weight of the encoder, or have it in another shape.

    new_tokens: how many of the last rows of the word embeddings they need not have. Names may lack the prefix.
    """
    prefix = LAYOUTS[config.model_type].prefix
    found = {name.removeprefix(prefix): shape for name, shape in stored.shapes.items()}
    word = f"{prefix}{EMBEDDINGS['word']}.weight"
    for name, shape in encoder_shapes(config).items():
        if name == word:
            shape = (shape[0] - new_tokens, shape[1])
        there = found.get(name.removeprefix(prefix))
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
    prefix = layout.prefix
    called = {name.removeprefix(prefix): name for name in stored.shapes}
    over_vocabulary = (f"{prefix}{EMBEDDINGS['word']}.weight", layout.masked_lm[2])
    new = []
    for variable, names, is_kernel in entries(model):
        known = [called.get(name.removeprefix(prefix)) for name in names]
        kept = new_tokens if names[0] in over_vocabulary else 0
        for name, there in zip(names, known):
            shape = (variable.shape[0] - kept, *variable.shape[1:])
            shape = (*shape[:-1], shape[-1] // len(names))
            shape = shape[::-1] if is_kernel else shape
            if there is not None and stored.shapes[there] != shape:
                if not name.startswith(layout.classifier):
                    found = stored.shapes[there]
                    raise UserError(f"{stored.path}: {name} has shape {found}, config.json asks for {shape}")
                there = None
            if there is None:
                new.append(name)
        if not set(names) & set(new):
            values = [stored.read(each) for each in known]
            value = np.concatenate([each.T if is_kernel else each for each in values], axis=-1)
            variable.assign(np.concatenate([value, np.asarray(variable)[len(value) :]]) if kept else value)
    return new
