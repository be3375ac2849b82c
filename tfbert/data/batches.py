"""Text -> token ids -> truncation, or windows -> length buckets -> batches."""

import copy
import hashlib
import math
from itertools import islice

import numpy as np

from tfbert.common.console import is_watched
from tfbert.common.errors import UserError

BUCKET, SHORT_BUCKET = 32, 4  # tokens, see padded_length
WINDOW = 50  # reviews are sorted by length within this many batches at a time


class Examples:
    """The token ids and labels of a split; the ids stay in Arrow, memory-mapped where the data set itself is.

    full_lengths: int32 (N,), tokens of each text; labels: int32 (N,), or float32 (N, L) where several may hold;
    targets: probabilities to learn, float32 (N, L), or None; labels are then None.
    lengths: int32 (W,), of what is read, a row for each text, or for each of its windows; owners: int32 (W,), the text
    of each row; starts: int32 (W,), of the second texts of pairs, None where the model does not tell them apart;
    longest: of lengths, where XLA compiles whole steps, one for each length of a batch; else None.
    """

    def __init__(self, dataset, compiled=False):
        columns = dataset.data
        self.parts = [
            (chunk.values.to_numpy(), chunk.offsets.to_numpy()) for chunk in columns.column("input_ids").chunks
        ]
        self.firsts = firsts_of(self.parts)
        self.lengths = np.concatenate([np.diff(offsets) for _, offsets in self.parts]).astype(np.int32)
        self.longest = int(self.lengths.max()) if compiled else None
        self.starts = self.targets = None
        if "start" in dataset.column_names:
            self.starts = np.asarray(columns.column("start"), np.int32)
        self.owners = np.arange(len(self.lengths), dtype=np.int32)
        if "label" in dataset.column_names:
            self.owners = np.asarray(columns.column("owner"), np.int32)
            texts = np.flatnonzero(np.diff(self.owners, prepend=-1))  # the first row of each
            self.full_lengths = np.asarray(columns.column("full_length"), np.int32)[texts]
            several = hasattr(dataset.features["label"], "feature")
            self.labels = np.asarray(dataset["label"], np.float32 if several else np.int32)[texts]

    @classmethod
    def tokenized(cls, dataset, encoder, description, compiled=False):
        """Tokenizes a `datasets.Dataset` of splits.Splits, or finds that done in the cache of `datasets`."""
        from datasets import Features, List, Value

        show_bars_on_a_terminal()
        pairs = "text_pair" in dataset.column_names
        features = {name: Value("int32") for name in ("owner", "full_length", "start")}
        if not (pairs and encoder.has_types):
            features.pop("start")

        def encoded(batch, numbers):
            ids, lengths, starts = encoder(batch["text"], batch["text_pair"] if pairs else None)
            windows, owners = encoder.in_windows(ids)
            columns = {"owner": numbers, "full_length": lengths, "start": starts, "label": batch["label"]}
            return {"input_ids": windows} | {
                name: [columns[name][owner] for owner in owners] for name in (*features, "label")
            }

        mapped = dataset.map(
            encoded,
            batched=True,
            with_indices=True,
            remove_columns=dataset.column_names,
            features=Features({"label": dataset.features["label"], "input_ids": List(Value("int32")), **features}),
            new_fingerprint=f"{dataset._fingerprint}-{encoder.fingerprint()}",
            desc=description,
        )
        return cls(mapped, compiled)

    @classmethod
    def chunked(cls, dataset, encoder, description, compiled=False):
        """Tokenizes a `datasets.Dataset` with the column text into pieces, which have no labels."""
        from datasets import Features, List, Value

        show_bars_on_a_terminal()
        mapped = dataset.map(
            lambda batch: {"input_ids": encoder.chunks(batch["text"])},
            batched=True,
            remove_columns=["text"],
            features=Features({"input_ids": List(Value("int32"))}),
            new_fingerprint=f"{dataset._fingerprint}-chunks-{encoder.fingerprint()}",
            desc=description,
        )
        if not len(mapped):
            raise UserError(f"{description}: the texts are all empty")
        return cls(mapped, compiled)

    def __len__(self):
        return int(self.owners[-1]) + 1 if len(self.owners) else 0

    def first(self, count):
        """The Examples of the first so many texts."""
        part, rows = copy.copy(self), int((self.owners < count).sum())
        for names, size in ((("owners", "lengths", "starts"), rows), (("full_lengths", "labels", "targets"), count)):
            for name in names:
                if getattr(self, name, None) is not None:
                    setattr(part, name, getattr(self, name)[:size])
        whole = np.searchsorted(self.firsts, rows, side="right") - 1
        part.parts = self.parts[:whole]
        if rest := rows - self.firsts[whole]:
            values, offsets = self.parts[whole]
            part.parts = [*part.parts, (values, offsets[: rest + 1])]
        part.firsts = firsts_of(part.parts)
        part.longest = self.longest and int(part.lengths.max())
        return part

    def taught(self, targets):
        """These Examples with targets, which their labels make room for."""
        whole = copy.copy(self)
        whole.targets, whole.labels = np.float32(targets), None
        return whole

    def followed_by(self, others):
        """These Examples, which have targets, and after them others that have theirs. Each is read in one window."""
        whole = copy.copy(self)
        for name in ("lengths", "full_lengths", "starts", "targets"):
            if getattr(self, name) is not None:
                setattr(whole, name, np.concatenate([getattr(self, name), getattr(others, name)]))
        whole.parts = [*self.parts, *others.parts]
        whole.firsts = firsts_of(whole.parts)
        whole.owners = np.arange(len(whole.lengths), dtype=np.int32)
        whole.longest = self.longest and max(self.longest, others.longest)
        return whole

    def fingerprint(self):
        """Changes with the texts' tokens, their order, the labels and the targets."""
        learnt = getattr(self, "labels", np.zeros(0)) if self.targets is None else self.targets
        found = hashlib.sha256(self.lengths.tobytes() + learnt.tobytes())
        for values, offsets in self.parts:
            found.update(values[offsets[0] : offsets[-1]])
        return found.hexdigest()[:16]

    def ids(self, row):
        part = np.searchsorted(self.firsts, row, side="right") - 1
        values, offsets = self.parts[part]
        start = row - self.firsts[part]
        return values[offsets[start] : offsets[start + 1]]

    def batch(self, rows, max_seq_length):
        """The model's inputs for these rows, as `pad` gives them."""
        length = padded_length(self.lengths[rows].max(), max_seq_length, self.longest)
        return pad([self.ids(row) for row in rows], length, None if self.starts is None else self.starts[rows])


