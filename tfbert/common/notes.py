"""What was taken for what, said once."""

import sys
from functools import cache


@cache
def note(text):
    """Prints a line to standard error, the first time that it is to be said; signs that steer a terminal as escapes."""
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
    print(f"note: {shown}", file=sys.stderr, flush=True)
