"""Batches with gaps, which masked language modelling is to fill.

Devlin et al. 2018 (arXiv:1810.04805), section 3.1, task 1; with new gaps in every epoch, as RoBERTa's (Liu et al.
2019, arXiv:1907.11692, section 4.1).
"""

import numpy as np

from tfbert.data.batches import TrainBatches

HELD_OUT_SHARE = 0.15  # of the tokens of held-out texts are to be guessed, as in BERT's training
NO_PLACE = -1  # the label where a text has fewer gaps than the longest of its batch


class MaskedBatches(TrainBatches):
    """Shuffled batches with gaps, the same for the same seed; labels are the tokens that stood there, int32 (B, K).

    share: of a text's tokens, the gaps.
    """

    def __init__(self, examples, batch_size, max_seq_length, seed, tokenizer, share=HELD_OUT_SHARE):
        super().__init__(examples, batch_size, max_seq_length, seed)
        self.share = share
        self.special = np.array(tokenizer.all_special_ids)
        self.mask_id, self.vocab_size = tokenizer.mask_token_id, len(tokenizer)

    def stream(self, first_step=0):
        for step, rows in enumerate(self.rows(first_step), first_step):
            inputs = self.examples.batch(rows, self.max_seq_length)
            yield self.masked(inputs, np.random.default_rng([self.seed, step]))

    def masked(self, inputs, rng):
        """Of the gaps, 80% become the mask token, 10% another token, 10% stay as they are.

        K depends on S alone, lest XLA compile anew for every batch.
        """
        ids = inputs["input_ids"].copy()
        order = rng.random(ids.shape)
        order[(inputs["attention_mask"] == 0) | np.isin(ids, self.special)] = 2.0  # never a gap
        candidates = (order < 2.0).sum(axis=1, keepdims=True)
        counts = np.minimum(candidates, np.maximum(1, np.round(self.share * candidates)))
        width = max(1, round(self.share * ids.shape[1]))
        gaps = np.argsort(order, axis=1)[:, :width]
        is_gap = np.arange(width) < counts
        rows = np.arange(len(ids))[:, None]
        labels = np.where(is_gap, ids[rows, gaps], NO_PLACE).astype(np.int32)
        draw = rng.random(gaps.shape)
        filler = np.where(draw < 0.8, self.mask_id, rng.integers(0, self.vocab_size, gaps.shape))
        ids[rows, gaps] = np.where(is_gap & (draw < 0.9), filler, ids[rows, gaps])
        return inputs | {"input_ids": ids, "gaps": gaps.astype(np.int32)}, labels
