"""What was taken for what, said once."""

import sys
from functools import cache


@cache
def note(text):
    """Prints a line to standard error, the first time that it is to be said."""
    print(f"note: {text}", file=sys.stderr, flush=True)
