"""What a person reads in the terminal while a job begins and ends."""

import shutil
import textwrap


def say(name, text):
    """Prints a name and a text beside it, folded to the terminal's width."""
    width = max(shutil.get_terminal_size().columns, 40)
    print(textwrap.fill(text, width, initial_indent=f"{name:9} ", subsequent_indent=" " * 10,
                        break_on_hyphens=False, break_long_words=False), flush=True)  # fmt: skip
