"""How long things take."""

import time
from contextlib import contextmanager


class Stopwatch:
    """`with stopwatch("training"): ...` adds to stopwatch.seconds["training"]."""

    def __init__(self):
        self.seconds = {}

    @contextmanager
    def __call__(self, name):
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def clock(seconds):
    """75 -> 1:15, 4000 -> 1:06:40."""
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
