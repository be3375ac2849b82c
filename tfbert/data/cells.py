"""What stands in the cells of labels: names, numbers, lists, lists written as text, zeros and ones by place."""

import ast
import json
import re
from datetime import date
from numbers import Number

from tfbert.common.errors import UserError
from tfbert.common.text import is_utf8

TRUE, FALSE = {"1", "true", "1.0"}, {"0", "false", "0.0"}
LIST = 10_000  # characters of one that is written as text, at most
WHOLE = re.compile(r"([+-]?\d+)(\.0+)?")
NUMPY = re.compile(r"""\[\s*(?:(['"])[^,]*\1\s+['"][^,]*|[\d.]+(?:\s+[\d.]+)+)\s*\]""")


def is_blank(value):
    """Whether a cell lacks a label."""
    return value is None or value != value or isinstance(value, str) and not value.strip()


def label_text(value, column, place):
    """A label as text, "" where it is blank."""
    if is_blank(value):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if not isinstance(value, (str, Number, date)):
        raise UserError(f"{place}: {column} is {str(value)[:40]!r}, not a label")
    text = str(value).strip()
    if not is_utf8(text):
        raise UserError(f"{place}: {column} holds half of a character (a lone surrogate): mend the label")
    return text


def truth(value, column, place):
    """0.0 or 1.0 of a cell where several columns of labels stand beside each other."""
    text = label_text(value, column, place).lower()
    if text not in TRUE | FALSE:
        raise UserError(f"{place}: {column} is {text[:40]!r}, but with several label columns each holds 0 or 1")
    return float(text in TRUE)


def class_number(value, column, place, count):
    """A label of a task whose classes are known, an int below `count`."""
    text = label_text(value, column, place)
    if not text.isdecimal() or int(text) >= count:
        raise UserError(f"{place}: the label is {text[:40]!r}, not one of 0 to {count - 1}")
    return int(text)


def settled(values, places, column, separator, notes):
    """The labels of a whole column: a list of str, or of lists of str where several may hold.

    separator: between the names of one cell, or None; notes: takes what was guessed. Raises UserError where labels
    stand in lists that cannot be read, or in lists in some rows only.
    """
    if lists := lists_as_text(values, places, column):
        values = lists
        notes.append(f"the cells of {column} are lists written as text: each of their entries is read as a label")
    elif separator:
        values = [value if isinstance(value, list) else label_text(value, column, place).split(separator)
                  for value, place in zip(values, places)]  # fmt: skip
    several = {isinstance(value, list): place for value, place in zip(values, places)}
    if len(several) > 1:
        raise UserError(
            f"{column}: a list in {several[True]}, but one label in {several[False]}: write lists throughout"
        )
    if True in several:
        labels = [[text for each in value if (text := label_text(each, column, place))]
                  for value, place in zip(values, places)]  # fmt: skip
    else:
        labels = [label_text(value, column, place) for value, place in zip(values, places)]
    return truths_in_one_way(whole_numbers(labels, column, notes), column, notes)


def lists_as_text(values, places, column):
    """Lists in place of cells that all are lists as JSON or Python write them; None where none is."""
    cells = [(value, place) for value, place in zip(values, places) if isinstance(value, str) and value.strip()]
    read = {value: list_in(value) for value, _ in cells if value.lstrip()[0] in "[({" and len(value) <= LIST}
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
    return [read.get(value, []) if isinstance(value, str) or value is None else value for value in values]


def list_in(text):
    """The list that a text is in JSON or Python, or None."""
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text.strip())
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        return list(value) if isinstance(value, (list, tuple, set)) else None
    return None


def whole_numbers(labels, column, notes):
    """`labels` with 0 for 0.0, where all are whole numbers and some are written so; as files differ in it."""
    parts = {name: WHOLE.fullmatch(name) for name in names_in(labels)}
    if not all(parts.values()) or not any(part[2] for part in parts.values()):
        return labels
    written = sorted(name for name in parts if parts[name][2])[:3]
    notes.append(f"the labels of {column} are whole numbers: {', '.join(written)} are read as "
                 f"{', '.join(parts[name][1] for name in written)}")  # fmt: skip
    return renamed(labels, {name: part[1] for name, part in parts.items()})


def truths_in_one_way(labels, column, notes):
    """`labels` with 1 for true and 0 for false, where both ways stand in one column and nothing else."""
    found = names_in(labels)
    lowered = {name.lower() for name in found}
    if not (lowered <= TRUE | FALSE and lowered & {"0", "1"} and lowered & {"true", "false"}):
        return labels
    notes.append(f"{column} has {', '.join(sorted(found))}: true is read as 1, false as 0")
    return renamed(labels, {name: str(int(name.lower() in TRUE)) for name in found})


def renamed(labels, names):
    """`labels` under new names. names: {old: new}, of all."""
    return [[names[name] for name in each] if isinstance(each, list) else names[each] for each in labels]


def names_in(labels):
    """The different names among labels, a set of str."""
    return {name for each in labels for name in (each if isinstance(each, list) else [each])}


def numbers_of(labels, column, names, notes):
    """(class numbers for labels, names by number), where they are zeros and ones by place, or `names` names numbers.

    names: as --label_names, a tuple of str, or (). Returns None where labels are names.
    """
    lists, found = isinstance(labels[0], list), names_in(labels)
    count = len(labels[0]) if lists else 0
    if count > 1 and all(len(each) == count for each in labels) and {name.lower() for name in found} <= TRUE | FALSE:
        if names and len(names) != count:
            raise UserError(f"--label_names has {len(names)} names, but each list of {column} has {count} places")
        shown = names or tuple(map(str, range(count)))
        notes.append(f"the lists of {column} are zeros and ones by place: the labels are {', '.join(shown)[:200]}"
                     + "; --label_names names them" * (not names))  # fmt: skip
        return [[place for place, name in enumerate(each) if name.lower() in TRUE] for each in labels], list(shown)
    if not names:
        return None
    if wrong := sorted(name for name in found if not (name.isdecimal() and int(name[:9]) < len(names))):
        raise UserError(f"--label_names names the labels 0 to {len(names) - 1}, but {column} has {wrong[0]!r}")
    return [list(map(int, each)) if lists else int(each) for each in labels], list(names)