def show_bars_on_a_terminal():
    """`datasets` shows its progress on a terminal; in a log each picture of it would stay, one after the other."""
    from datasets import disable_progress_bars, enable_progress_bars

    (enable_progress_bars if is_watched() else disable_progress_bars)()


def firsts_of(parts):
    """The number of the first row of each part, int (P + 1,). parts: as of Examples."""
    return np.cumsum([0] + [len(offsets) - 1 for _, offsets in parts])


def padded_length(length, max_seq_length, longest=None):
    """What a batch is padded to whose longest text has `length` tokens, max_seq_length at most.

    Multiples of 32: few lengths, for each of which XLA compiles the loops of fused.py. Of 4 up to 64 tokens, where
    padding would be the larger part (benchmarks/padding.py). Where XLA compiles whole steps, two lengths, as each takes
    as long as a thousand steps (benchmarks/results/gpu.md): the power of two that has room for `longest`, the longest
    text of all, and half of it.
    """
    bucket = SHORT_BUCKET if length <= 64 else BUCKET
    if longest:
        bucket = max(BUCKET, 2 ** math.ceil(math.log2(longest)) // 2)
    return min(-(-int(length) // bucket) * bucket, max_seq_length)


def pad(sequences, length, starts=None):
    """Ragged ids -> input_ids, attention_mask and, with the starts of second texts, token_type_ids: int32 (B, S)."""
    input_ids = np.zeros((len(sequences), length), np.int32)
    attention_mask = np.zeros((len(sequences), length), np.int32)
    for i, ids in enumerate(sequences):
        input_ids[i, : len(ids)] = ids
        attention_mask[i, : len(ids)] = 1
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
    if starts is not None:
        inputs["token_type_ids"] = attention_mask * (np.arange(length) >= np.asarray(starts)[:, None])
    return inputs


class TrainBatches:
    """Shuffled batches of similar lengths, the same for the same seed.

    Every batch is full: the last one of an epoch is filled up from the epoch's beginning.
    """

    def __init__(self, examples, batch_size, max_seq_length, seed):
        self.examples = examples
        self.batch_size = batch_size
        self.max_seq_length = max_seq_length
        self.seed = seed
        self.steps_per_epoch = -(-len(examples) // batch_size)
        self.tokens_per_row = float(examples.lengths.mean())

    def epoch(self, number):
        """The rows of every batch of an epoch, int64 (steps, B)."""
        rng = np.random.default_rng([self.seed, number])
        rows = rng.permutation(len(self.examples))
        rows = np.resize(rows, self.steps_per_epoch * self.batch_size)
        for window in np.split(rows, range(0, len(rows), WINDOW * self.batch_size)[1:]):
            window[:] = window[np.argsort(self.examples.lengths[window], kind="stable")]
        return rng.permutation(rows.reshape(self.steps_per_epoch, self.batch_size))

    def steps(self, epochs, accumulated=1):
        """Steps in so many epochs, rounded up to whole updates of `accumulated` steps."""
        return math.ceil(epochs * self.steps_per_epoch / accumulated) * accumulated

    def rows(self, first_step=0):
        """Yields the rows of step first_step and of all that follow, without end, int64 (B,)."""
        epoch, skip = divmod(first_step, self.steps_per_epoch)
        while True:
            yield from self.epoch(epoch)[skip:]
            epoch, skip = epoch + 1, 0

    def stream(self, first_step=0):
        """Yields (inputs, labels) for step first_step and all that follow, without end."""
        learnt = self.examples.labels if self.examples.targets is None else self.examples.targets
        for rows in self.rows(first_step):
            yield self.examples.batch(rows, self.max_seq_length), learnt[rows]

    def padded_tokens(self, first_step, steps):
        """How many tokens so many steps read, padding counted."""
        lengths, longest = self.examples.lengths, self.examples.longest
        longest_ones = (lengths[rows].max() for rows in islice(self.rows(first_step), steps))
        return self.batch_size * sum(padded_length(each, self.max_seq_length, longest) for each in longest_ones)

    def padding_share(self):
        """The share of an epoch's tokens that is padding."""
        tokens = self.examples.lengths[self.epoch(0)].sum()
        return 1 - tokens / self.padded_tokens(0, self.steps_per_epoch)


def by_length(lengths, batch_size):
    """Rows in batches of similar length, the longest first, so that a lack of memory shows at once."""
    order = np.argsort(-np.asarray(lengths), kind="stable")
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
