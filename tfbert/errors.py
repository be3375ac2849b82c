"""What a user can mend is said in one line; everything else keeps its traceback."""

import os
import sys


class UserError(Exception):
    """Bad input, a missing file, no network: shown as one line, exit code 2."""


def is_disk_trouble(error):
    """True for a full, read-only or forbidden disk, or a name that it cannot hold, whichever library met it."""
    words = ("No space left", "Disk quota exceeded", "Read-only file system", "Permission denied",
             "File name too long")  # fmt: skip
    return any(word in str(error) for word in words)


def run(main):
    """Call `main` as a command and return its exit code: 0, 2 for a UserError, 130 for Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without emoji is no reason to fail
    try:
        return main() or 0
    except UserError as error:
        message = error
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if not is_disk_trouble(error):
            raise
        message = error
    print("error: " + " ".join(str(message).split()), file=sys.stderr)
    return 2
