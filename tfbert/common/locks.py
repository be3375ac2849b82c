"""One run at a time in a folder. The system frees the lock when the process ends, however it ends."""

import contextlib
import errno
import os
import socket
import sys
import time
from pathlib import Path

from tfbert.common.errors import UserError
from tfbert.common.systems import WINDOWS

LOCKED_BYTE = 1 << 30  # Windows lets nobody read what is locked: not where the text stands
HELD = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK}


@contextlib.contextmanager
def sole_run(folder, note, flag="--output_dir"):
    """A context in which no other process is in this one, on any machine, for the same folder, or file.

    A folder that comes to be within the block goes again where nothing was put into it.
    note: called with a line where that is not certain; flag: what named the folder. Raises UserError, having touched
    nothing, where another run has the folder, or nothing can be written beside it.
    """
    folder = Path(folder).resolve()
    was_there = folder.exists()
    path = folder / ".lock" if os.path.ismount(folder) else folder.with_name(f".{folder.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = acquired(path, folder, note, flag)
    except OSError as error:
        raise UserError(f"{flag} {str(folder)[:200]}: cannot write there ({error.strerror})") from error
    try:
        host, before = socket.gethostname(), read(file)
        if " on " in before and f" on {host}," not in before:
            note(f"{before} did not end in an orderly way: if it still runs, stop one of the two")
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {host}, begun {time.strftime('%Y-%m-%d %H:%M:%S')}")
        file.flush()
        yield
    finally:
        if not was_there:
            with contextlib.suppress(OSError):  # nothing came of it, or it is not empty
                folder.rmdir()
        if WINDOWS:
            file.close()
        with contextlib.suppress(OSError):
            os.unlink(path)
        file.close()


def acquired(path, folder, note, flag):
    """The file at `path`, open and locked."""
    while True:
        file = open(path, "a+", encoding="utf-8", errors="replace")
        try:
            lock(file)
        except OSError as error:
            if error.errno in HELD:
                holder = read(file, patience=1)
                file.close()
                raise UserError(
                    f"{flag} {folder} is in use by another run ({holder}): wait for its end, or choose another"
                ) from None
            note(f"the disk of {folder} cannot lock files ({error.strerror}): begin no second run there")
            return file
        if WINDOWS:
            return file  # where nobody can remove what is open
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(path), os.fstat(file.fileno())):
                return file
        file.close()  # the run before removed it in the meantime


def lock(file):
    """Raises OSError where another process has it, or the disk cannot."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def read(file, patience=0):
    """What stands in the file; of one that was just made, within so many seconds."""
    end = time.monotonic() + patience
    while True:
        file.seek(0)
        text = file.read(300).strip()
        if text or time.monotonic() > end:
            return text or "one that has just begun"
        time.sleep(0.01)
