"""How long things take."""

import time
from contextlib import contextmanager

from tfbert.common.console import clear_status, is_watched, show_status
from tfbert.common.errors import complain


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


class Countdown:
    """Prints how much of some work is done and how long the rest will take, every EVERY seconds."""

    EVERY = 20

    def __init__(self, whole):
        self.whole, self.part, self.skipped = whole, 0, 0
        self.begun = self.told = time.perf_counter()

    def done(self, part):
        self.part += part
        now = time.perf_counter()
        if now - self.told > self.EVERY and self.part != self.whole:
            self.told = now
            self.tell(now)

    def skip(self, part):
        """Counts what was done before, which says nothing of how fast this is."""
        self.skipped += part
        self.begun = time.perf_counter()
        self.done(part)

    def tell(self, now):
        print(f"      {self.part / self.whole:4.0%}  {clock(self.left(now))} left", flush=True)

    def left(self, now):
        """Seconds, at the speed until now; None before there is one."""
        done = self.part - self.skipped
        return (now - self.begun) / done * (self.whole - self.part) if done else None


class Progress(Countdown):
    """A Countdown of texts on standard error: one line that changes in a terminal, elsewhere a line now and then.

    what: is done to them, in a word; whole: how many they are, or None. A context; at its end the line goes.
    """

    LIVE, EVERY = 0.2, 60

    def __init__(self, what, whole=None):
        super().__init__(whole)
        self.what, self.live = what, is_watched()

    def __enter__(self):
        if self.live:
            self.EVERY = self.LIVE
            self.tell(self.begun)
        return self

    def __exit__(self, *_):
        clear_status()

    def tell(self, now):
        parts = [self.what, f"{self.part:,} texts"]
        if self.whole:
            parts[1:] = [f"{self.part / self.whole:.0%}", f"{self.part:,} of {self.whole:,} texts"]
        if self.part > self.skipped:
            parts.append(f"{(self.part - self.skipped) / (now - self.begun):,.0f} a second")
        if self.whole and self.part > self.skipped:
            parts.append(f"{clock(self.left(now))} left")
        (show_status if self.live else complain)("  ".join(parts))


def clock(seconds):
    """75 -> 1:15, 4000 -> 1:06:40."""
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
