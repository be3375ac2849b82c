"""Whole models in Hugging Face folders: config.json, weights and tokenizer, loaded and saved."""

import re
from pathlib import Path

from tfbert.common.errors import UserError
from tfbert.common.files import write_json
from tfbert.model.configs import model_config, read_config, read_encoder_config
from tfbert.model.layouts import LAYOUTS, LEFT_ASIDE
from tfbert.model.vocabulary import save_tokenizer
from tfbert.model.weight_files import open_weights, write_h5, write_safetensors
from tfbert.model.weights import check_encoder, parts, set_weights

SAVED_TOKENIZER = {"vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                   "added_tokens.json"}  # fmt: skip
# what train.py leaves in its output folder, and pretrain.py in its; anything else there is the user's and is kept
OUTPUT_FILES = {"tf_model.h5", "config.json", "pytorch", "onnx", "metrics.json", "README.md", "history.csv",
                "history.json", "suspects.csv", "predictions.csv"} | SAVED_TOKENIZER  # fmt: skip
ENCODER_FILES = {"config.json", "model.safetensors", "pretraining.json", "history.json",
                 "history.csv"} | SAVED_TOKENIZER  # fmt: skip


def load_classifier(folder, config=None, policy="float32"):
    """A SequenceClassifier with the weights in `folder`, and one line on what is new and what was left aside.

    config: a config.json dict to use in place of the folder's, such as one with other labels, or with a larger
    vocab_size, whose last embeddings are then new. policy: a Keras dtype policy. Raises UserError as its parts do.
    """
    from tfbert.model.modeling import SequenceClassifier

    return load_model(SequenceClassifier, folder, config or read_config(folder), policy)


def load_trained(folder, policy="float32"):
    """As load_classifier, of a model that train.py wrote. Raises UserError where the folder holds no classifier."""
    model, line = load_classifier(folder, policy=policy)
    if "new:" in line:
        raise UserError(f"{folder} holds an encoder, but no classifier: python train.py --model_name_or_path {folder}")
    return model


def load_model(model_class, folder, config, policy):
    """As load_classifier, for a SequenceClassifier or a MaskedLanguageModel; made once the shapes are right."""
    sizes = model_config(config, folder)
    new_tokens = max(sizes.vocab_size - model_config(read_encoder_config(folder), folder).vocab_size, 0)
    with open_weights(folder) as stored:
        check_encoder(sizes, stored, new_tokens)
        model = new_model(model_class, config, policy, folder)
        new = set_weights(model, stored, new_tokens)
    return model, in_words(model, stored, new, new_tokens)


def in_words(model, stored, new, new_tokens):
    """One line on the weights of a model: what is new and what was left aside."""
    bare = LAYOUTS[model.config.model_type].bare
    used = {bare(name) for part in parts(model) for name in part.names}
    unused = {bare(name) for name in stored.shapes} - used
    aside = sorted({name.split(".")[0] for name in unused if re.match(LEFT_ASIDE, name)} - {"embeddings"})
    strange = sorted(name for name in unused if not re.match(LEFT_ASIDE, name))
    if any(re.search(r"\d", name) for name in strange):
        raise UserError(f"{stored.path}: weights that config.json does not ask for, such as {strange[0]}")
    lines = [f"{len(used) - len(new)} arrays of weights from {stored.path.name}"]
    fresh = [f"{new_tokens} rows of the word embeddings"] * bool(new_tokens)
    fresh += dict.fromkeys(name.rsplit(".", 1)[0] for name in new)
    if fresh:
        lines.append("new: " + ", ".join(fresh))
    if aside + strange:
        lines.append("left aside: " + ", ".join(aside + strange))
    return "; ".join(lines)


def new_classifier(config, policy="float32", source="config.json"):
    """A SequenceClassifier with random weights from a config.json dict."""
    from tfbert.model.modeling import SequenceClassifier

    return new_model(SequenceClassifier, config, policy, source)


def new_model(model_class, config, policy, source):
    import keras

    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)  # every layer inside takes the policy that stands when it is made
    try:
        model = model_class(model_config(config, source))
        model.build()
    finally:
        keras.config.set_dtype_policy(previous)
    return model


def save_classifier(folder, weights, config, tokenizer):
    """Writes a model as users of transformers know it into an existing folder.

    tf_model.h5, config.json and the tokenizer for transformers 4 with TensorFlow; pytorch/ with
    model.safetensors for transformers 5, apart because transformers 4 would choose it and fail.
    weights: {PyTorch name: array}; config: config.json's dict; tokenizer: a transformers tokenizer.
    """
    pytorch = Path(folder, "pytorch")
    pytorch.mkdir()
    write_h5(weights, Path(folder, "tf_model.h5"), config)
    write_safetensors(weights, pytorch / "model.safetensors")
    for place in (folder, pytorch):
        write_json(Path(place, "config.json"), config)
        save_tokenizer(tokenizer, place)


def save_encoder(folder, weights, config, tokenizer):
    """Writes what --model_name_or_path takes, and transformers' AutoModelForMaskedLM with PyTorch."""
    write_safetensors(weights, Path(folder, "model.safetensors"))
    write_json(Path(folder, "config.json"), config)
    save_tokenizer(tokenizer, folder)
