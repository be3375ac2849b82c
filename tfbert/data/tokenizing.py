"""Text -> token ids, special tokens included, cut to what the model reads."""

import contextlib
import hashlib
import json
from pathlib import Path

from tokenizers.models import Unigram, WordPiece

from tfbert import __version__
from tfbert.common.console import hushed
from tfbert.common.errors import UserError, one_line
from tfbert.common.inputs import must_be_regular
from tfbert.data.windows import places

TRUNCATIONS = ("head+tail", "head", "tail")


@contextlib.contextmanager
def tokenizer_trouble(place):
    """What the tokenizer libraries raise becomes a UserError that names `place`."""
    try:
        yield
    except UserError:
        raise
    except BaseException as error:  # plain Exceptions, and from Rust's panics a PanicException, which is none
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise UserError(
            f"cannot read the tokenizer in {place}: {one_line(error)}; take it from its source again"
        ) from error


def highest_id(tokenizer, place):
    """The highest id that a tokenizers.Tokenizer gives. Raises UserError where it has no entries."""
    with tokenizer_trouble(place), hushed():
        vocabulary = tokenizer.get_vocab()
        if not vocabulary:
            raise UserError(f"the tokenizer in {place} has no entries")
        return max([*vocabulary.values(), *tokenizer.encode("", "").ids])


def trimmed(text, start, end):
    """A part of a text without the blanks around it, which byte-level tokenizers count to a word."""
    part = text[start:end]
    start += len(part) - len(part.lstrip())
    return start, max(start, start + len(part.strip()))


