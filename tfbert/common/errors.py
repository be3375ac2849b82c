"""What a user can mend is said in one line; everything else keeps its traceback."""

import contextlib
import difflib
import errno
import os
import sys

from tfbert.common.systems import WINDOWS
from tfbert.common.text import printable


class UserError(Exception):
    """Bad input, a missing file, no network: shown as one line, exit code 2."""


PACKAGES = {"tensorflow", "keras", "transformers", "tokenizers", "datasets", "huggingface_hub", "pyarrow",
            "safetensors", "h5py", "sentencepiece", "onnx", "onnxruntime", "sklearn", "matplotlib", "seaborn", "numpy",
            "yaml"}  # fmt: skip


RUNTIME = "; on Windows also the latest Visual C++ Redistributable, aka.ms/vs/17/release/vc_redist.x64.exe" * WINDOWS


def not_installed(package):
    activate = ".venv\\Scripts\\activate" if WINDOWS else "source .venv/bin/activate"
    return (
        f"{package} is not installed in this Python ({sys.executable}): activate the environment that has it "
        f"({activate}), or pip install -r requirements.txt{RUNTIME}"
    )


class SilentServer(TimeoutError):
    """A server that no longer answers. Threads still wait for it, and would hold the process at its end."""


def must(holds, rule):
    """Raises UserError with this rule where it does not hold."""
    if not holds:
        raise UserError(rule)


def nearest(name, known):
    """The end of a message: which of `known` may have been meant, or nothing."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def causes(error):
    """The error, what it was raised from, and so on to the root."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def one_line(error):
    """What an error says, in one line of at most 160 signs; its class where it says nothing."""
    return " ".join((str(error) or type(error).__name__).split())[:160]


# of a full, read-only, forbidden or failing disk, whichever library met it; the last three are those of Windows, which
# speaks the user's language elsewhere
DISK_ERRORS = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO, errno.ENAMETOOLONG}
DISK_WORDS = ("No space left", "Disk quota exceeded", "Read-only file system", "Permission denied",
              "Operation not permitted", "File too large", "Input/output error", "File name too long",
              "Access is denied", "being used by another process", "not enough space on the disk")  # fmt: skip


def disk_trouble(error):
    """What the disk said behind an error, or None."""
    for each in causes(error):
        if getattr(each, "errno", None) in DISK_ERRORS or any(word in str(each) for word in DISK_WORDS):
            return str(each)
    return None


def is_gone_reader(error):
    """Whether a write failed as the program that reads has ended: Windows calls that an invalid argument."""
    return WINDOWS and isinstance(error, OSError) and error.errno == errno.EINVAL and error.filename is None


def run(main):
    """Call `main` as a command and return its exit code: 0, 2 for a UserError, 130 for Ctrl-C, 141 as of SIGPIPE."""
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without emoji is no reason to fail
    try:
        code = main() or 0
        sys.stdout.flush()
        return code
    except UserError as error:
        message = error
        if any(isinstance(each, SilentServer) for each in causes(error)):
            show(message)
            os._exit(2)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader went away, as `head` does
        silence(sys.stdout)
        return 141
    except ModuleNotFoundError as error:
        if error.name not in PACKAGES:
            raise
        message = not_installed(error.name)
    except ImportError as error:
        if not WINDOWS:
            raise
        message = f"{error}{RUNTIME}"
    except Exception as error:
        if is_gone_reader(error):
            silence(sys.stdout)
            return 141
        message = disk_trouble(error)
        if message is None:
            raise
        message += ": free or change the place where it writes, then run again"
    show(message)
    return 2


def complain(text):
    """Prints a line to standard error; where that is full, it is lost, and the exit code is what it would be."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)


def silence(stream):
    """What a stream holds still goes nowhere: else the interpreter fails at its end, with a code of its own."""
    with contextlib.suppress(OSError, ValueError):  # one without a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def show(message):
    complain("error: " + printable(" ".join(str(message).split())))
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        return
    silence(sys.stdout)
