"""What stands in the cells of labels: names, numbers, lists, lists written as text, zeros and ones by place."""

import ast
import json
import re
from datetime import date
from numbers import Number

from tfbert.common.errors import UserError

TRUE, FALSE = {"1", "true", "1.0"}, {"0", "false", "0.0"}
WHOLE = re.compile(r"([+-]?\d+)(\.0+)?")
NUMPY = re.compile(r"""\[\s*(?:(['"])[^,]*\1\s+['"][^,]*|[\d.]+(?:\s+[\d.]+)+)\s*\]""")


def label_text(value, column, place):
    """A label as text, "" where it is blank, None where there is none."""
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if not isinstance(value, (str, Number, date)):
        raise UserError(f"{place}: {column} is {str(value)[:40]!r}, not a label")
    return str(value).strip()


def is_blank(value):
    """Whether a cell has no label; an empty list says that none holds."""
    return value is None or value != value or isinstance(value, str) and not value.strip()


def truth(value, column, place):
    """0.0 or 1.0 of a cell where several columns of labels stand beside each other; None where it is blank."""
    text = label_text(value, column, place)
    if not text:
        return None
    if text.lower() not in TRUE | FALSE:
        raise UserError(f"{place}: {column} is {text[:40]!r}, but with several label columns each holds 0 or 1")
    return float(text.lower() in TRUE)


def class_number(value, column, place, count):
    """A label of a task whose classes are known, an int below `count`; None where it is blank."""
    text = label_text(value, column, place)
    if not text:
        return None
    if not text.isdecimal() or int(text) >= count:
        raise UserError(f"{place}: the label is {text[:40]!r}, not one of 0 to {count - 1}")
    return int(text)


def settled(values, places, column, separator, notes):
    """The labels of a whole column: a list of str, or of lists of str, with None where a row has none.

    separator: between the names of one cell, or None; notes: takes what was guessed. Raises UserError where labels
    stand in lists that cannot be read, or in lists in some rows only.
    """
    lists = lists_as_text(values, places, column)
    if lists:
        values = lists
        notes.append(f"the cells of {column} are lists written as text: each name in one is a label")
    elif separator:  # an empty cell has no labels, which is no lack of one
        return whole_numbers(
            [[part.strip() for part in (label_text(value, column, place) or "").split(separator) if part.strip()]
             if not isinstance(value, list) else labels_in(value, column, place)
             for value, place in zip(values, places)], column, notes
        )  # fmt: skip
    found = [labels_in(value, column, place) if isinstance(value, list) else label_text(value, column, place) or None
             for value, place in zip(values, places)]  # fmt: skip
    kinds = {type(value): place for value, place in zip(found, places) if value is not None}
    if len(kinds) > 1:
        raise UserError(f"{column}: a list in {kinds[list]}, but one label in {kinds[str]}: write lists throughout")
    return whole_numbers(found, column, notes)


def labels_in(value, column, place):
    return [text for each in value if (text := label_text(each, column, place))]


def lists_as_text(values, places, column):
    """Lists in place of cells that all are lists as JSON or Python write them; None where none is."""
    cells = [(value, place) for value, place in zip(values, places) if isinstance(value, str) and value.strip()]
    read = {value: list_in(value) for value, _ in cells if value.lstrip()[0] in "[("}
    for value, place in cells:
        if value in read and NUMPY.fullmatch(value.strip()):
            raise UserError(f"{place}: {column} is {value[:60]!r}, a list without commas, as NumPy prints it: write "
                            "the names with a sign between them, and name it as --label_separator")  # fmt: skip
    if all(each is None for each in read.values()):
        return None
    for value, place in cells:
        if read.get(value) is None:
            raise UserError(
                f"{place}: {column} is {value[:60]!r}, no list, but other cells are: write lists throughout"
            )
    return [read[value] if isinstance(value, str) and value.strip() else value for value in values]


def list_in(text):
    """The list that a text is in JSON or Python, or None."""
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text.strip())
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        return list(value) if isinstance(value, (list, tuple)) else None
    return None


def whole_numbers(labels, column, notes):
    """`labels` with 0 for 0.0, where all are whole numbers and some are written so; as files differ in it."""
    names = {name for each in labels if each is not None for name in (each if isinstance(each, list) else [each])}
    parts = {name: WHOLE.fullmatch(name) for name in names}
    if not all(parts.values()) or not any(part[2] for part in parts.values()):
        return labels
    written = sorted(name for name in names if parts[name][2])
    notes.append(f"the labels of {column} are whole numbers: {', '.join(written[:3])} are read as "
                 f"{', '.join(parts[name][1] for name in written[:3])}")  # fmt: skip
    short = {name: part[1] for name, part in parts.items()}
    return [[short[name] for name in each] if isinstance(each, list) else each and short[each] for each in labels]


def places_of_ones(labels):
    """{places where a 1 stands} of lists that all hold as many zeros and ones, and how many; else None."""
    lists = [each for each in labels if each is not None]
    if not lists or not isinstance(lists[0], list):
        return None
    count = len(lists[0])
    if count < 2 or any(len(each) != count or not {name.lower() for name in each} <= TRUE | FALSE for each in lists):
        return None
    return [each and [place for place, name in enumerate(each) if name.lower() in TRUE] for each in labels], count
