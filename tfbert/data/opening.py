"""Lines of text out of files as found: UTF-8, UTF-16 or UTF-32, packed by gzip or not, whatever ends a line."""

import codecs
import contextlib
import gzip
import io
import os
import stat
import zlib
from itertools import chain
from pathlib import Path

from tfbert.common.errors import UserError, nearest
from tfbert.common.systems import WINDOWS, quoted

LINE = 1 << 26  # bytes of one, at most
EMPTY = 1_000_000  # lines without a sign, one after another, at most: a small .gz holds millions
SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".ods")
AS_CSV = "a spreadsheet: in its program, save it as CSV UTF-8"
MARKS = {  # the longer ones first: that of UTF-32 begins as that of UTF-16
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
FOREIGN = {
    b"PK\x03\x04": f"a zip archive, or {AS_CSV}",
    b"\xd0\xcf\x11\xe0": AS_CSV,
    b"%PDF": "a PDF document: name a table",
    b"PAR1": "a Parquet file: let its name end in .parquet",
    b"\x1f\x8b": "packed twice: unpack it once with gzip -d",
    b"BZh": "packed: unpack it with bzip2 -d",
    b"\xfd7zXZ": "packed: unpack it with xz -d",
    b"(\xb5/\xfd": "packed: unpack it with zstd -d",
}


def kind_of(path):
    """What a file's name says of it: ".csv" of own.csv and of own.csv.gz."""
    path = Path(path)
    return Path(path.stem if path.suffix.lower() == ".gz" else path).suffix.lower()


@contextlib.contextmanager
def opened(path, flag):
    """Yields a file, unpacked, as io.BufferedReader. flag: what named it.

    Raises UserError where it is missing or not a regular file, and where reading it fails within the block.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UserError(f"{flag} {path}: not a regular file; write what it gives into one")
        with open(path, "rb") as file:
            if file.peek(2)[:2] != b"\x1f\x8b":
                yield file
                return
            with gzip.open(file) as unpacked, io.BufferedReader(unpacked) as buffered:
                yield buffered
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{flag} {path}: damaged, as gzip says: {error}") from error
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or error
        raise UserError(f"{flag} {str(path)[:200]}: {words}{like_it(path, error)}") from error


def like_it(path, error):
    """The end of a message: the file of nearly that name in the same folder, where that is what was meant."""
    with contextlib.suppress(OSError):
        if isinstance(error, FileNotFoundError):
            return nearest(Path(path).name, os.listdir(Path(path).parent))
    return ""


def decoded(file, name, notes):
    """Yields (place, line) of a binary file; lines end in LF, also where the file's end in CR alone."""
    lines, start = in_utf8(file, name), file.peek(8)
    if found := next((words for mark, words in FOREIGN.items() if start.startswith(mark)), None):
        raise UserError(f"{name} is {found}")
    if encoding := next((encoding for mark, encoding in MARKS.items() if start.startswith(mark)), None):
        lines = in_wide(file, name, encoding)
        notes.append(f"{name} is read as {encoding}, as its first bytes say")
    first = next(lines, "")
    if not first.endswith("\n") and first.count("\r") > 1:
        notes.append(f"{name}: lines end in CR alone, as old spreadsheets write them")
        lines = (part + "\n" for part in first.split("\r") if part)
    elif first:
        lines = chain([first], lines)
    empty = 0
    for number, line in enumerate(lines, 1):
        place = f"{name}, line {number}"
        if "\0" in line:
            raise UserError(f"{place}: a NUL byte, so this is no text file; if it is UTF-16: "
                            f"{converted(name, 'UTF-16LE')}")  # fmt: skip
        empty = 0 if line.strip() else empty + 1
        if empty > EMPTY:
            raise UserError(f"{place}: more than {EMPTY:,} empty lines, one after another: is this the right file?")
        yield place, line


def in_utf8(file, name):
    number = 0
    while line := file.readline(LINE + 1):
        number += 1
        check_length(line, number, name)
        try:
            yield line.decode() if number > 1 else line.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise UserError(f"{name}, line {number}: not UTF-8 text, or no text at all; if Windows wrote it: "
                            f"{converted(name, 'cp1252')}") from None  # fmt: skip


def in_wide(file, name, encoding):
    text, number = io.TextIOWrapper(file, encoding, newline="\n"), 0
    try:
        while line := text.readline(LINE + 1):
            number += 1
            check_length(line, number, name)
            yield line
    except UnicodeError as error:
        raise UserError(f"{name}, line {number + 1}: not {encoding} text, as its first bytes say") from error


def check_length(line, number, name):
    if len(line) > LINE:
        raise UserError(f"{name}, line {number}: longer than {LINE:,} bytes, the most that is read; if lines end in CR "
                        "alone: tr '\\r' '\\n'")  # fmt: skip


def converted(name, encoding):
    """The command that converts a file, or standard input, from an encoding to UTF-8."""
    in_excel = "save it in Excel as CSV UTF-8"
    if WINDOWS:
        return in_excel
    command, path = f"iconv -f {encoding} -t UTF-8", Path(name)
    if not path.exists():
        return f"pipe it through {command}"
    packed = path.suffix.lower() == ".gz"
    bare = path.with_suffix("") if packed else path
    new = quoted(str(bare.with_name(f"{bare.stem}.utf8{bare.suffix}")))
    old = quoted(str(path))
    return f"gzip -dc {old} | {command} > {new}" if packed else f"{command} {old} > {new}"
