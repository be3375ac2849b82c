"""config.json <-> ModelConfig: the sizes and labels of a model, under the names that Hugging Face gives them."""

from dataclasses import dataclass, field

from tfbert.common.errors import must
from tfbert.data.tasks import MULTI_LABEL, SINGLE_LABEL
from tfbert.model.config_files import read_config
from tfbert.model.distances import DISTANCES
from tfbert.model.model_types import CONFIG_NAMES, CONSTANTS, DEFAULTS
from tfbert.model.text_settings import reading_config
from tfbert.model.weight_names import CLASSES, ROBERTAS


@dataclass
class ModelConfig:
    """Everything that the architecture depends on, under BERT's names."""

    model_type: str = "bert"
    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    classifier_dropout: float = 0.1
    embedding_size: int | None = None  # where it is not hidden_size (ELECTRA, ALBERT)
    max_position_embeddings: int = 512
    absolute_positions: bool = True  # a vector for each place (all but DeBERTa and those with rotations)
    position_offset: int = 0  # positions that no token has (RoBERTa, MPNet)
    relative_attention_num_buckets: int = 0  # a bias for each distance (MPNet)
    disentangled: bool = False  # a vector for each distance (DeBERTa, and the next three)
    position_buckets: int = 0  # for near and, in steps that grow, far distances; 0: each has its own
    max_relative_positions: int = 0
    relative_norm: bool = False
    share_layers: bool = False  # one block for all layers (ALBERT)
    rope_theta: float = 0.0  # rotations, and how far apart the slowest tell places (ModernBERT, Nomic, GTE)
    rope_factor: float = 1.0  # how much slower all of them are (GTE)
    layer_types: list[str] = field(default_factory=list)  # full_attention or sliding_attention, of each (ModernBERT)
    local_attention: int = 0  # tokens that the latter sees, half to each side
    local_rope_theta: float = 0.0
    pre_norm: bool = False  # LayerNorm before each part, not after it (ModernBERT)
    gate: str = ""  # of the feed-forward's inner vector, the half that gates the other: "first" or "last"
    inner_dropout: bool = False  # of that vector
    without_bias: list[str] = field(default_factory=list)  # the names of layers
    type_vocab_size: int = 2  # 0: no type embeddings (DistilBERT, MPNet)
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02
    pooling: str = "pooler"  # what is classified: "pooler", of the first token; "first", as it is; "mean", of all
    pooler_act: str = "tanh"
    dropout_before_pooler: bool = False  # and after it (RoBERTa, ELECTRA, MPNet)
    pooler_with_norm: bool = False  # a pooler that ends in LayerNorm, and pools means too (ModernBERT)
    pad_token_id: int = 0
    problem_type: str = SINGLE_LABEL
    id2label: dict[int, str] = field(default_factory=lambda: {0: "LABEL_0", 1: "LABEL_1"})

    @property
    def num_labels(self):
        return len(self.id2label)

    @property
    def label2id(self):
        return {label: number for number, label in self.id2label.items()}

    @property
    def max_length(self):
        """Tokens that the model can read."""
        return self.max_position_embeddings - self.position_offset

    @property
    def head_is_transformers(self):
        """Whether transformers' own classes have such a head."""
        return self.pooling == "pooler" or self.pooler_with_norm

    def has_bias(self, layer):
        """Whether a layer of this name, or path, has one; "norm" stands for every LayerNorm."""
        return layer.split(".")[-1].removesuffix("_dense") not in self.without_bias

    @property
    def relative_shape(self):
        """Of the table that distances have, or None."""
        if self.disentangled:
            return 2 * (self.position_buckets or self.max_relative_positions), self.hidden_size
        buckets = self.relative_attention_num_buckets
        return (buckets, self.num_attention_heads) if buckets else None


ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish", "tanh")

