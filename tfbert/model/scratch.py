"""A new BERT for --from_scratch: its size, and a WordPiece vocabulary trained on the task's own texts."""

from collections import Counter
from pathlib import Path

from tfbert.common.files import write_json
from tfbert.data.sources import Source

# of a new BERT, for --from_scratch; "document" is the one that tutorials train on CoLA and that learns nothing
SCRATCH = {
    "small": {"num_hidden_layers": 4, "hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024},
    "document": {"num_hidden_layers": 8, "hidden_size": 512, "num_attention_heads": 8, "intermediate_size": 1024},
}
MAX_LENGTH, VOCABULARY, ALPHABET = 128, 4000, 1000
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def new_config(preset):
    """config.json of a BERT of that size, a dict; its vocab_size is the most that new_encoder may use."""
    return {"model_type": "bert", "architectures": ["BertModel"], "vocab_size": VOCABULARY,
            "max_position_embeddings": MAX_LENGTH, "pad_token_id": 0, **SCRATCH[preset]}  # fmt: skip


def new_encoder(preset, texts, folder):
    """The Source of an encoder without weights: config.json and tokenizer in `folder`, an existing one.

    texts: a list of str, the training texts, of which the vocabulary is made, the same for the same texts.
    """
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertTokenizerFast

    words = BertWordPieceTokenizer(lowercase=True)
    counts = Counter(sign for text in texts for sign in words.normalizer.normalize_str(text) if not sign.isspace())
    alphabet = sorted(counts, key=lambda sign: (-counts[sign], sign))[:ALPHABET]
    # the trainer breaks ties by the numbers of the pieces; without these it numbers single letters anew in every run
    first = [*SPECIAL, *alphabet, *("##" + sign for sign in alphabet)]
    words.train_from_iterator(texts, vocab_size=VOCABULARY, min_frequency=2, special_tokens=first, show_progress=False)
    vocabulary = words.get_vocab()
    lines = sorted(vocabulary, key=vocabulary.get)
    Path(folder, "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    BertTokenizerFast(str(Path(folder, "vocab.txt"))).save_pretrained(folder)
    write_json(Path(folder, "config.json"), new_config(preset) | {"vocab_size": len(vocabulary)})
    description = f"a new BERT ({preset}), with a vocabulary of {len(vocabulary):,} pieces from the training texts"
    return Source(str(folder), f"bert-from-scratch-{preset}", description, is_local=True)
