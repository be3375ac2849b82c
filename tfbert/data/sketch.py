"""A small sample of a set of texts, which tells of other texts about how many of them are in that set.

The texts with the smallest hashes are kept (bottom-k: Cohen and Kaplan 2007, "Summarizing data using bottom-k
sketches"). So a folder says, without its texts, whether a model in it has learnt what it is to be tested on.
"""

import contextlib
import hashlib
import json
from pathlib import Path

SIZE = 256  # texts in a sample
DIGITS = 8  # hexadecimal, of a hash
OVERLAP = 0.05  # of the texts to test on, from which on it is said


def sketch_of(texts):
    """The sample of some texts, a str."""
    return "".join(sorted(set(map(hash_of, texts)))[:SIZE])


def share_in(sketch, texts):
    """Which share of `texts` is in the set that a sketch is of, about, a float."""
    if not sketch:
        return 0.0
    kept = [sketch[start : start + DIGITS] for start in range(0, len(sketch), DIGITS)]
    wanted = {hash_of(text) for text in texts}
    if len(kept) == SIZE:
        wanted = {each for each in wanted if each <= kept[-1]}
    return len(wanted & set(kept)) / len(wanted) if wanted else 0.0


def notes_on_learnt(folders, texts, unit):
    """What is to be said of models that have learnt from some of the texts to test on, a list of sentences.

    folders: {what it is, in words: where it stands, or None}, of train.py or pretrain.py.
    """
    shares = {who: share_in(learnt_in(folder), texts) for who, folder in folders.items() if folder}
    return [
        f"{who} has learnt from about {share:.0%} of the {unit} to test on: its figures on them are too good"
        for who, share in shares.items()
        if share > OVERLAP
    ]


def learnt_in(folder):
    """The sketch of what the model in a folder has learnt from; an empty one where the folder does not say."""
    for name in ("metrics.json", "pretraining.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return str(json.loads(Path(folder, name).read_text(encoding="utf-8"))["learnt"])
    return ""


def hash_of(text):
    return hashlib.blake2b(text.encode(), digest_size=DIGITS // 2).hexdigest()
