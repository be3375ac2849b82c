"""How PyTorch, transformers 4's TensorFlow classes and google-research/bert name the same weight.

bert.encoder.layer.0.output.dense.weight, (out, in), is bert/encoder/layer_._0/output/dense/kernel:0, (in, out), in
TensorFlow's files, and bert/encoder/layer_0/output/dense/kernel in a checkpoint of google-research/bert.
"""

import re

# model_type -> the start of transformers' class names
CLASSES = {"bert": "Bert", "distilbert": "DistilBert", "roberta": "Roberta", "electra": "Electra", "mpnet": "MPNet",
           "albert": "Albert", "xlm-roberta": "XLMRoberta", "camembert": "Camembert", "deberta-v2": "DebertaV2",
           "modernbert": "ModernBert", "data2vec-text": "Data2VecText", "nomic_bert": "NomicBert",
           "gte": "Gte"}  # fmt: skip
ROBERTAS = ("roberta", "xlm-roberta", "camembert", "data2vec-text")  # the same but for their names

WITHOUT_TENSORFLOW = ("modernbert", "data2vec-text", "nomic_bert", "gte")  # in transformers 4
HEADS = ("Model", "ForMaskedLM", "ForSequenceClassification")  # the ends of their names


def class_names(head):
    """{model_type: the name of transformers 4's TensorFlow class with that head}, such as TFBertForMaskedLM."""
    return {kind: f"TF{start}{head}" for kind, start in CLASSES.items() if kind not in WITHOUT_TENSORFLOW}


def tensorflow_path(name):
    """A PyTorch name as transformers 4's TensorFlow classes write it, such as bert/.../query/kernel:0."""
    *parts, kind = name.split(".")
    if parts[-1] == "rel_embeddings":
        return "/".join(parts) + ".weight:0"
    if re.search(r"norm\d?$|_ln$", parts[-1].lower()):
        kind = {"weight": "gamma", "bias": "beta"}[kind]
    elif kind == "weight":
        kind = {
            "word_embeddings": "weight",
            "tok_embeddings": "weight",
            "position_embeddings": "embeddings",
            "token_type_embeddings": "embeddings",
            "relative_attention_bias": "embeddings",
        }.get(parts[-1], "kernel")
    return re.sub(r"/(layer|albert_layer_groups|albert_layers)/(?=\d)", r"/\1_._", "/".join(parts)) + f"/{kind}:0"


def pytorch_name(path):
    """The inverse of tensorflow_path, and whether the array is a kernel, which the file holds transposed.

    path may begin with the names of Keras's layer and model: bert/tf_bert_for_masked_lm/bert/...; the names of
    google-research/bert are understood too.
    """
    parts = path.removesuffix(":0").split("/")
    for place, part in enumerate(parts[:2]):
        if part.startswith(("tf_", "tfmp_net_", "tfxlm_")):
            parts = parts[place + 1 :]
            break
    else:
        parts = parts[2:] if parts[0] in parts[2:3] else parts  # a class of another name
    name = re.sub(r"[^/]*___", "", "/".join(parts)).replace("_._", "/")  # mlm___cls is PyTorch's cls
    name = name.replace("predictions/decoder/bias", "predictions/bias")  # of ALBERT's two, the one that counts
    name = re.sub(r"_embeddings$", "_embeddings/weight", re.sub(r"\blayer_(?=\d)", "layer/", name))
    *parts, kind = name.split("/")
    kinds = {"kernel": "weight", "gamma": "weight", "embeddings": "weight", "beta": "bias", "output_bias": "bias"}
    return ".".join([*parts, kinds.get(kind, kind)]), kind == "kernel"


def normalised(name):
    """A PyTorch name without TensorFlow's words for LayerNorm, which the oldest checkpoints have.

    The head of pre-training in Microsoft's DeBERTa-v3 gets the names that transformers gives it.
    """
    name = name.replace("lm_predictions.lm_head.bias", "cls.predictions.bias")
    name = name.replace("lm_predictions.lm_head.", "cls.predictions.transform.")
    return re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))


def snake_case(name):
    """A class name as Keras names its instances: TFMPNetForX -> tfmp_net_for_x."""
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()
