"""Rows of JSON as it is found: an object a line, objects over several lines, a list of them, or columns."""

import json
import re
from itertools import chain, islice

from tfbert.common.errors import UserError

WHOLE = 1 << 28  # characters of a file that is not an object a line, at most


def read_json(lines, path, columns, notes):
    """Yields (place, {key: value}) of (place, line)s; a bare text is {"text": it}. columns: the keys that are wanted.

    Raises UserError where it is not JSON.
    """
    lines = ((place, line) for place, line in lines if line.strip())
    first = list(islice(lines, 2))
    if first and stands_in_lines(first, columns):
        yield from read_lines_of_json(chain(first, lines))
    else:
        yield from read_whole(chain(first, lines), path, columns, notes)


def stands_in_lines(first, columns):
    """Whether each line is a row, by the first two that are not blank."""
    try:
        value = json.loads(first[0][1])
    except (ValueError, RecursionError):
        return False
    return not isinstance(value, list) and (len(first) > 1 or nested_rows(value, columns) is None)


def read_lines_of_json(lines):
    for place, line in lines:
        try:
            yield place, as_row(json.loads(line, object_pairs_hook=object_of))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{place}: not JSON ({error})") from None


def read_whole(lines, path, columns, notes):
    """Yields the rows of a file whose values do not stand in a line each."""
    places, parts, size = [], [], 0
    for place, line in lines:
        places.append(place)
        parts.append(line)
        size += len(line)
        if size > WHOLE:
            raise UserError(f"{path}: over {WHOLE:,} characters, too many to be read at once; write an object a line: "
                            f"jq -c '.[]' {path} > rows.jsonl")  # fmt: skip
    values = list(values_in("".join(parts).rstrip(), places))
    if len(values) == 1 and (nested := nested_rows(values[0], columns)):
        values, words = nested
        notes.append(f"{path}: {words} are read as {len(values):,} rows")
    rows = (row for value in values for row in (value if isinstance(value, list) else [value]))
    for number, row in enumerate(rows, 1):
        yield f"{path}, entry {number}", as_row(row)


def values_in(text, places):
    """Yields the JSON values that stand in a text one after another. places: of its lines."""
    decode, end = json.JSONDecoder(object_pairs_hook=object_of).raw_decode, 0
    while end < len(text):
        start = re.compile(r"\s*").match(text, end).end()
        try:
            value, end = decode(text, start)
        except json.JSONDecodeError as error:
            raise UserError(f"{places[error.lineno - 1]}: not JSON ({error.msg})") from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{places[text.count(chr(10), 0, start)]}: not JSON ({error})") from None
        yield value


def nested_rows(value, columns):
    """(rows, what they are in words) of an object that holds a list of rows, or columns; else None."""
    if not isinstance(value, dict) or any(isinstance(value.get(column), str) for column in columns):
        return None
    lists = {key: each for key, each in value.items() if isinstance(each, list) and each}
    of_rows = [key for key, each in lists.items() if all(isinstance(row, dict) for row in each)]
    if len(of_rows) == 1:
        return value[of_rows[0]], f"the entries of {of_rows[0]!r}"
    if len(lists) == len(value) > 1 and len({len(each) for each in lists.values()}) == 1:
        return [dict(zip(value, row)) for row in zip(*value.values())], "the lists of its keys"
    if len(value) > 1 and all(isinstance(each, dict) and each for each in value.values()):
        keys = list(next(iter(value.values())))  # as pandas writes a table: {column: {row: value}}
        if all(list(each) == keys for each in value.values()):
            return [{name: each[key] for name, each in value.items()} for key in keys], "the columns of its keys"
    return None


def object_of(pairs):
    """The dict of an object's pairs. Raises ValueError where a key stands there twice, as one value would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {max(keys, key=keys.count)!r} stands twice in one object")
    return found


def as_row(value):
    return value if isinstance(value, dict) else {"text": value}
