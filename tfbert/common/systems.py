"""Where Windows goes its own way: files that another program has open, quotation marks, pipes, colours."""

import os
import re
import select
import shlex
import sys
import time

WINDOWS = os.name == "nt"
PATIENCE = 10  # seconds
COLOURS = 4  # ENABLE_VIRTUAL_TERMINAL_PROCESSING


def patiently(action, *arguments):
    """What action(*arguments) gives; on Windows tried again for PATIENCE where another program has a file open, as
    virus scanners have, for a moment, what was just written.
    """
    end = time.monotonic() + (PATIENCE if WINDOWS else 0)
    while True:
        try:
            return action(*arguments)
        except PermissionError:
            if time.monotonic() >= end:
                raise
        time.sleep(0.1)


def quoted(word):
    """A word of a command line, as the shell takes it for one: cmd.exe knows no single quotes."""
    if not WINDOWS:
        return shlex.quote(word)
    if re.fullmatch(r"[\w\-./\\:+@]+", word):
        return word
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', word)
    return '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'  # backslashes count twice before a quotation mark only


def command_line(words):
    return " ".join(map(quoted, words))


def comes_within(seconds):
    """Whether standard input, a pipe, has something, or ends, by then."""
    if not WINDOWS:
        return bool(select.select([0], [], [], seconds)[0])
    import ctypes
    import msvcrt

    handle, waiting = ctypes.c_void_p(msvcrt.get_osfhandle(0)), ctypes.c_ulong()
    look = ctypes.windll.kernel32.PeekNamedPipe  # gives 0 where the pipe has ended
    end = time.monotonic() + seconds
    while look(handle, None, 0, None, ctypes.byref(waiting), None) and not waiting.value:
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True


def shows_colours():
    """Whether standard output, a terminal, does: consoles before Windows Terminal have to be asked to."""
    if not WINDOWS:
        return True
    import ctypes
    import msvcrt

    console, mode = ctypes.c_void_p(msvcrt.get_osfhandle(sys.stdout.fileno())), ctypes.c_ulong()
    kernel = ctypes.windll.kernel32
    return bool(
        kernel.GetConsoleMode(console, ctypes.byref(mode)) and kernel.SetConsoleMode(console, mode.value | COLOURS)
    )
