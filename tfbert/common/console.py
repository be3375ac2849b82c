"""What a person reads in the terminal while a job begins and ends."""

import contextlib
import shutil
import sys
import textwrap
from functools import cache

from tfbert.common.text import printable


def say(name, text):
    """Prints a name and a text beside it, folded to the terminal's width."""
    width = max(shutil.get_terminal_size().columns, 40)
    print(textwrap.fill(printable(text), width, initial_indent=f"{name:9} ", subsequent_indent=" " * 10,
                        break_on_hyphens=False, break_long_words=False), flush=True)  # fmt: skip


def note(text):
    """Prints a line to standard error: what a person should know and a program need not read."""
    with contextlib.suppress(OSError):  # where standard error is full, the answers still count
        shown = printable(text).replace("\n", "\\n")
        print(f"note: {shown}", file=sys.stderr, flush=True)


note_once = cache(note)  # where a folder is looked at more than once
