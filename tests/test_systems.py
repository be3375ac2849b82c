"""What differs on Windows, which is played here: none of these tests needs it."""

import ctypes
import errno
import os
import re
import shlex
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

from tfbert.common import errors, files, systems
from tfbert.common.errors import UserError, disk_trouble
from tfbert.common.files import replaced_file, replaced_folder, same_file, write_text
from tfbert.common.systems import comes_within, command_line, patiently, quoted
from tfbert.data import opening
from tfbert.model.backend import silent_stderr
from tfbert.training.outputs import must_be_free


@pytest.fixture
def windows(monkeypatch):
    for module in (systems, errors, opening):
        monkeypatch.setattr(module, "WINDOWS", True)


class Refusing:
    """A function that is refused `times` before it does what it should."""

    def __init__(self, action, times):
        self.action, self.times = action, times

    def __call__(self, *arguments):
        self.times -= 1
        if self.times >= 0:
            raise PermissionError(errno.EACCES, "Zugriff verweigert")
        return self.action(*arguments)


def test_what_a_virus_scanner_has_open_for_a_moment_is_waited_for(windows, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", Refusing(os.replace, 2))
    with replaced_file(tmp_path / "a.txt") as staged:
        staged.write_text("whole")
    assert (tmp_path / "a.txt").read_text() == "whole" and os.listdir(tmp_path) == ["a.txt"]


def test_so_is_a_folder_that_is_replaced_entry_by_entry(windows, tmp_path, monkeypatch):
    monkeypatch.setattr(files.sys, "platform", "win32")
    folder = tmp_path / "output"
    folder.mkdir()
    (folder / "own.txt").write_text("mine")
    (folder / "old").write_text("old")
    monkeypatch.setattr(os, "rename", Refusing(os.rename, 2))
    monkeypatch.setattr(shutil, "rmtree", Refusing(shutil.rmtree, 1))
    with replaced_folder(folder, owned={"old", "new"}) as staged:
        (staged / "new").write_text("new")
    assert sorted(os.listdir(folder)) == ["new", "own.txt"] and os.listdir(tmp_path) == ["output"]


def test_what_stays_refused_is_an_error(windows, monkeypatch):
    monkeypatch.setattr(systems, "PATIENCE", 0.2)
    with pytest.raises(PermissionError):
        patiently(Refusing(print, 1000))


def test_elsewhere_nothing_is_tried_twice():
    refusing = Refusing(print, 2)
    with pytest.raises(PermissionError):
        patiently(refusing)
    assert refusing.times == 1


def as_programs_on_windows_read(line):
    """The words of a command line, by the rules of Microsoft's C library: 2n backslashes before a quotation mark are n
    and the mark opens or closes, 2n + 1 are n and a mark.
    """
    words, word, inside = [], None, False
    for backslashes, mark, space, other in re.findall(r'(\\*)(?:(")|(\s)|([^\\"\s]|$))', line):
        if backslashes or mark or other:
            word = word or ""
        word = word if word is None else word + "\\" * (len(backslashes) // 2 if mark else len(backslashes)) + other
        if mark and len(backslashes) % 2:
            word += '"'
        elif mark:
            inside = not inside
        elif space and inside:
            word += space
        elif space and word is not None:
            words, word = [*words, word], None
    return [*words, *([] if word is None else [word])]


WORDS = [
    "train.py",
    r"C:\Users\Ann Example\a b.csv",
    r"results\new",
    "C:\\my files\\",
    'say "so"',
    '\\"',
    "a|b",
    "",
    "ä&ö",
]


def test_a_suggested_command_can_be_typed(windows):
    line = command_line(WORDS)
    assert as_programs_on_windows_read(line) == WORDS and "'" not in line
    assert r" results\new " in line and '"a|b"' in line and '"ä&ö"' in line


def test_elsewhere_as_a_posix_shell_reads_it():
    assert shlex.split(command_line(WORDS)) == WORDS and quoted("a b") == "'a b'"


def test_files_in_another_encoding_are_saved_anew(windows, tmp_path):
    (tmp_path / "a.csv").write_text("x")
    assert "iconv" not in opening.converted(str(tmp_path / "a.csv"), "latin-1")


def test_a_disk_that_says_no_in_another_language_is_told_in_one_line():
    try:
        try:
            raise PermissionError(errno.EACCES, "Zugriff verweigert", "labels.csv")
        except OSError as error:
            raise RuntimeError("cannot save") from error
    except RuntimeError as error:
        assert "labels.csv" in disk_trouble(error)
    assert disk_trouble(ValueError("none of it")) is None


@pytest.mark.parametrize("error", [OSError(errno.EINVAL, "Invalid argument"), BrokenPipeError(errno.EPIPE, "")])
def test_a_reader_that_went_away_is_no_error(error):
    script = (
        "from tfbert.common import errors\n"
        "errors.WINDOWS = True\n"
        f"def main(): raise {type(error).__name__}({error.errno}, {error.strerror!r})\n"
        "raise SystemExit(errors.run(main))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_library_that_does_not_load_there_names_its_runtime():
    script = (
        "from tfbert.common import errors\n"
        "errors.WINDOWS, errors.RUNTIME = True, '; install the runtime'\n"
        "def main(): raise ImportError('DLL load failed while importing onnxruntime')\n"
        "raise SystemExit(errors.run(main))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.endswith("importing onnxruntime; install the runtime\n")


def test_a_file_that_excel_has_open_is_told_before_the_run(tmp_path, monkeypatch):
    path = tmp_path / "suspects.csv"
    path.write_text("x")
    must_be_free([path, tmp_path / "none.csv", tmp_path])
    monkeypatch.setattr("tfbert.training.outputs.open", Refusing(open, 1), raising=False)
    with pytest.raises(UserError, match="suspects.csv is open in another program .*close it"):
        must_be_free([path])


def test_one_file_by_two_names(tmp_path):
    (tmp_path / "Data.csv").write_text("x")
    os.link(tmp_path / "Data.csv", tmp_path / "data.csv")  # as a disk has it that takes both for one
    assert same_file(tmp_path / "Data.csv", tmp_path / "data.csv")
    assert same_file(tmp_path / "none" / ".." / "none.csv", tmp_path / "none.csv")
    assert not same_file(tmp_path / "Data.csv", tmp_path / "other.csv")


def test_text_files_are_the_same_on_every_system(tmp_path, monkeypatch):
    asked = {}
    write = Path.write_text
    monkeypatch.setattr(Path, "write_text", lambda path, *args, **named: (asked.update(named), write(path, *args))[1])
    write_text(tmp_path / "vocab.txt", "a\nb\n")
    assert asked == {"encoding": "utf-8", "newline": "\n"}


def test_a_program_without_standard_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with silent_stderr():
        pass

    def no_descriptor(number):
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(os, "dup", no_descriptor)
    with silent_stderr():
        pass


class Kernel:
    """Stands for Windows's kernel32: a pipe that has something at the third look, and a console."""

    def __init__(self):
        self.looks, self.mode = 0, None

    def PeekNamedPipe(self, handle, buffer, size, read, waiting, left):
        self.looks += 1
        waiting._obj.value = 5 * (self.looks >= 3)
        return 1

    def GetConsoleMode(self, handle, mode):
        mode._obj.value = 3
        return 1

    def SetConsoleMode(self, handle, mode):
        self.mode = mode
        return 1


@pytest.fixture
def kernel(windows, monkeypatch):
    kernel = Kernel()
    monkeypatch.setattr(ctypes, "windll", types.SimpleNamespace(kernel32=kernel), raising=False)
    monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(get_osfhandle=lambda number: number))
    return kernel


def test_a_pipe_there_is_looked_at_until_something_comes(kernel):
    assert comes_within(5) and kernel.looks == 3
    kernel.looks = -1000
    assert not comes_within(0.1)
    kernel.PeekNamedPipe = lambda *arguments: 0
    assert comes_within(5)  # it has ended


def test_an_older_console_is_asked_for_colours(kernel, monkeypatch, tmp_path):
    with open(tmp_path / "console", "w") as console:
        monkeypatch.setattr(sys, "stdout", console)
        assert systems.shows_colours() and kernel.mode == 7
        kernel.SetConsoleMode = lambda *arguments: 0
        assert not systems.shows_colours()
