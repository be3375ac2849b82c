"""What the types of encoders have of their own in config.json, and without it."""

from tfbert.model.weight_names import ROBERTAS

# model_type -> how config.json calls what ModelConfig calls otherwise
CONFIG_NAMES = {
    "distilbert": {
        "hidden_size": "dim",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "intermediate_size": "hidden_dim",
        "hidden_act": "activation",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "attention_dropout",
        "classifier_dropout": "seq_classif_dropout",
    },
    "albert": {"classifier_dropout": "classifier_dropout_prob"},
    "deberta-v2": {"classifier_dropout": "cls_dropout", "pooler_act": "pooler_hidden_act"},
    "modernbert": {
        "hidden_act": "hidden_activation",
        "hidden_dropout_prob": "mlp_dropout",
        "attention_probs_dropout_prob": "attention_dropout",
        "layer_norm_eps": "norm_eps",
        "pooler_act": "classifier_activation",
    },
}
# model_type -> what transformers takes where config.json is silent, and what its classes do whatever it says
DEFAULTS = {
    "distilbert": {"classifier_dropout": 0.2},
    **dict.fromkeys(ROBERTAS, {"vocab_size": 50265, "pad_token_id": 1}),
    "electra": {"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024, "embedding_size": 128},
    "mpnet": {"vocab_size": 30527, "pad_token_id": 1, "relative_attention_num_buckets": 32},
    "albert": {"vocab_size": 30000, "embedding_size": 128, "hidden_size": 4096, "num_attention_heads": 64,
               "intermediate_size": 16384, "hidden_act": "gelu_new", "hidden_dropout_prob": 0.0,
               "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.1},
    "deberta-v2": {"vocab_size": 128100, "hidden_size": 1536, "num_hidden_layers": 24, "num_attention_heads": 24,
                   "intermediate_size": 6144, "type_vocab_size": 0, "layer_norm_eps": 1e-7, "pooler_act": "gelu"},
    "modernbert": {"vocab_size": 50368, "num_hidden_layers": 22, "intermediate_size": 1152,
                   "max_position_embeddings": 8192, "layer_norm_eps": 1e-5, "pad_token_id": 50283,
                   "pooler_act": "gelu", "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
                   "local_attention": 128},
    "nomic_bert": {"vocab_size": 30528, "hidden_act": "silu", "hidden_dropout_prob": 0.0,
                   "attention_probs_dropout_prob": 0.0, "max_position_embeddings": 2048},
    "gte": {"vocab_size": 250048, "attention_probs_dropout_prob": 0.0, "max_position_embeddings": 8192,
            "type_vocab_size": 1, "pad_token_id": 1},
}  # fmt: skip
MATRICES = ["qkv", "output", "intermediate"]  # of a block
CONSTANTS = {
    "bert": {"embedding_size": None},
    "distilbert": {"embedding_size": None, "pooler_act": "relu", "type_vocab_size": 0, "layer_norm_eps": 1e-12},
    **dict.fromkeys(ROBERTAS, {"embedding_size": None, "dropout_before_pooler": True}),
    "electra": {"pooler_act": "gelu", "dropout_before_pooler": True},
    "mpnet": {"embedding_size": None, "position_offset": 2, "dropout_before_pooler": True, "type_vocab_size": 0},
    "albert": {"share_layers": True},
    "deberta-v2": {"embedding_size": None, "disentangled": True},
    "modernbert": {
        "embedding_size": None,
        "absolute_positions": False,
        "type_vocab_size": 0,
        "pre_norm": True,
        "gate": "first",
        "inner_dropout": True,
        "without_bias": [*MATRICES, "norm", "pooler", "transform"],
        "pooler_with_norm": True,
    },
    "nomic_bert": {"embedding_size": None, "absolute_positions": False, "gate": "last", "without_bias": MATRICES},
    "gte": {
        "embedding_size": None,
        "absolute_positions": False,
        "gate": "last",
        "inner_dropout": True,
        "without_bias": ["intermediate"],
    },
}
