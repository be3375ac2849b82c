"""Whole models in Hugging Face folders: config.json, weights and tokenizer, loaded and saved."""

import re
from pathlib import Path

from tokenizers.models import WordPiece

from tfbert.common.errors import UserError
from tfbert.common.files import write_json
from tfbert.data.sources import VOCABULARIES
from tfbert.model.configs import model_config, read_config
from tfbert.model.weight_files import read_weights, write_h5, write_safetensors
from tfbert.model.weights import LAYOUTS, LEFT_ASIDE, entries, set_weights

SAVED_TOKENIZER = {"vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                   "added_tokens.json"}  # fmt: skip
# what train.py leaves in its output folder, and pretrain.py in its; anything else there is the user's and is kept
OUTPUT_FILES = {"tf_model.h5", "config.json", "pytorch", "onnx", "metrics.json", "README.md", "history.csv",
                "history.json"} | SAVED_TOKENIZER  # fmt: skip
ENCODER_FILES = {"config.json", "model.safetensors", "pretraining.json", "history.json",
                 "history.csv"} | SAVED_TOKENIZER  # fmt: skip


def load_classifier(folder, config=None, policy="float32"):
    """A SequenceClassifier with the weights in `folder`, and one line on what is new and what was left aside.

    config: a config.json dict to use in place of the folder's, such as one with other labels.
    policy: a Keras dtype policy. Raises UserError as the parts above do.
    """
    model = new_classifier(config or read_config(folder), policy, folder)
    return model, fill(model, folder)


def fill(model, folder):
    """Sets a model's weights to those in `folder`; returns one line on what is new and what was left aside."""
    weights, path = read_weights(folder)
    prefix = LAYOUTS[model.config.model_type].prefix
    new = set_weights(model, weights, path)
    used = {name.removeprefix(prefix) for _, names, _ in entries(model) for name in names}
    unused = {name.removeprefix(prefix) for name in weights} - used
    aside = sorted({name.split(".")[0] for name in unused if re.match(LEFT_ASIDE, name)} - {"embeddings"})
    strange = sorted(name for name in unused if not re.match(LEFT_ASIDE, name))
    if any(re.search(r"\d", name) for name in strange):
        raise UserError(f"{path}: weights that config.json does not ask for, such as {strange[0]}")
    parts = [f"{len(used) - len(new)} weights from {path.name}"]
    if new:
        parts.append("new: " + ", ".join(dict.fromkeys(name.rsplit(".", 1)[0] for name in new)))
    if aside + strange:
        parts.append("left aside: " + ", ".join(aside + strange))
    return "; ".join(parts)


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


def load_tokenizer(folder, max_seq_length, config):
    """The transformers tokenizer in `folder`, to be used and saved without the truncation of its former life.

    Raises UserError where there is none, or it has more entries than config.json's vocab_size.
    """
    import transformers

    if not any(Path(folder, name).exists() for name in VOCABULARIES):
        raise UserError(f"{folder} holds no tokenizer: neither tokenizer.json nor vocab.txt")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # the library raises what its parsers raise
        raise UserError(f"cannot read the tokenizer in {folder}: {error}") from error
    entries_of_model = model_config(config, folder).vocab_size
    if len(tokenizer) > entries_of_model:
        raise UserError(f"{folder}: {len(tokenizer)} tokens, but config.json has a vocab_size of {entries_of_model}")
    for leftover in ("max_length", "stride", "truncation_strategy", "pad_to_multiple_of", "pad_token_type_id"):
        tokenizer.init_kwargs.pop(leftover, None)
    tokenizer.model_max_length = max_seq_length
    return tokenizer


def save_tokenizer(tokenizer, folder):
    """tokenizer.json, tokenizer_config.json and, which transformers 5 no longer writes, BERT's vocab.txt."""
    tokenizer.save_pretrained(folder)
    if not isinstance(tokenizer.backend_tokenizer.model, WordPiece):
        return
    vocabulary = tokenizer.get_vocab()
    lines = sorted(vocabulary, key=vocabulary.get)
    Path(folder, "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
