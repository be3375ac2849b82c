import errno
import os
import shutil
import signal
import subprocess
import sys

import pytest
from conftest import ROOT

from tfbert.common.errors import UserError
from tfbert.common.files import exchange, finish_replacement, replace_entries, replaced_file, replaced_folder, write_csv


def fill(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_a_folder_is_replaced_whole_and_keeps_the_users_files(tmp_path):
    folder = tmp_path / "output"
    fill(folder, model="old", stale="old", notes="mine")
    (folder / "checkpoints").mkdir()
    with replaced_folder(folder, owned={"model", "stale"}) as staged:
        fill(staged, model="new")
        assert contents(folder)["model"] == "old"
    assert contents(folder) == {"model": "new", "notes": "mine"}
    assert (folder / "checkpoints").is_dir()
    assert os.listdir(tmp_path) == ["output"]


def test_an_error_leaves_the_old_folder_alone(tmp_path):
    folder = tmp_path / "output"
    fill(folder, model="old")
    with pytest.raises(OSError, match="full"), replaced_folder(folder) as staged:
        fill(staged, model="half")
        raise OSError("full")
    assert contents(folder) == {"model": "old"}
    assert os.listdir(tmp_path) == ["output"]


def test_a_killed_save_leaves_the_old_folder_and_the_next_save_tidies_up(tmp_path):
    folder = tmp_path / "output"
    fill(folder, model="old")
    program = (
        "import sys, time; from pathlib import Path; from tfbert.common.files import replaced_folder\n"
        f"with replaced_folder({str(folder)!r}) as staged:\n"
        "    (staged / 'model').write_text('half'); print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert contents(folder) == {"model": "old"}
    with replaced_folder(folder) as staged:
        fill(staged, model="new")
    assert contents(folder) == {"model": "new"}
    assert os.listdir(tmp_path) == ["output"]


def test_at_no_moment_is_there_no_folder(tmp_path):
    if sys.platform != "linux":
        pytest.skip("folders are exchanged in one step on Linux only")
    folder = tmp_path / "output"
    fill(folder, model="0")
    watcher = subprocess.Popen(
        [sys.executable, "-c", f"""
import time
end = time.time() + 3
while time.time() < end:
    if not open({str(folder / "model")!r}).read():
        raise SystemExit("empty")
"""],
    )  # fmt: skip
    number = 0
    while watcher.poll() is None:
        with replaced_folder(folder, owned={"model"}) as staged:
            fill(staged, model=str(number := number + 1))
    assert watcher.returncode == 0 and number > 20


def test_without_an_exchange_entries_are_replaced_one_by_one(tmp_path):
    fill(tmp_path / "new", model="new")
    fill(tmp_path / "new" / "onnx", graph="new")
    fill(tmp_path / "output", model="old", notes="mine")
    fill(tmp_path / "output" / "onnx", graph="old", other="old")
    fill(tmp_path / "output", stale="old")
    replace_entries(tmp_path / "new", tmp_path / "output", owned={"model", "onnx", "stale"})
    assert contents(tmp_path / "output") == {"model": "new", "notes": "mine"}
    assert contents(tmp_path / "output" / "onnx") == {"graph": "new"}


def test_a_folder_behind_a_link_is_replaced_and_the_link_stays(tmp_path):
    fill(tmp_path / "disk" / "output", model="old", notes="mine")
    (tmp_path / "output").symlink_to(tmp_path / "disk" / "output")
    with replaced_folder(tmp_path / "output", owned={"model"}) as staged:
        fill(staged, model="new")
    assert (tmp_path / "output").is_symlink()
    assert contents(tmp_path / "output") == {"model": "new", "notes": "mine"}


def test_exchange_says_when_it_cannot(tmp_path):
    assert exchange(tmp_path / "none", tmp_path / "neither") is False


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "report.md"
    path.write_text("old")
    with pytest.raises(ValueError), replaced_file(path) as staged:
        staged.write_text("half")
        raise ValueError
    assert contents(tmp_path) == {"report.md": "old"}
    write_csv(path, [{"step": 1, "loss": 0.5}, {"step": 2, "accuracy": 1}])
    assert path.read_text().split() == ["step,loss,accuracy", "1,0.5,", "2,,1"]


def test_where_an_entry_cannot_be_moved_all_stay(tmp_path, monkeypatch):
    folder = tmp_path / "output"
    fill(folder, config="old", model="old", notes="mine")
    rename = os.rename

    def locked(source, target):
        if target == folder / "model":
            monkeypatch.setattr(os, "rename", rename)
            raise PermissionError("Access is denied")
        rename(source, target)

    monkeypatch.setattr("tfbert.common.files.exchange", lambda one, other: False)
    monkeypatch.setattr(os, "rename", locked)
    with pytest.raises(PermissionError), replaced_folder(folder, owned={"config", "model"}) as staged:
        fill(staged, config="new", model="new")
    assert contents(folder) == {"config": "old", "model": "old", "notes": "mine"}
    assert os.listdir(tmp_path) == ["output"]


def test_what_a_killed_replacement_had_laid_aside_comes_back(tmp_path):
    folder = tmp_path / "output"
    fill(folder, model="new", notes="mine")
    fill(tmp_path / ".output.saving" / ".replaced", model="old", config="old")
    finish_replacement(folder, owned={"config", "model"})
    assert contents(folder) == {"config": "old", "model": "new", "notes": "mine"}
    assert os.listdir(tmp_path) == ["output"]


def test_a_users_file_that_cannot_be_moved_stays_where_it_is(tmp_path, monkeypatch):
    folder = tmp_path / "output"
    folder.mkdir()
    for name in ("model", "aa", "notes", "zz"):
        (folder / name).write_text("old")
    rename = os.rename

    def immutable(source, target):
        if source.name == "notes":
            raise PermissionError(errno.EPERM, "Operation not permitted")
        rename(source, target)

    monkeypatch.setattr(os, "rename", immutable)
    with replaced_folder(folder, owned={"model"}) as staged:
        (staged / "model").write_text("new")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "model": "new", "aa": "old", "notes": "old", "zz": "old"
    }  # fmt: skip
    assert os.listdir(tmp_path) == ["output"]


def test_what_was_replaced_and_cannot_be_removed_is_named_and_refused_the_next_time(tmp_path, monkeypatch, capsys):
    folder, rmtree = tmp_path / "output", shutil.rmtree
    folder.mkdir()
    (folder / "model").write_text("old")

    def immutable(path, *more, **named):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(shutil, "rmtree", immutable)
    with replaced_folder(folder, owned={"model"}) as staged:
        (staged / "model").write_text("new")
    assert (folder / "model").read_text() == "new"
    assert ".output.saving/ holds what was replaced, and cannot be removed" in capsys.readouterr().err
    with pytest.raises(UserError, match="output.saving is left of an earlier run"), replaced_folder(folder):
        pass
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    with replaced_folder(folder):
        pass
    assert os.listdir(tmp_path) == ["output"]
