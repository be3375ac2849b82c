"""Folders whose tokenizer is SentencePiece's file alone, as many on the Hub are."""

import io
import json
import shutil

import pytest
from conftest import FIXTURES, reviews

from tfbert.common.errors import UserError
from tfbert.model.vocabulary import load_tokenizer

SPECIAL = {"xlm_roberta": {}, "camembert": {},
           "deberta_v2": {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]", "bos_piece": "[CLS]",
                          "eos_piece": "[SEP]", "unk_piece": "[UNK]"}}  # fmt: skip
FILES = {"xlm_roberta": "sentencepiece.bpe.model", "camembert": "sentencepiece.bpe.model", "deberta_v2": "spm.model"}
TEXTS = [
    "A wonderful film, 12 times.",
    "the plot was very dull",
    "电影很好看 good",
    "หนังดี",
    "فيلم جيد",
    "  two   spaces ",
]


def model_of(kind):
    """What SentencePiece learns from some sentences, as its file has it."""
    import sentencepiece

    written = io.BytesIO()
    texts = reviews(300, seed=1)[0] + ["电影很好看", "หนังดี", "فيلم جيد"] * 20
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=written, vocab_size=110, character_coverage=1.0, minloglevel=2,
        **SPECIAL[kind],
    )  # fmt: skip
    return written.getvalue()


@pytest.mark.parametrize("kind", FILES)
def test_pieces_are_those_of_sentencepiece(kind, tmp_path):
    import sentencepiece

    written = model_of(kind)
    (tmp_path / FILES[kind]).write_bytes(written)
    shutil.copy(FIXTURES / f"tiny_{kind}" / "config.json", tmp_path)
    tokenizer = load_tokenizer(tmp_path, 64, json.loads((tmp_path / "config.json").read_text()))
    theirs = sentencepiece.SentencePieceProcessor(model_proto=written)
    unknown = theirs.id_to_piece(theirs.unk_id())
    for text in TEXTS:
        pieces = [theirs.id_to_piece(number) for number in theirs.encode(text)]
        found = tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])
        assert found[1:-1] == pieces, text
        assert unknown not in pieces or tokenizer.unk_token == unknown
        assert [found[0], found[-1]] == [tokenizer.cls_token, tokenizer.sep_token]


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_is_said_to_be_damaged(kind, tmp_path, capfd):
    written, path = model_of(kind), tmp_path / FILES[kind]
    shutil.copy(FIXTURES / f"tiny_{kind}" / "config.json", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for damaged in (b"", written[:1000], b"version https://git-lfs.github.com/spec/v1\n", bytes(500)):
        path.write_bytes(damaged)
        capfd.readouterr()
        with pytest.raises(UserError, match=f"{path.name} is damaged"):
            load_tokenizer(tmp_path, 64, config)
        assert capfd.readouterr().err == ""
