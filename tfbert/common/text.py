"""Text as it can be written down, and shown."""

import json
import math
import re

# what a terminal obeys rather than shows (C0, DEL, C1; not tabs and line ends), and what turns the order of signs
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def is_utf8(text):
    """Whether a str can be written as UTF-8: no lone surrogates, as undecodable arguments and JSON escapes leave."""
    return text == text.encode(errors="replace").decode()


def printable(text):
    """With what a terminal would obey as an escape, such as \\x1b: a text could set the window's title."""
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def json_text(value, ascii_only=False):
    """A value as JSON in one line: null for NaN and infinities, which JSON has not; what else it has not as str()."""
    try:
        return json.dumps(value, ensure_ascii=ascii_only, allow_nan=False, default=str)
    except ValueError:
        return json.dumps(with_nulls(value), ensure_ascii=ascii_only, default=str)


def with_nulls(value):
    if isinstance(value, dict):
        return {name: with_nulls(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_nulls(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def counted(number, things):
    """1 text, 2 texts. things: in the plural, with an s at the end."""
    return f"{number:,} {things[:-1] if number == 1 else things}"


def agreeing(number, one, many):
    """The form of a verb: that of one, or of many."""
    return one if number == 1 else many
