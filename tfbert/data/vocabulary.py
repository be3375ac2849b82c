"""How much of the texts an encoder's vocabulary knows: what it reads as unknown, it cannot learn from."""

from itertools import chain

import numpy as np

from tfbert.common.errors import UserError

WARNED, REFUSED = 0.2, 0.9  # shares of the tokens
MULTILINGUAL = "google-bert/bert-base-multilingual-cased"


def unknown_share(examples, encoder):
    """The share of a split's tokens, special ones aside, that are unknown; None where the vocabulary knows all.

    examples: batches.Examples; encoder: the TextEncoder that made them.
    """
    if encoder.unknown is None:
        return None
    special = list({*chain(encoder.prefix, encoder.middle, encoder.suffix)} - {encoder.unknown})
    unknown = tokens = 0
    for values, offsets in examples.parts:
        ids = values[offsets[0] : offsets[-1]]
        unknown += int(np.count_nonzero(ids == encoder.unknown))
        tokens += len(ids) - int(np.count_nonzero(np.isin(ids, special)))
    return unknown / tokens if tokens else 1.0


def known_in_words(share, name):
    """What is to be said of the share of unknown tokens. name: the encoder's.

    Raises UserError where hardly any is known.
    """
    cure = f"an encoder of another language may read them, such as --model_name_or_path {MULTILINGUAL}"
    if share >= REFUSED:
        raise UserError(f"{share:.1%} of the tokens in the texts are unknown to {name}, so there is nothing to learn: "
                        f"{cure} (104 languages), or a vocabulary of their own: train.py --from_scratch")  # fmt: skip
    words = f"{share:.1%} of the tokens in train have no entry in the vocabulary of {name}"
    return words + f": WARNING, it learns nothing from these; {cure}" * (share >= WARNED)