# of ModelConfig's names, those that no config.json has
OWN_NAMES = {"position_offset", "share_layers", "pooling", "pooler_act", "dropout_before_pooler", "absolute_positions",
             "disentangled", "position_buckets", "max_relative_positions", "relative_norm", "pre_norm", "layer_types",
             "rope_theta", "rope_factor", "local_rope_theta", "gate", "inner_dropout", "without_bias",
             "pooler_with_norm"}  # fmt: skip
SIZES = {"vocab_size": 10_000_000, "hidden_size": 65_536, "num_hidden_layers": 1_000, "num_attention_heads": 65_536,
         "intermediate_size": 1_000_000, "max_position_embeddings": 100_000, "type_vocab_size": 10_000,
         "pad_token_id": 10_000_000, "embedding_size": 65_536,
         "relative_attention_num_buckets": 1_000, "local_attention": 100_000}  # fmt: skip  # and the most that is read
RELATIVE_POSITIONS = 4_096  # the most with a bias for each distance, which takes memory by the square
SHARES = {"hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "layer_norm_eps",
          "initializer_range"}  # fmt: skip


def read_encoder_config(folder):
    """As read_config, without what is a classifier's: its head is not used."""
    return encoder_config(read_config(folder))


def encoder_config(config):
    of_classifier = ("id2label", "label2id", "num_labels", "problem_type", "tfbert")
    return {name: value for name, value in config.items() if name not in of_classifier}


def model_config(config, source="config.json"):
    """The ModelConfig of a config.json dict. Raises UserError where it asks for what modeling.py does not build."""
    kind = config["model_type"]
    names = {name: name for name in ModelConfig.__dataclass_fields__ if name not in OWN_NAMES}
    names |= CONFIG_NAMES.get(kind, {})
    values = {name: config[called] for name, called in names.items() if config.get(called) is not None}
    values = DEFAULTS.get(kind, {}) | values
    values.setdefault("classifier_dropout", values.get("hidden_dropout_prob", 0.1))
    for name, value in values.items():
        said = f"{source}: {names[name]} is {value!r}, not a"
        if name in SIZES:
            least = 0 if name in ("type_vocab_size", "pad_token_id") else 1
            must(
                type(value) is int and least <= value <= SIZES[name],
                f"{said} whole number from {least} to {SIZES[name]:,}",
            )
        elif name in SHARES:
            must(type(value) in (int, float) and 0 <= value < 1, f"{said} number from 0 to 1")
            values[name] = float(value)
    values["id2label"] = labels_of(values.pop("id2label", None), config, source)
    values |= CONSTANTS[kind]
    if kind in ROBERTAS:
        values["position_offset"] = values["pad_token_id"] + 1
    if kind in DISTANCES:
        values |= DISTANCES[kind](config, values, source)
    if kind == "electra" and values["embedding_size"] == values["hidden_size"]:
        values["embedding_size"] = None
    values["pooling"] = reading_config(config, source)["pooling"]
    result = ModelConfig(**values)
    check(result, config, source)
    return result


def labels_of(id2label, config, source):
    """{number: name} of a config.json dict, whose id2label may be missing."""
    if not id2label:
        count = config.get("num_labels") or 2
        must(type(count) is int and 1 <= count <= 100_000, f"{source}: num_labels is {count!r}")
        return {number: f"LABEL_{number}" for number in range(count)}
    must(
        isinstance(id2label, dict) and sorted(map(str, id2label)) == sorted(map(str, range(len(id2label)))),
        f"{source}: id2label must name the labels 0, 1, ...",
    )
    names = {int(number): str(id2label[number]) for number in sorted(id2label, key=int)}
    must(len(set(names.values())) == len(names), f"{source}: id2label gives two labels the same name: rename one")
    return names


