"""Files and folders that appear whole or not at all."""

import contextlib
import csv
import ctypes
import hashlib
import json
import os
import shutil
import sys
import time
from pathlib import Path

from tfbert.common.console import note
from tfbert.common.errors import UserError
from tfbert.common.systems import patiently

ASIDE = ".replaced"  # where replace_entries lays what it replaces


@contextlib.contextmanager
def replaced_file(path):
    """Yields a path beside `path`; what was written there takes its place when the block ends well."""
    path = Path(path).resolve()  # a link stays, and what it points at is replaced
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.saving{path.suffix}")
    try:
        yield staged
        patiently(os.replace, staged, path)
    finally:
        staged.unlink(missing_ok=True)


def write_text(path, text):
    with replaced_file(path) as staged:
        staged.write_text(text, encoding="utf-8", newline="\n")


def write_json(path, value):
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_csv(path, rows):
    """rows: a list of dicts, which need not have the same keys."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replaced_file(path) as staged, open(staged, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


@contextlib.contextmanager
def replaced_folder(folder, owned=None):
    """Yields an empty folder that takes the place of `folder` when the block ends well.

    On Linux in one step: whoever looks, or is killed, at any moment finds the old folder or the new one, whole. On
    other systems, and for a mount point, entry by entry. Where `owned` is given, entries of the old folder that do not
    stand in it (a user's own files) are carried over.
    """
    folder = Path(folder).resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    finish_replacement(folder, owned)
    mounted = folder.exists() and is_mount(folder)
    staged = folder / ".saving" if mounted else beside(folder)
    staged.mkdir()
    try:
        yield staged
        if not folder.exists():
            patiently(os.rename, staged, folder)
        elif mounted or not swapped(staged, folder, owned):
            replace_entries(staged, folder, owned)
    finally:
        discard(staged, folder, owned)


def same_file(one, other):
    """Whether two paths are of one file, or would be, also where a disk takes Data.csv for data.csv."""
    one, other = Path(one), Path(other)
    return one.samefile(other) if one.exists() and other.exists() else one.resolve() == other.resolve()


def sum_of(path):
    """The sha256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_whole(folder, read):
    """What read() gives, of one state of `folder`, though another process may replace what is in it meanwhile.

    Raises what read() raises, and UserError where the folder never stays as it is for long enough.
    """
    for _ in range(50):
        before = state_of(folder)
        try:
            result = read()
        except Exception:
            if before is not None and state_of(folder) == before:
                raise
        else:
            if before is not None and state_of(folder) == before:
                return result
        time.sleep(0.1)
    raise UserError(f"{folder} is being replaced: try again when that is done")


def state_of(folder):
    """Changes when a file of a model folder does; None while one is half replaced, or a file of it just went."""
    folder = Path(folder).resolve()
    if any((staged / ASIDE).exists() for staged in (folder / ".saving", beside(folder))):
        return None
    places = [folder, folder / "onnx"]
    try:
        found = [path.stat() for place in places if place.is_dir() for path in place.iterdir() if path.is_file()]
    except FileNotFoundError:
        return None
    return sorted((each.st_dev, each.st_ino, each.st_mtime_ns, each.st_size) for each in found)


def beside(folder):
    return folder.with_name(f".{folder.name}.saving")


def finish_replacement(folder, owned):
    """Tidies up after a replaced_folder that was killed: a user's own files come back."""
    folder = Path(folder).resolve()
    for staged in (folder / ".saving", beside(folder)):
        discard(staged, folder, owned)
        if staged.exists():
            raise UserError(f"{staged} is left of an earlier run: see to it that it can be removed, and remove it")


def discard(staged, folder, owned):
    """Removes `staged`, once a user's own files, and what replace_entries had laid aside, are back in `folder`."""
    if staged.is_symlink() or staged.is_file():
        staged.unlink()
    if not staged.exists():
        return
    aside = staged / ASIDE
    own = [entry for entry in staged.iterdir() if owned and entry.name not in {*owned, ASIDE}]
    for entry in [*(aside.iterdir() if aside.exists() else ()), *own]:
        if folder.exists() and not (folder / entry.name).exists():
            patiently(os.rename, entry, folder / entry.name)
    try:
        shutil.rmtree(staged)
    except OSError as error:
        note(f"{staged}/ holds what was replaced, and cannot be removed ({error.strerror})")


def swapped(staged, folder, owned):
    """Exchanges the two; a user's own files stay in `folder`. False, and all is as before, where that cannot be."""
    if sys.platform != "linux":
        return False
    own = [name for name in os.listdir(folder) if owned and name not in owned and not (staged / name).exists()]
    if not moved(own, folder, staged):
        return False
    if not exchange(staged, folder):
        moved(own, staged, folder)
        return False
    return True


def moved(names, source, target):
    """Moves entries from one folder to another. False, and none is moved, where one cannot be."""
    for place, name in enumerate(names):
        try:
            os.rename(source / name, target / name)
        except OSError:
            for before in names[:place]:
                os.rename(target / before, source / before)
            return False
    return True


def is_mount(folder):
    """True where files cannot be renamed into `folder` from beside it: another disk, or a bind mount."""
    probe = folder.with_name(f".{folder.name}.probe")
    probe.touch()
    try:
        patiently(os.rename, probe, folder / probe.name)
    except OSError:
        patiently(probe.unlink)
        return True
    patiently((folder / probe.name).unlink)
    return False


def exchange(one, other):
    """Swaps two folders in one step: Linux's renameat2(2) with RENAME_EXCHANGE. False where the system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    current_folder, exchange_flag = -100, 2
    return rename is not None and 0 == rename(
        current_folder, os.fsencode(one), current_folder, os.fsencode(other), exchange_flag
    )


def replace_entries(staged, folder, owned=None):
    """Without an exchange, and for a mount point, which cannot be renamed: entry by entry.

    Where one cannot be moved (on Windows, a file that another program has open), all are moved back.
    """
    new, aside = [entry.name for entry in staged.iterdir()], staged / ASIDE
    aside.mkdir()
    try:
        for entry in list(folder.iterdir()):
            if entry.name in {*new, *(owned or ())}:
                patiently(os.rename, entry, aside / entry.name)
        for name in new:
            patiently(os.rename, staged / name, folder / name)
    except OSError:
        for name in new:
            if not (staged / name).exists():
                patiently(os.rename, folder / name, staged / name)
        raise  # what was laid aside goes back when `staged` is discarded
    patiently(shutil.rmtree, aside)