class TextEncoder:
    """Turns texts into token ids, special tokens included, at most `max_seq_length` of them.

    truncation says what a longer text keeps: "head", "tail", or "head+tail", a `head_share` of the head and the rest
    of the tail; the best of Sun et al. 2019 (arXiv:1905.05583, table 2) is a quarter, 128 + 382 of 510. With
    long_texts="windows" it keeps all, and in_windows makes of it what the model reads; pairs are cut.
    """

    def __init__(self, tokenizer, max_seq_length, truncation="head+tail", head_share=0.25, long_texts="cut"):
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.tokenizer = tokenizer
        self.max_seq_length = max_seq_length
        self.truncation = truncation
        self.whole = long_texts == "windows"
        unknown = getattr(tokenizer.model, "unk_token", None)
        self.unknown = tokenizer.model.token_to_id(unknown) if unknown else None
        if isinstance(tokenizer.model, Unigram):  # which keeps it to itself
            self.unknown = json.loads(tokenizer.to_str())["model"]["unk_id"]
        if self.unknown is None and isinstance(tokenizer.model, WordPiece):
            raise UserError(f"the tokenizer has no entry for unknown words ({unknown}): not that of a BERT model")
        self.head_share = {"head": 1.0, "tail": 0.0, "head+tail": head_share}[truncation]
        special = tokenizer.encode("").ids  # [CLS] [SEP]
        if not special:
            raise UserError("the tokenizer adds no special tokens such as [CLS] and [SEP]: not that of a BERT model")
        self.prefix, self.suffix = special[: len(special) // 2], special[len(special) // 2 :]
        pair = tokenizer.encode("", "")  # [CLS] [SEP] [SEP]; RoBERTa's has two between the texts
        self.middle = pair.ids[len(self.prefix) : len(pair.ids) - len(self.suffix)]
        self.has_types = any(pair.type_ids)
        self.room = max_seq_length - len(special)
        self.head, self.tail = self.kept(self.room)

    @classmethod
    def from_folder(cls, folder, max_seq_length, truncation="head+tail", head_share=0.25, long_texts="cut"):
        """From tokenizer.json. Raises UserError where it is missing or broken."""
        from tokenizers import Tokenizer

        path = Path(folder, "tokenizer.json")
        if not path.exists():
            raise UserError(f"{folder} holds no tokenizer.json: name a folder that train.py wrote")
        must_be_regular(path)
        with tokenizer_trouble(path), hushed():
            return cls(Tokenizer.from_file(str(path)), max_seq_length, truncation, head_share, long_texts)

    def __call__(self, texts, others=None):
        """texts, and for pairs others: lists of str.

        Returns their ids, a list of lists of int; their lengths before truncation; and where the second text of each
        pair begins, a list of int, or None where the model needs not know.
        """
        special = self.prefix, self.middle, self.suffix
        extra = self.max_seq_length - self.room
        first = self.tokens(texts)
        if others is None:
            return [self.arranged(each, None, *special) for each in first], [len(each) + extra for each in first], None
        pairs = list(zip(first, self.tokens(others)))
        ids, starts = zip(*(self.arranged_pair(*pair, *special) for pair in pairs)) if pairs else ((), ())
        lengths = [len(one) + len(other) + extra + len(self.middle) for one, other in pairs]
        return list(ids), lengths, list(starts) if self.has_types else None

    def arranged(self, one, other, prefix, middle, suffix):
        """What the model reads of a text, or of two, as a list: of its tokens, or of anything that there is for each.

        one, other: the same of a text without special tokens; prefix, middle, suffix: of these.
        """
        if other is not None:
            return self.arranged_pair(one, other, prefix, middle, suffix)[0]
        return prefix + (one if self.whole else self.shorten(one, self.room)) + suffix

    def arranged_pair(self, one, other, prefix, middle, suffix):
        """As arranged, and where the second text begins."""
        room = self.room - len(self.middle)
        for_one = max(room - len(other), min(len(one), room // 2))
        kept = prefix + self.shorten(one, for_one) + middle
        return kept + self.shorten(other, room - min(len(one), for_one)) + suffix, len(kept)

    def words(self, text):
        """The words of a text as the tokenizer has them: (start, end) in it, in characters, of each, and for each token
        the number of its word, both lists.
        """
        with tokenizer_trouble("the model's folder"):
            encoding = self.tokenizer.encode(text, add_special_tokens=False)
        spans, numbers, last = [], [], None
        for word, (start, end) in zip(encoding.word_ids, encoding.offsets):
            if word is None or word != last:
                spans.append((start, end))
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
            numbers.append(len(spans) - 1)
            last = word
        return [trimmed(text, *span) for span in spans], numbers

    def tokens(self, texts):
        with tokenizer_trouble("the model's folder"):
            encodings = self.tokenizer.encode_batch_fast([text or "" for text in texts], add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def kept(self, room):
        """How many tokens of a text's head and of its tail fit into so many."""
        head = int(room * self.head_share)
        return head, room - head

    def shorten(self, ids, room):
        if len(ids) <= room:
            return ids
        head, tail = self.kept(room)
        return ids[:head] + ids[len(ids) - tail :]

    def in_windows(self, token_ids):
        """What the model reads of texts, as __call__ gives them: a list of lists of int, at most max_seq_length each,
        and of which text each is, a list of int.
        """
        windows, owners = [], []
        for owner, ids in enumerate(token_ids):
            of_text = self.windows(ids, self.prefix, self.suffix)
            windows += of_text
            owners += [owner] * len(of_text)
        return windows, owners

    def windows(self, items, prefix, suffix):
        """What the model reads at a time, of a text as `arranged` gives it, a list of lists; the others as there."""
        if len(items) <= self.max_seq_length:
            return [items]
        words = items[len(prefix) : len(items) - len(suffix)]
        return [prefix + words[start : start + self.room] + suffix for start in places(len(words), self.room)]

    def chunks(self, texts):
        """Their ids whole, in pieces of at most max_seq_length with special tokens: a list of lists of int."""
        return [
            self.prefix + ids[start : start + self.room] + self.suffix
            for ids in self.tokens(texts)
            for start in range(0, len(ids), self.room)
        ]

    def fingerprint(self):
        """Changes when the same text would get other ids."""
        state = (__version__, self.tokenizer.to_str(), self.max_seq_length, self.head, self.tail, self.whole)
        return hashlib.sha256(repr(state).encode()).hexdigest()[:16]
