"""Rows of tables in text: what parts their fields, and what quotation marks mean, is decided from the whole file."""

import csv
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace

from tfbert.common.errors import UserError

QUOTINGS = ("auto", "minimal", "none")
FIELD = 10_000_000  # characters of one, at most
DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}
INVISIBLE = "\ufeff\u200b"  # a second mark of UTF-8, and a space of no width
CR = re.compile(r"\r(?![\r\n]|\Z)")
EXCEL = re.compile(r'"?sep=([^\w"]|\t)"?\s*', re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """How a table is written."""

    delimiter: str
    quoted: bool = True
    backslashes: bool = False  # escape quotation marks
    spaces: bool = False  # stand after delimiters

    def reader(self, lines):
        """A csv.reader of lines of text."""
        if self.backslashes:
            lines = (re.sub(r'(\\["\\])|\\', lambda found: found[1] or r"\\", line) for line in lines)
        return csv.reader(
            lines, delimiter=self.delimiter, quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
            escapechar="\\" if self.backslashes else None, skipinitialspace=self.spaces, strict=True,
        )  # fmt: skip


def read_table(lines, path, delimiter, columns, quoting, notes, header=()):
    """Yields (place, {column: text or None}) of a table; lines: a function that gives its (place, line)s anew.

    delimiter: what its name promises; columns: those wanted; header: the columns where the file names none.
    Raises UserError where the rows do not add up.
    """
    csv.field_size_limit(FIELD)
    first = next((line for _, line in lines()), None)
    if first is None:
        raise UserError(f"{path} is empty")
    skipped = 0
    if not header and (excel := EXCEL.fullmatch(first)):
        delimiter, skipped = excel[1], 1
        notes.append(f"{path}: the line {first.strip()} is Excel's and names what parts the columns")
        first = next((line for number, (_, line) in enumerate(lines()) if number), "")
    elif not header:
        delimiter = delimiter_of(first, path, delimiter, columns, notes)
    if not first.strip():
        raise UserError(f"{path}, line {1 + skipped}: empty, not the columns' names")

    def text():
        return (CR.sub(" ", line) for number, (_, line) in enumerate(lines()) if number >= skipped)

    stray, quotes = 0, False
    for number, (_, line) in enumerate(lines(), 1):
        quotes = quotes or '"' in line
        if not stray and "\r" in line and CR.search(line):
            stray = number
    if stray:
        notes.append(f"{path}: a carriage return (CR) within a line, as in line {stray}, is read as a space")
    plain = Dialect(delimiter, spaces=f"{delimiter} " in first)
    dialect = dialect_of(text, path, plain, quoting if quotes else "none", notes)
    rows = numbered_rows(text(), dialect, skipped, path)
    written = list(header) or next(rows)[1]
    names = [name.strip().strip(INVISIBLE).strip() for name in written]
    if names != written or plain.spaces and not header:
        notes.append(f"{path}: blanks beside the columns' names do not count")
    names, heads = distinct(names), []
    for number, row in rows:
        place = f"{path}, line {number}"
        if not header and len(row) > 1 and [row[0].lstrip("\ufeff"), *row[1:]] == written:
            heads.append(number)
            continue
        if len(row) > len(names):
            raise UserError(f"{place}: {len(row)} fields, more than the {len(names)} columns {', '.join(names)[:200]}; "
                            "a field that holds the delimiter stands in quotes")  # fmt: skip
        yield place, dict(zip(names, row + [None] * (len(names) - len(row))))
    if heads:
        notes.append(f"{path}: the columns' names stand again in line {heads[0]}"
                     + f" and {len(heads) - 1} more" * (len(heads) > 1) + ", which is no row")  # fmt: skip


def distinct(names):
    """`names` with the place of each that stands there twice: a (1), a (2)."""
    counts = Counter(names)
    return [f"{name} ({place})" if counts[name] > 1 else name for place, name in enumerate(names, 1)]


def numbered_rows(text, dialect, skipped, path):
    """Yields (number of the first line, fields) of the rows that are not empty."""
    reader = dialect.reader(text)
    while True:
        first = reader.line_num + 1 + skipped
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(f"{path}, line {first}: {trouble(error)}") from None
        if row:
            yield first, row


def trouble(error):
    """What an error of csv's means, and what to do."""
    words = str(error)
    if "field limit" in words:
        return f"a field of more than {FIELD:,} characters, the most that is read; is a quotation mark not closed?"
    return f"{words}; is a quotation mark not closed? --quoting none takes each line for a row"


def delimiter_of(header, path, promised, columns, notes):
    """What parts the names in the first line: what the file's name promises, or else what gives the wanted ones."""
    names = {delimiter: header_names(header, delimiter) for delimiter in (promised, *DELIMITERS)}
    wanted = {column.strip().casefold() for column in columns}
    right = [delimiter for delimiter in names if wanted <= {name.casefold() for name in names[delimiter]}]
    found = right[0] if right else max(names, key=lambda delimiter: len(names[delimiter]))
    if found != promised:
        notes.append(f"{path}: {DELIMITERS[found]}, not {DELIMITERS[promised]}, part its columns")
    return found


def header_names(header, delimiter):
    try:
        return [name.strip() for name in next(Dialect(delimiter, spaces=True).reader([header]), [])]
    except csv.Error:
        return [name.strip(' "\r\n') for name in header.split(delimiter)]


def dialect_of(text, path, plain, quoting, notes):
    """The Dialect under which the rows of a whole file add up; `plain` where none is better."""
    bare = replace(plain, quoted=False)
    if quoting == "none":
        return bare
    fault, long_rows = survey(text, plain)
    if fault is None and not any(half_quoted(row) for row in plain.reader(text())):
        return (
            plain if quoting == "minimal" or not long_rows else of_long_rows(text, path, plain, bare, long_rows, notes)
        )
    escaped, spaced = replace(plain, backslashes=True), replace(plain, spaces=True)
    for other, words in (
        (spaced, "spaces stand between delimiters and quotation marks"),
        (escaped, "backslashes stand before quotation marks that are part of a text"),
    ):
        if other != plain and survey(text, other)[0] is None and not any(map(half_quoted, other.reader(text()))):
            notes.append(f"{path}: {words}")
            return other
    if fault and quoting == "auto" and adds_up(text, bare) > 1:
        notes.append(f"{path}: each line is a row, and quotation marks are signs like others, as some are not closed; "
                     "--quoting minimal takes them for quotes")  # fmt: skip
        return bare
    return plain


def of_long_rows(text, path, plain, bare, long_rows, notes):
    """`plain`, or `bare` where rows that run over several lines are rows melted together."""
    last, first = long_rows[0]
    if plain.delimiter != "\t" and not melted(text, long_rows, plain.delimiter):
        return plain
    several = f"rows that run over several lines, {len(long_rows):,} of them, the first from line {first} to {last}"
    if adds_up(text, bare) > 1:
        notes.append(f"{path}: each line is a row, and quotation marks are signs like others; taken for quotes they "
                     f"would make {several}: --quoting minimal does that")  # fmt: skip
        return bare
    notes.append(f"{path}: quotation marks make {several}; --quoting none takes each line for a row")
    return plain


def survey(text, dialect):
    """What does not add up, in words or None; and the rows that run over several lines, as (last line, fields)."""
    reader, width, before, long_rows = dialect.reader(text()), None, 0, []
    try:
        for row in reader:
            if row and width is None:
                width = len(row)
            if len(row) > (width or 0):
                return f"line {reader.line_num}", long_rows
            if reader.line_num > before + 1:
                long_rows.append((reader.line_num, before + 1))
            before = reader.line_num
    except csv.Error as error:
        return str(error), long_rows
    return None, long_rows


def adds_up(text, bare):
    """How many fields each line has that is not empty; 0 where they differ, or where one has them all in quotes."""
    try:
        rows = [row for row in bare.reader(text()) if row]
    except csv.Error:
        return 0
    in_quotes = any(all(len(field) > 1 and field[0] == field[-1] == '"' for field in row) for row in rows)
    widths = {len(row) for row in rows}
    return 0 if in_quotes or len(widths) > 1 else widths.pop()


def half_quoted(row):
    """Whether a field is in quotation marks that were not taken for quotes, as they follow a space."""
    return any(field[:1] == " " and re.fullmatch(r' +".*" *', field, re.DOTALL) for field in row)


def melted(text, long_rows, delimiter):
    """Whether a line within a row ends or begins as a row of its own would, with a label that other rows have too."""
    begins, ends = defaultdict(int), defaultdict(int)
    for row, inside in fields_by_line(text, long_rows, delimiter):
        if not inside and row[0] and row[-1]:
            begins[row[0]] += 1
            ends[row[-1]] += 1
    width = len(next(fields_by_line(text, long_rows, delimiter))[0])
    return width > 1 and any(
        len(row) == width and (inside[0] and begins.get(row[0], 0) > 1 or inside[1] and ends.get(row[-1], 0) > 1)
        for row, inside in fields_by_line(text, long_rows, delimiter)
        if inside
    )


def fields_by_line(text, long_rows, delimiter):
    """Yields the beginnings of each line's fields, and None, or of a line within a long row (is it not the first of
    that, is it not the last).
    """
    ahead = iter(long_rows)
    last, first = next(ahead)
    for number, line in enumerate(text(), 1):
        row = [field.strip()[:100] for field in line.split(delimiter)]
        if number > last:
            last, first = next(ahead, (float("inf"), float("inf")))
        yield row, (number > first, number < last) if number >= first else None