def check(result, config, source):
    """Raises UserError where a ModelConfig cannot be built; config: the config.json dict that it was made of."""
    rules = {
        f"{result.max_position_embeddings} positions are too few for a pad_token_id of {result.pad_token_id}": (
            result.max_length > 2
        ),
        f"pad_token_id is {result.pad_token_id}, but vocab_size {result.vocab_size}": (
            result.pad_token_id < result.vocab_size
        ),
        f"{result.max_position_embeddings} positions, but relative ones allow {RELATIVE_POSITIONS:,} at most": (
            not result.relative_attention_num_buckets or result.max_position_embeddings <= RELATIVE_POSITIONS
        ),
        f"activation {result.hidden_act} is not one of {', '.join(ACTIVATIONS)}": result.hidden_act in ACTIVATIONS,
        f"the pooler's {result.pooler_act} is not one of {', '.join(ACTIVATIONS)}": result.pooler_act in ACTIVATIONS,
        f"problem_type {result.problem_type} is not {SINGLE_LABEL} or {MULTI_LABEL}": (
            result.problem_type in (SINGLE_LABEL, MULTI_LABEL)
        ),
        "one label only; a classifier needs two": result.problem_type == MULTI_LABEL or result.num_labels > 1,
        "auto_map asks for code that comes with the folder, which is not run: the model may be another than its "
        "model_type says": not any("Model" in str(name) for name in config.get("auto_map") or ()),
        "relative positions and decoders are not supported": (
            config.get("position_embedding_type", "absolute") == "absolute" and not config.get("is_decoder")
        ),
        "more than one group of layers (num_hidden_groups, inner_group_num) is not supported": (
            config.get("num_hidden_groups", 1) == config.get("inner_group_num", 1) == 1
        ),
        f"{result.hidden_size} dimensions do not divide by {result.num_attention_heads} heads": (
            result.hidden_size % result.num_attention_heads == 0
        ),
    }
    for rule, holds in rules.items():
        must(holds, f"{source}: {rule}")


def classifier_config(config, label_names, problem_type, settings=None, pair=False):
    """A copy of a config.json dict, for a classifier with these labels.

    settings: of the training; its dropouts replace the encoder's, and "tfbert" says how texts are cut and pooled;
    without them these stay as they are.
    pair: whether it labels pairs of texts.
    """
    config = {name: value for name, value in config.items() if name not in ("_name_or_path", "torch_dtype", "dtype")}
    config |= {
        "architectures": [CLASSES[config["model_type"]] + "ForSequenceClassification"],
        "id2label": dict(enumerate(label_names)),
        "label2id": {label: number for number, label in enumerate(label_names)},
        "problem_type": problem_type,
    }
    if settings:
        config = with_dropout(config, settings)
        if config["model_type"] == "modernbert":
            config["classifier_pooling"] = "mean" if settings.pooling == "mean" else "cls"
        config["tfbert"] = {"max_seq_length": settings.max_seq_length, "truncation": settings.truncation,
                            "head_share": settings.head_share, "long_texts": settings.long_texts,
                            "pooling": settings.pooling}  # fmt: skip
        if pair:
            config["tfbert"]["pair"] = True
    elif "tfbert" in config:
        of_old_labels = ("temperature", "thresholds", "example")
        config["tfbert"] = {name: value for name, value in config["tfbert"].items() if name not in of_old_labels}
    return config


def masked_lm_config(config):
    """A copy of an encoder's config.json dict, for masked language modelling."""
    own = {"legacy": True} if config["model_type"] == "deberta-v2" else {}  # the names of its head
    return (
        config | own | {"architectures": [CLASSES[config["model_type"]] + "ForMaskedLM"], "tie_word_embeddings": True}
    )


def with_dropout(config, settings):
    """A copy of a config.json dict with the dropouts of the settings, where they say one."""
    names = CONFIG_NAMES.get(config["model_type"], {})
    dropouts = {"attention_probs_dropout_prob": settings.attention_dropout}
    if settings.hidden_dropout is not None:
        dropouts["hidden_dropout_prob"] = settings.hidden_dropout
    return config | {names.get(name, name): value for name, value in dropouts.items()}
