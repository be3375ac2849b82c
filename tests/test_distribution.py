import json
import os
import signal
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import ROOT

import train
from tfbert.common.errors import UserError
from tfbert.training import device
from tfbert.training.team import Cluster, find_cluster

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.distribute is TensorFlow's")


@pytest.fixture
def arguments(untrained, dataset_folder):
    return [
        "--model_name_or_path", untrained, "--dataset_name", dataset_folder, "--max_seq_length", 16,
        "--num_train_epochs", 6, "--learning_rate", 0.005, "--validation_samples", 40, "--precision", "float32",
        "--hidden_dropout", 0, "--max_train_samples", 160, "--max_eval_samples", 40, "--logging_steps", 2,
    ]  # fmt: skip


def here(output, arguments, batch_size):
    """Trains in this process."""
    more = ["--output_dir", output, "--per_device_train_batch_size", batch_size]
    assert train.main([str(each) for each in [*arguments, *more]]) is None


def start(output, arguments, batch_size, config):
    """Trains in a process of its own."""
    command = ["train.py", *arguments, "--output_dir", output, "--per_device_train_batch_size", batch_size]
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"TF_CONFIG": json.dumps(config)},
    )


def two_workers(folder, arguments, batch_size):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    workers = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return [
        start(folder / f"worker{number}", arguments, batch_size,
              {"cluster": {"worker": workers}, "task": {"type": "worker", "index": number}})
        for number in range(2)
    ]  # fmt: skip


def finish(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    return out


def losses(output):
    history = json.loads((output / "history.json").read_text())
    return [row[name] for row in history for name in ("loss", "validation_loss") if name in row]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The losses of one process, measured once."""
    return {"folder": tmp_path_factory.mktemp("alone") / "model"}


def losses_alone(alone, arguments):
    if "losses" not in alone:
        here(alone["folder"], arguments, 16)
        alone["losses"] = losses(alone["folder"])
        assert len(alone["losses"]) == 35 and alone["losses"][-1] < 0.6 * alone["losses"][0]
    return alone["losses"]


@pytest.mark.usefixtures("no_pictures")
def test_two_devices_train_as_one_does(arguments, alone, two_devices, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(device, "join", lambda cluster, devices: two_devices)
    here(tmp_path / "model", arguments, 8)
    monkeypatch.undo()
    assert "60, each of 16 reviews" in capsys.readouterr().out
    np.testing.assert_allclose(losses(tmp_path / "model"), losses_alone(alone, arguments), rtol=5e-3, atol=1e-3)


def test_two_machines_train_as_one_does_and_only_the_chief_writes(arguments, alone, tmp_path):
    chief, worker = two_workers(tmp_path, arguments, 8)
    out = finish(chief)
    assert "2 machines" in out and "Accuracy" in out
    assert "prints and writes everything" in finish(worker).splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["worker0"]
    np.testing.assert_allclose(losses(tmp_path / "worker0"), losses_alone(alone, arguments), rtol=5e-3, atol=1e-3)


def first_step(process):
    while not (line := process.stdout.readline()).startswith("step"):
        assert line, process.stderr.read()[-3000:]


def test_stopped_resumed_and_a_worker_killed(arguments, tmp_path):
    more = [*arguments, "--num_train_epochs", 400]
    chief, worker = two_workers(tmp_path, more, 8)
    first_step(chief)
    worker.send_signal(signal.SIGINT)
    out, _ = chief.communicate(timeout=120)
    worker.communicate(timeout=120)
    assert (chief.returncode, worker.returncode) == (130, 130)
    assert "To go on" in out
    (checkpoint,) = (tmp_path / "worker0" / "checkpoints").glob("seed-*/step-*")
    stopped_at = json.loads((checkpoint / "state.json").read_text())["step"]
    assert stopped_at % 10 == 0

    chief, worker = two_workers(tmp_path, [*more, "--resume_from_checkpoint", "last"], 8)
    first_step(chief)
    worker.send_signal(signal.SIGKILL)
    out, err = chief.communicate(timeout=120)
    worker.communicate()
    assert chief.returncode == 2
    assert err.count("\n") == 1 and "another machine of the job is gone" in err
    checkpoint = max((tmp_path / "worker0" / "checkpoints").glob("seed-*/step-*"))
    assert stopped_at < json.loads((checkpoint / "state.json").read_text())["step"] < 4000
    assert [path.name for path in tmp_path.iterdir()] == ["worker0"]


def test_tf_config_is_checked(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert find_cluster() == Cluster() and find_cluster().is_chief
    cluster = {"chief": ["a:1"], "worker": ["b:2", "c:3"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 1}}))
    assert find_cluster() == Cluster(("a:1", "b:2", "c:3"), 2)
    strings, portless = {"worker": "host:1"}, {"worker": ["host"]}
    for wrong in ("{", "[]", "{}", json.dumps({"cluster": strings, "task": {"type": "worker", "index": 0}}),
                  json.dumps({"cluster": portless, "task": {"type": "worker", "index": 0}}),
                  json.dumps({"cluster": cluster, "task": {"type": "chief", "index": 1}}),
                  json.dumps({"cluster": cluster, "task": {"type": "worker", "index": -1}}), json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 2}}),
                  json.dumps({"cluster": cluster, "task": {"type": "ps", "index": 0}})):  # fmt: skip
        monkeypatch.setenv("TF_CONFIG", wrong)
        with pytest.raises(UserError, match="TF_CONFIG is not as expected"):
            find_cluster()
