"""The tokenizer in a model's folder: loaded, fitted to the embeddings, saved."""

from pathlib import Path

from tokenizers.models import WordPiece

from tfbert.common.console import hushed, note_once
from tfbert.common.errors import UserError
from tfbert.common.inputs import must_be_regular
from tfbert.data.sources import TOKENIZER_FILES, VOCABULARIES
from tfbert.data.tokenizing import highest_id, tokenizer_trouble
from tfbert.model.configs import model_config
from tfbert.model.remote_configs import WITH_CODE

LOWER_MODELS = ("uncased", "multilingual_", "chinese_")  # in names of google-research/bert's folders
MOST_NEW = 100_000  # tokens that were added to a tokenizer


def load_tokenizer(folder, max_seq_length, config, do_lower_case=None):
    """The transformers tokenizer in `folder`, to be used and saved without the truncation of its former life.

    config: config.json's dict. do_lower_case: "true" or "false", for a folder with nothing but vocab.txt to read.
    Raises UserError where there is none, or it is broken.
    """
    import transformers

    if not any(Path(folder, name).exists() for name in VOCABULARIES):
        raise UserError(f"{folder} holds no tokenizer: neither tokenizer.json nor vocab.txt")
    for name in TOKENIZER_FILES:
        must_be_regular(Path(folder, name))
    must_be_whole(folder)
    vocabulary = Path(folder, "vocab.txt")
    says = [name for name in ("tokenizer.json", "tokenizer_config.json") if Path(folder, name).exists()]
    if do_lower_case and (says or not vocabulary.exists()):
        raise UserError(f"--do_lower_case is for a folder with vocab.txt alone; in {folder}, {says[0]} says it")
    with tokenizer_trouble(folder), hushed():
        if says or not vocabulary.exists() or config["model_type"] not in ("bert", "electra", "distilbert"):
            kind, of_folder = config["model_type"], None  # which transformers reads by itself
            if kind in WITH_CODE:  # and may stumble over
                of_folder = transformers.CONFIG_MAPPING[kind].from_dict(config)
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, config=of_folder, trust_remote_code=False)
        else:
            lower = lower_cases(vocabulary, do_lower_case)
            tokenizer = transformers.BertTokenizerFast(str(vocabulary), do_lower_case=lower)
    for leftover in ("max_length", "stride", "truncation_strategy", "pad_to_multiple_of", "pad_token_type_id"):
        tokenizer.init_kwargs.pop(leftover, None)
    tokenizer.model_max_length = max_seq_length
    return tokenizer


def must_be_whole(folder):
    """Raises UserError for SentencePiece's file where it is damaged; transformers asks for tiktoken then, and of an
    empty one makes a tokenizer that knows no word.
    """
    for path in (Path(folder, name) for name in VOCABULARIES if name.endswith(".model")):
        if not path.exists() or Path(folder, "tokenizer.json").exists():
            continue
        from sentencepiece import SentencePieceProcessor

        content = path.read_bytes()
        try:
            with hushed():
                known = content and SentencePieceProcessor(model_proto=content).get_piece_size()
        except RuntimeError:
            known = 0
        if not known:
            raise UserError(f"{path} is damaged, or no file of SentencePiece's: take it from its source again")


def lower_cases(vocabulary, flag):
    """Whether texts are lower-cased where a vocab.txt stands alone; what was guessed is said."""
    lines = vocabulary.read_text(encoding="utf-8").splitlines()
    capitals = [line for line in lines if line != line.lower() and not line.startswith("[")]
    if flag:
        return flag == "true"
    if Path(vocabulary.parent, "config.json").exists():
        if capitals:
            file = vocabulary.with_name("tokenizer_config.json")
            note_once(
                f"{vocabulary} has {len(capitals):,} entries with capitals, such as {capitals[0]}, which no text "
                "reaches, as texts are lower-cased; where the model is a cased one: --do_lower_case false, or "
                f"""{{"do_lower_case": false}} in {file}"""
            )
        return True
    name = vocabulary.resolve().parent.name
    named = "cased" in name or any(part in name for part in LOWER_MODELS)
    lower = any(part in name for part in LOWER_MODELS) if named else not capitals
    why = (
        f"as its name, {name}, says"
        if named
        else f"as vocab.txt has {'words' if capitals else 'no words'} with capitals"
    )
    note_once(
        f"{vocabulary.parent} is read as {'an uncased' if lower else 'a cased'} model of google-research/bert, {why}; "
        f"--do_lower_case {'false' if lower else 'true'} reads it otherwise"
    )
    return lower


def fitted_config(config, tokenizer, folder):
    """A config.json dict with room for all of the tokenizer's entries; tokens that were added are said to be new.

    Raises UserError where tokenizer and embeddings are of different models.
    """
    rows = model_config(config, folder).vocab_size
    needed = highest_id(tokenizer.backend_tokenizer, folder) + 1
    if needed <= rows:
        return config
    entries = tokenizer.backend_tokenizer.get_vocab_size(with_added_tokens=False)
    if entries > rows or needed > len(tokenizer) or needed - rows > MOST_NEW:
        raise UserError(
            f"{folder}: {max(len(tokenizer), entries)} tokens with numbers up to {needed - 1}, but config.json has a "
            f"vocab_size of {rows}: the tokenizer is that of another model; take both from the same place"
        )
    added = [
        token for token, number in sorted(tokenizer.get_vocab().items(), key=lambda each: each[1]) if number >= rows
    ]
    note_once(
        f"{len(added)} tokens were added to the {rows:,} of the model, such as {added[0]}: their embeddings are new"
    )
    return config | {"vocab_size": needed}


def save_tokenizer(tokenizer, folder):
    """tokenizer.json, tokenizer_config.json and, which transformers 5 no longer writes, BERT's vocab.txt."""
    tokenizer.save_pretrained(folder)
    if not isinstance(tokenizer.backend_tokenizer.model, WordPiece):
        return
    vocabulary = tokenizer.get_vocab()
    lines = sorted(vocabulary, key=vocabulary.get)
    Path(folder, "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
