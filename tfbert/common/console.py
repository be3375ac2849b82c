"""What a person reads in the terminal while a job begins and ends."""

import contextlib
import os
import shutil
import sys
import tempfile
import textwrap
from functools import cache
from threading import RLock

from tfbert.common.errors import complain
from tfbert.common.text import printable


def say(name, text):
    """Prints a name and a text beside it, folded to the terminal's width."""
    width = max(shutil.get_terminal_size().columns, 40)
    print(textwrap.fill(printable(text), width, initial_indent=f"{name:9} ", subsequent_indent=" " * 10,
                        break_on_hyphens=False, break_long_words=False), flush=True)  # fmt: skip


def note(text):
    """Prints a line to standard error: what a person should know and a program need not read."""
    clear_status()
    shown = printable(text).replace("\n", "\\n")
    complain(f"note: {shown}")


STATUS = []  # the text that stands in the terminal's last line until another takes its place


def show_status(text):
    """Writes a line to standard error, a terminal, where the next status or note will stand."""
    clear_status()
    with contextlib.suppress(OSError, ValueError):
        width = os.get_terminal_size(sys.stderr.fileno()).columns or 80  # 0 where nobody set it
        STATUS.append(text[: width - 1])
        print(STATUS[-1], end="", file=sys.stderr, flush=True)


def clear_status():
    if STATUS:
        with contextlib.suppress(OSError):
            print("\r" + " " * len(STATUS.pop()) + "\r", end="", file=sys.stderr, flush=True)


def is_watched():
    """Whether standard error is a terminal; a program with a window of its own has none."""
    return sys.stderr is not None and sys.stderr.isatty()


HUSHED = RLock()  # standard error belongs to all threads


@contextlib.contextmanager
def hushed():
    """A context whose standard error is shown afterwards, but not where it raises: Rust prints its panics there."""
    with HUSHED, contextlib.ExitStack() as stack:
        try:
            kept = stack.enter_context(tempfile.TemporaryFile())
            shown = os.dup(2)
        except OSError:  # standard error is closed, or no disk takes a file
            yield
            return
        stack.callback(os.close, shown)
        try:
            os.dup2(kept.fileno(), 2)
            yield
        finally:
            os.dup2(shown, 2)
        kept.seek(0)
        with contextlib.suppress(OSError):
            os.write(2, kept.read())


note_once = cache(note)  # where a folder is looked at more than once
