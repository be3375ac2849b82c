"""A BERT tokenizer in TensorFlow's own operators, so that a SavedModel takes plain text.

What the tokenizer does to each of Unicode's 1,114,112 code points is asked of it once and kept in tables: it
lower-cases, takes off accents, and parts words by code points alone. Then WordPiece: of each word, the longest piece in
the vocabulary that it begins with, and so on with the rest (Wu et al. 2016, arXiv:1609.08144, as BERT has it).
B texts, C code points, W words, P pieces, S sequence.
"""

import json

import numpy as np
import tensorflow as tf

CODES = 0x110000
HALVES = range(0xD800, 0xE000)  # of pairs in UTF-16: in no text
JOINED, BLANK, ALONE = 0, 1, 2  # a code point belongs to a word, stands between words, is a word
AT_ONCE = 10_000
SPECIAL = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<pad>", "<unk>", "<s>", "</s>", "<mask>"}


def reads_strings(encoder):
    """Whether StringTokenizer can do what a TextEncoder does: BERT's own kind of tokenizer only, without tokens that
    were added to it, as it finds none of these in a text.
    """
    state = json.loads(encoder.tokenizer.to_str())
    kinds = [(state[part] or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model")]
    added = {token["content"] for token in state["added_tokens"]}
    return kinds == ["BertNormalizer", "BertPreTokenizer", "WordPiece"] and added <= SPECIAL


class StringTokenizer(tf.Module):
    """Texts, string (B,), -> what the model reads, a dict of int32 (B, S). [SEP] in a text is no special token here.

    encoder: a TextEncoder; pad_token_id: of the model.
    """

    def __init__(self, encoder, pad_token_id):
        super().__init__()
        tokenizer, model = encoder.tokenizer, encoder.tokenizer.model
        self.encoder, self.pad_token_id = encoder, pad_token_id
        self.starts, self.made = map(tf.constant, replacements(tokenizer.normalizer))
        self.kind = tf.constant(kinds(tokenizer.pre_tokenizer))
        vocabulary = tokenizer.get_vocab(with_added_tokens=False)
        pieces = tf.lookup.KeyValueTensorInitializer(list(vocabulary), list(vocabulary.values()), tf.string, tf.int64)
        self.ids = tf.lookup.StaticHashTable(pieces, -1)
        self.continuing, self.most = model.continuing_subword_prefix, model.max_input_chars_per_word
        self.longest = max(len(piece.removeprefix(self.continuing)) for piece in vocabulary)

    def __call__(self, texts):
        words, texts_of_words = self.words(texts)
        ids, words_of_ids = self.pieces(words)
        of_text = tf.RaggedTensor.from_value_rowids(
            ids, tf.gather(texts_of_words, words_of_ids), tf.size(texts, tf.int64)
        )
        return self.arranged(of_text)

    def words(self, texts):
        """string (W,), and the text that each is in, int64 (W,)."""
        codes = tf.strings.unicode_decode(texts, "UTF-8")
        made = tf.ragged.range(tf.gather(self.starts, codes.values), tf.gather(self.starts, codes.values + 1))
        owners = tf.repeat(codes.value_rowids(), made.row_lengths())
        codes = tf.gather(self.made, made.values)
        kind = tf.gather(self.kind, codes)
        before = tf.roll(kind, 1, 0)
        is_first = owners != tf.concat([[-1], owners[:-1]], 0)
        begins = is_first | (before != JOINED) | (kind != JOINED)
        in_word = kind != BLANK
        codes, owners, begins = (tf.boolean_mask(each, in_word) for each in (codes, owners, begins))
        words = tf.RaggedTensor.from_row_starts(codes, tf.where(begins)[:, 0])
        return tf.strings.unicode_encode(words, "UTF-8"), tf.boolean_mask(owners, begins)

    def pieces(self, words):
        """Ids, int64 (P,), and the word that each is in, int64 (P,), in the order of the words."""
        lengths = tf.strings.length(words, "UTF8_CHAR")
        unknown = lengths > self.most
        ends = tf.range(1, self.longest + 1)

        def step(active, place, found, of_word, unknown):
            word, length = tf.gather(words, active), tf.gather(lengths, active)
            nothing = tf.zeros_like(place)[:, None] * ends
            parts = tf.strings.substr(word[:, None], place[:, None] + nothing, ends + nothing, "UTF8_CHAR")
            parts = tf.where(place[:, None] > 0, self.continuing + parts, parts)
            there = self.ids.lookup(parts)
            fits = (there >= 0) & (ends[None] <= (length - place)[:, None])
            size = tf.reduce_max(tf.where(fits, ends[None], 0), 1)
            piece = tf.gather(there, tf.maximum(size, 1) - 1, batch_dims=1)
            unknown = (
                tf.tensor_scatter_nd_max(tf.cast(unknown, tf.int32), active[:, None], tf.cast(size == 0, tf.int32)) > 0
            )
            found = tf.concat([found, tf.boolean_mask(piece, size > 0)], 0)
            of_word = tf.concat([of_word, tf.boolean_mask(active, size > 0)], 0)
            place += size
            goes_on = (size > 0) & (place < length)
            return (
                tf.boolean_mask(active, goes_on),
                tf.boolean_mask(place, goes_on),
                found,
                of_word,
                unknown,
            )

        active = tf.where(~unknown)[:, 0]
        none = tf.zeros([0], tf.int64)
        *_, found, of_word, unknown = tf.while_loop(
            lambda active, *others: tf.size(active) > 0,
            step,
            [active, tf.zeros_like(active, tf.int32), none, none, unknown],
            [tf.TensorShape([None])] * 5,
        )
        known = ~tf.gather(unknown, of_word)
        as_unknown = tf.where(unknown)[:, 0]
        unknown_ids = tf.fill(tf.shape(as_unknown), tf.constant(self.encoder.unknown, tf.int64))
        found = tf.concat([tf.boolean_mask(found, known), unknown_ids], 0)
        of_word = tf.concat([tf.boolean_mask(of_word, known), as_unknown], 0)
        order = tf.argsort(of_word, stable=True)  # those of a word were found one after the other
        return tf.gather(found, order), tf.gather(of_word, order)

    def arranged(self, ids):
        """Ragged ids (B, ...) -> cut, between special tokens, filled up: the model's inputs."""
        encoder = self.encoder
        lengths = tf.repeat(ids.row_lengths(), ids.row_lengths())
        place = tf.ragged.range(ids.row_lengths()).values
        kept = (lengths <= encoder.room) | (place < encoder.head) | (place >= lengths - encoder.tail)
        ids = tf.ragged.boolean_mask(ids, ids.with_values(kept))
        prefix, suffix = (tf.repeat([special], ids.nrows(), 0) for special in (encoder.prefix, encoder.suffix))
        ids = tf.cast(tf.concat([tf.cast(prefix, tf.int64), ids, tf.cast(suffix, tf.int64)], 1), tf.int32)
        mask = tf.ones_like(ids).to_tensor()
        return {
            "input_ids": ids.to_tensor(self.pad_token_id),
            "attention_mask": mask,
            "token_type_ids": tf.zeros_like(mask),
        }


def replacements(normalizer):
    """What a normalizer makes of all code points, int32 (N,), and where that of each begins, int32 (C + 1,), first."""
    starts, made = np.zeros(CODES + 1, np.int32), []
    for code in range(CODES):
        made += () if code in HALVES else map(ord, normalizer.normalize_str(chr(code)))
        starts[code + 1] = len(made)
    return starts, np.array(made, np.int32)


def kinds(pre_tokenizer):
    """JOINED, BLANK or ALONE for each code point, int8 (C,), as a pre-tokenizer parts words."""
    found = np.full(CODES, JOINED, np.int8)
    for first in range(0, CODES, AT_ONCE):
        codes = [code for code in range(first, min(first + AT_ONCE, CODES)) if code not in HALVES]
        if not codes:
            continue
        between_letters = "a" + "a".join(map(chr, codes)) + "a"
        spans = [span for _, span in pre_tokenizer.pre_tokenize_str(between_letters)]
        covered, alone = np.zeros(len(between_letters), bool), np.zeros(len(between_letters), bool)
        for start, end in spans:
            covered[start:end] = True
            alone[start] = end - start == 1
        places = np.arange(1, len(between_letters), 2)
        found[codes] = np.where(~covered[places], BLANK, np.where(alone[places], ALONE, JOINED))
    return found
