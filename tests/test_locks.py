import errno
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import FIXTURES, ROOT

from tfbert.common import locks
from tfbert.common.errors import UserError
from tfbert.common.locks import sole_run

HOLDER = """
import sys, time
from tfbert.common.locks import sole_run
with sole_run(sys.argv[1], print):
    print("in", flush=True)
    sys.stdin.readline()
"""
# Runs train.py, which says where it is and waits for a line of input: before training, in it, and in the final save.
WATCHED = """
import sys
import train
from tfbert.inference import onnx_export
from tfbert.training.progress import Progress

def stopping_at(module, name):
    original = getattr(module, name)
    def stopped(*arguments, **settings):
        if name not in seen:
            seen.add(name)
            print("at", name, flush=True)
            sys.stdin.readline()
        return original(*arguments, **settings)
    setattr(module, name, stopped)

seen = set()
stopping_at(train, "learn")
stopping_at(Progress, "save")
stopping_at(onnx_export, "save_onnx")
train.main(sys.argv[1:])
"""


def begin(program, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


def quiet(line):
    raise AssertionError(line)


def tree(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_second_run_is_refused_and_touches_nothing(tmp_path):
    first = begin(HOLDER, tmp_path / "output")
    assert first.stdout.readline() == "in\n"
    before = tree(tmp_path)
    with pytest.raises(UserError) as refused, sole_run(tmp_path / "output", quiet):
        pass
    assert re.search(rf"in use by another run \(process {first.pid} on \S+, begun 20\d\d-", str(refused.value))
    assert tree(tmp_path) == before
    with sole_run(tmp_path / "other", quiet):
        pass
    first.communicate("\n")
    with sole_run(tmp_path / "output", quiet):
        pass
    assert os.listdir(tmp_path) == []


def test_a_folder_into_which_nothing_was_put_goes_again(tmp_path):
    for name, was_there in (("new", False), ("old", True)):
        if was_there:
            (tmp_path / name).mkdir()
        with pytest.raises(UserError, match="later"), sole_run(tmp_path / name, quiet):
            (tmp_path / name).mkdir(exist_ok=True)
            raise UserError("later")
    assert os.listdir(tmp_path) == ["old"]
    with sole_run(tmp_path / "full", quiet):
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "model").touch()
    assert (tmp_path / "full" / "model").exists()


def test_a_link_to_the_folder_is_the_folder(tmp_path):
    (tmp_path / "output").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "output")
    with sole_run(tmp_path / "output", quiet), pytest.raises(UserError), sole_run(tmp_path / "link", quiet):
        pass


def test_the_lock_of_a_killed_run_is_free(tmp_path):
    first = begin(HOLDER, tmp_path / "output")
    assert first.stdout.readline() == "in\n"
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert os.listdir(tmp_path) == [".output.lock"]
    with sole_run(tmp_path / "output", quiet):
        pass
    assert os.listdir(tmp_path) == []


def test_of_many_that_come_and_go_never_two_are_in(tmp_path):
    program = f"""
import os, sys, time
sys.path.insert(0, {str(ROOT)!r})
from tfbert.common.errors import UserError
from tfbert.common.locks import sole_run
end, times = time.time() + 3, 0
while time.time() < end:
    try:
        with sole_run("output", print):
            os.mkdir("in")
            time.sleep(0.001)
            os.rmdir("in")
            times += 1
    except UserError:
        pass
print(times)
"""
    all_of_them = [
        subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    times = [each.communicate()[0] for each in all_of_them]
    assert [each.returncode for each in all_of_them] == [0] * 4 and sum(map(int, times)) > 20


def test_what_a_run_on_another_machine_left_is_said(tmp_path):
    (tmp_path / ".output.lock").write_text("process 7 on elsewhere, begun 2026-01-02 03:04:05")
    said = []
    with sole_run(tmp_path / "output", said.append):
        pass
    assert said == ["process 7 on elsewhere, begun 2026-01-02 03:04:05 did not end in an orderly way: if it still "
                    "runs, stop one of the two"]  # fmt: skip


def test_a_disk_that_cannot_lock_is_said(tmp_path, monkeypatch):
    def lock(file):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "lock", lock)
    said = []
    with sole_run(tmp_path / "output", said.append):
        pass
    assert len(said) == 1 and "cannot lock files (No locks available): begin no second run there" in said[0]


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write there"), sole_run(tmp_path / "file" / "output", quiet):
        pass


def test_from_start_to_final_save_no_other_run_comes_in(untrained, dataset_folder, tmp_path):
    output = tmp_path / "model"
    arguments = [
        "--model_name_or_path", untrained, "--dataset_name", dataset_folder, "--max_seq_length", 16,
        "--num_train_epochs", 1, "--validation_samples", 16, "--max_train_samples", 64, "--max_eval_samples", 16,
        "--output_dir", output,
    ]  # fmt: skip
    others = [
        ["train.py", *arguments],
        ["train.py", *arguments, "--overwrite_output_dir", "--seed", 7],
        ["train.py", *arguments, "--resume_from_checkpoint", "last"],
        [
            "pretrain.py",
            "--model_name_or_path",
            FIXTURES / "tiny_bert",
            "--output_dir",
            output,
            "--overwrite_output_dir",
        ],
    ]
    first = begin(WATCHED, *arguments)
    try:
        for place in ("learn", "save", "save_onnx"):
            while (line := first.stdout.readline()) != f"at {place}\n":
                assert line, first.stderr.read()[-2000:]
            before = tree(tmp_path)
            runs = [
                subprocess.Popen([sys.executable, *map(str, each)], stderr=subprocess.PIPE, text=True, cwd=ROOT)
                for each in others
            ]
            for run in runs:
                said = run.communicate()[1]
                assert run.returncode == 2 and f"in use by another run (process {first.pid} on" in said, said
            assert tree(tmp_path) == before
            first.stdin.write("\n")
            first.stdin.flush()
        _, errors = first.communicate()
    finally:
        first.kill()
    assert first.returncode == 0, errors[-2000:]
    assert {"tf_model.h5", "config.json", "onnx", "metrics.json", "training_report.md"} <= set(os.listdir(output))
    assert os.listdir(tmp_path) == ["model"]


def test_after_a_killed_run_the_next_one_tidies_up(untrained, dataset_folder, tmp_path):
    arguments = [
        "--model_name_or_path", untrained, "--dataset_name", dataset_folder, "--max_seq_length", 16,
        "--num_train_epochs", 1, "--validation_samples", 16, "--max_train_samples", 64, "--max_eval_samples", 16,
        "--output_dir", tmp_path / "model",
    ]  # fmt: skip
    first = begin(WATCHED, *arguments)
    for _ in range(2):
        first.stdin.write("\n")
        first.stdin.flush()
    while (line := first.stdout.readline()) != "at save_onnx\n":
        assert line, first.stderr.read()[-2000:]
    first.send_signal(signal.SIGKILL)
    first.wait()
    time.sleep(0.1)
    assert {".model.lock", ".model.saving"} <= set(os.listdir(tmp_path))
    import train

    assert train.main([*map(str, arguments), "--resume_from_checkpoint", "last"]) is None
    assert os.listdir(tmp_path) == ["model"] and not (tmp_path / "model/checkpoints").exists()
