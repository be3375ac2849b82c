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


def calls_per_second(function):
    """How often `function` can be called in a second, measured in 0.2 s after a first call."""
    function()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < 0.2:
        function()
        count += 1
    return count / (time.perf_counter() - start)


def clock(seconds):
    """75 -> 1:15, 4000 -> 1:06:40."""
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
