"""Text as it can be written down, and shown."""

import re

# what a terminal obeys rather than shows (C0, DEL, C1; not tabs and line ends), and what turns the order of signs
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def is_utf8(text):
    """Whether a str can be written as UTF-8: no lone surrogates, as undecodable arguments and JSON escapes leave."""
    return text == text.encode(errors="replace").decode()


def printable(text):
    """With what a terminal would obey as an escape, such as \\x1b: a text could set the window's title."""
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))
