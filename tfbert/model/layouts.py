"""How each architecture calls its parts, in the names of PyTorch transformers."""

from dataclasses import dataclass, field, replace

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
    "intermediate": ["intermediate.dense"],
    "output": "output.dense",
    "output_norm": "output.LayerNorm",
}
BERT_HEAD = "cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias"
ROBERTA_HEAD = "lm_head.dense", "lm_head.layer_norm", "lm_head.bias"


@dataclass(frozen=True)
class Layout:
    """The PyTorch names of an architecture's parts. Those of the encoder begin with `prefix`; {} is the layer's number.

    old_prefix: what they began with in files of older code. Names in lists: matrices that are one here, side by side.
    masked_lm: dense layer, LayerNorm and bias of the head that pre-training has. own_pooler: of the encoder itself,
    after the prefix, where it has one; pooler: of a classifier.
    """

    prefix: str
    masked_lm: tuple
    old_prefix: str = ""
    embeddings: dict = field(default_factory=lambda: EMBEDDINGS)
    layer: str = "encoder.layer.{}."
    block: dict = field(default_factory=lambda: BERT_BLOCK)
    project: str = "embeddings_project"
    relative: str = "encoder.relative_attention_bias"
    relative_norm: str = "encoder.LayerNorm"
    last_norm: str = "final_norm"
    own_pooler: str = ""
    pooler: str = "classifier.dense"
    pooler_norm: str = "head.norm"
    classifier: str = "classifier.out_proj"

    def bare(self, name):
        """The name of a weight without the prefix, which not every file has."""
        return name.removeprefix(self.old_prefix).removeprefix(self.prefix)


LAYOUTS = {
    "bert": Layout(
        prefix="bert.",
        masked_lm=BERT_HEAD,
        own_pooler="pooler.dense",
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
            "intermediate": ["ffn.lin1"],
            "output": "ffn.lin2",
            "output_norm": "output_layer_norm",
        },
        pooler="pre_classifier",
        classifier="classifier",
    ),
    "roberta": Layout("roberta.", ROBERTA_HEAD, own_pooler="pooler.dense"),
    "electra": Layout(
        prefix="electra.",
        masked_lm=("generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head.bias"),
    ),
    "mpnet": Layout(
        prefix="mpnet.",
        masked_lm=ROBERTA_HEAD,
        block=BERT_BLOCK
        | {
            "qkv": ["attention.attn.q", "attention.attn.k", "attention.attn.v"],
            "attention_output": "attention.attn.o",
            "attention_norm": "attention.LayerNorm",
        },
        own_pooler="pooler.dense",
    ),
    "albert": Layout(
        prefix="albert.",
        masked_lm=("predictions.dense", "predictions.LayerNorm", "predictions.bias"),
        layer="encoder.albert_layer_groups.0.albert_layers.0.",
        block={
            "qkv": ["attention.query", "attention.key", "attention.value"],
            "attention_output": "attention.dense",
            "attention_norm": "attention.LayerNorm",
            "intermediate": ["ffn"],
            "output": "ffn_output",
            "output_norm": "full_layer_layer_norm",
        },
        project="encoder.embedding_hidden_mapping_in",
        own_pooler="pooler",
        pooler="albert.pooler",
        classifier="classifier",
    ),
    "deberta-v2": Layout(
        prefix="deberta.",
        masked_lm=BERT_HEAD,
        block=BERT_BLOCK
        | {"qkv": ["attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj"]},
        relative="encoder.rel_embeddings",
        pooler="pooler.dense",
        classifier="classifier",
    ),
    "modernbert": Layout(
        prefix="model.",
        masked_lm=("head.dense", "head.norm", "decoder.bias"),
        embeddings={"word": "embeddings.tok_embeddings", "norm": "embeddings.norm"},
        layer="layers.{}.",
        block={
            "qkv": ["attn.Wqkv"],
            "attention_output": "attn.Wo",
            "attention_norm": "attn_norm",
            "intermediate": ["mlp.Wi"],
            "output": "mlp.Wo",
            "output_norm": "mlp_norm",
        },
        pooler="head.dense",
        classifier="classifier",
    ),
    "nomic_bert": Layout(
        prefix="nomic_bert.",
        masked_lm=("cls.predictions.transform.dense", "cls.predictions.transform.layer_norm", "cls.predictions.bias"),
        old_prefix="bert.",
        embeddings=EMBEDDINGS | {"norm": "emb_ln"},
        layer="encoder.layers.{}.",
        block={
            "qkv": ["attn.Wqkv"],
            "attention_output": "attn.out_proj",
            "attention_norm": "norm1",
            "intermediate": ["mlp.fc11", "mlp.fc12"],
            "output": "mlp.fc2",
            "output_norm": "norm2",
        },
        pooler="nomic_bert.pooler.dense",
        classifier="classifier",
    ),
    "gte": Layout(
        prefix="gte.",
        masked_lm=("lm_head.dense", "lm_head.norm", "lm_head.decoder.bias"),
        old_prefix="new.",
        block={
            "qkv": ["attention.qkv_proj"],
            "attention_output": "attention.o_proj",
            "attention_norm": "attn_ln",
            "intermediate": ["mlp.up_gate_proj"],
            "output": "mlp.down_proj",
            "output_norm": "mlp_ln",
        },
        pooler="gte.pooler.dense",
        classifier="classifier",
    ),
}
LAYOUTS |= dict.fromkeys(ROBERTAS, LAYOUTS["roberta"])
LAYOUTS["data2vec-text"] = replace(LAYOUTS["roberta"], prefix="data2vec_text.")
# in checkpoints of the encoder's pre-training or of another task, and of no use to the model at hand
LEFT_ASIDE = (
    r"^(cls\.|vocab_|mlm___|nsp___|lm_head\.|predictions\.|lm_predictions|mask_predictions|sop_classifier|"
    r"discriminator_|generator_|qa_outputs|head\.|decoder\.|pooler|pre_classifier|classifier|"
    r"embeddings\.position_ids|output_weights$|bias$)"
)
