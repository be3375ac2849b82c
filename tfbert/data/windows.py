"""Long texts read whole: in windows, whose logits are averaged.

As Pappagari et al. 2019 (arXiv:1910.10781) cut texts; they train a second model on what the windows say.
"""

import numpy as np

LONG_TEXTS = ("cut", "windows")
LAST = 2  # how often the last window counts: texts tend to conclude where they end (benchmarks/long_texts.py)


def places(length, room, overlap=0.0):
    """Where windows of `room` tokens begin in a text of `length`, a list of int: the first at its start, the last one
    at its end, the others evenly between. They are as many as it takes.

    overlap: what each has in common with the next one at least, a share of a window. It costs, and gives nothing
    (benchmarks/long_texts.py).
    """
    count = 1 + max(0, -(-(length - room) // (room - int(overlap * room))))
    return [round(number * (length - room) / (count - 1)) for number in range(count)] if count > 1 else [0]


def combined(logits, owners, last=LAST):
    """The logits of texts, float32 (N, L), from those of their windows, float32 (W, L), in order.

    owners: int (W,), the number of each window's text.
    """
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    weights = np.where(np.diff(owners, append=-1) != 0, last, 1)[:, None]
    sums, counts = np.add.reduceat(logits * weights, starts), np.add.reduceat(weights, starts)
    return np.float32(sums / counts)
