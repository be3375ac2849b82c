import os
import re
import shlex
import subprocess
import sys

import pytest
from conftest import ROOT

from tfbert.common.errors import PACKAGES, UserError, not_installed, run


def fail(*errors):
    """A main that raises the last error from the one before, and so on."""

    def main():
        previous = None
        for error in errors:
            try:
                raise error from previous
            except BaseException as raised:
                previous = raised
        raise previous

    return main


@pytest.mark.parametrize(
    "errors, code, message",
    [
        ([UserError("the file is\nno file")], 2, "error: the file is no file\n"),
        ([KeyboardInterrupt()], 130, "\nInterrupted.\n"),
        (
            [OSError(28, "No space left on device"), ValueError("I/O operation on closed file")],
            2,
            "error: [Errno 28] No space left on device: free or change the place where it writes, then run again\n",
        ),
        ([ModuleNotFoundError(name="tensorflow")], 2, f"error: {not_installed('tensorflow')}\n"),
    ],
)
def test_what_a_user_can_mend_is_one_line(errors, code, message, capsys):
    assert run(fail(*errors)) == code
    assert capsys.readouterr().err == message


def test_an_unexpected_error_keeps_its_traceback():
    for error in (ZeroDivisionError(), ModuleNotFoundError(name="tfbert.gone")):
        with pytest.raises(type(error)):
            run(fail(error))


def test_a_python_without_the_packages_says_what_to_do():
    script = [sys.executable, "-S", "train.py"]  # -S: as outside of the environment
    process = subprocess.run(script, cwd=ROOT, capture_output=True, text=True)
    assert process.stderr == f"error: {not_installed('numpy')}\n" and process.returncode == 2


def test_the_packages_that_are_asked_for_are_those_of_the_requirements():
    wanted = re.findall(r"^[\w-]+", (ROOT / "requirements.txt").read_text(), re.M)
    imported_as = {"scikit-learn": "sklearn", "PyYAML": "yaml"}
    assert {imported_as.get(name, name) for name in wanted} == PACKAGES


def test_success_is_zero():
    assert run(lambda: None) == 0


def test_a_reader_that_goes_away_is_no_success():
    program = (
        "import sys; from tfbert.common.errors import run; sys.exit(run(lambda: [print(n) for n in range(10**5)]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 141


def test_what_a_terminal_would_obey_is_shown_as_escapes(capsys):
    from tfbert.common.console import note, say

    title = "\x1b]0;title\x07"
    assert run(fail(UserError(f"no column '{title}\x9b1m'"))) == 2
    say("Labels", f"{title}\u202e 50%")
    note(title)
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err and "\x07" not in shown.out + shown.err
    assert shown.out == "Labels    \\x1b]0;title\\x07\\u202e 50%\n"
    assert shown.err == ("error: no column '\\x1b]0;title\\x07\\x9b1m'\nnote: \\x1b]0;title\\x07\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.parametrize(
    "program, redirection, code, message",
    [
        ("print('x')", ">/dev/full", 2, "error: [Errno 28] No space left on device"),
        ("print('x')", ">/dev/full 2>/dev/full", 2, ""),
        ("fail()", "2>/dev/full", 2, ""),
        ("fail()", "2>&-", 2, ""),
        ("note('x')", "2>/dev/full", 0, ""),
        ("note('x')", "2>&-", 0, ""),
    ],
)
def test_streams_that_are_full_or_closed(program, redirection, code, message):
    whole = (
        "import sys; from tfbert.common.errors import run, UserError; from tfbert.common.console import note\n"
        "def fail(): raise UserError('no')\n"
        f"sys.exit(run(lambda: {program}))"
    )
    command = f"exec {shlex.quote(sys.executable)} -c {shlex.quote(whole)} {redirection}"
    result = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr.startswith(message) and (message or not result.stderr)
