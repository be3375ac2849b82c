import asyncio
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

pytest.importorskip("fastapi", reason="requirements-serve.txt is not installed")
import schemathesis
import uvicorn
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import positive_data_acceptance

from serve import figures_and_plots
from tfbert.inference import batching
from tfbert.inference.batching import LONG, ROOM, Batcher, Full, batches_in_turn, share_by_measurement
from tfbert.inference.messages import MOST_BYTES, MOST_TEXTS
from tfbert.inference.predicting import Predictor
from tfbert.inference.serving import new_app

TEXTS = ["the film was very good.", "the plot was dull. " * 30, "a lovely cast, an awful ending."]


def app_of(folder, share=ROOM, waiting=256, seconds=30.0, api_key=None):
    return new_app(Predictor(folder), *figures_and_plots(folder), share, waiting, seconds, api_key)


@pytest.fixture(scope="module")
def client(trained):
    with TestClient(app_of(trained)) as client:
        yield client


def test_labels_are_those_of_infer(client, trained):
    wanted = Predictor(trained)(TEXTS)
    plain = client.post("/predict", json={"texts": TEXTS}).json()
    scores = client.post("/predict", json={"inputs": TEXTS}).json()
    for result, of_texts, of_inputs in zip(wanted, plain, scores):
        assert of_texts["label"] == result["label"] == of_inputs[0]["label"]
        assert of_texts["probabilities"] == pytest.approx(result["probabilities"], abs=1e-5)
        assert {row["label"]: row["score"] for row in of_inputs} == pytest.approx(result["probabilities"], abs=1e-5)
    one = client.post("/predict", json={"inputs": TEXTS[0], "parameters": {"top_k": 1, "function_to_apply": "none"}})
    assert [list(row) for row in one.json()] == [["label", "score"]] and one.json()[0]["label"] == wanted[0]["label"]


def test_a_text_that_says_nothing_gets_no_label(client):
    body = {"texts": ["\u2603\u2603", "good"]}
    unknown, known = client.post("/predict", json=body).json()
    assert unknown == {"label": None, "probability": None, "probabilities": None} and known["label"]
    assert client.post("/predict", json={"inputs": body["texts"]}).status_code == 422
    assert client.post("/explain", json={"inputs": body["texts"]}).json()[0]["explanation"] == []


def test_reasons_are_given(client):
    (answer,) = client.post("/explain", json={"inputs": TEXTS[2]}).json()
    words = answer["explanation"][0]["words"]
    assert all(TEXTS[2][word["start"] : word["end"]] == word["text"] for word in words)
    assert len(client.post("/explain", json={"inputs": TEXTS[:2]}).json()) == 2


@pytest.mark.parametrize("body, status, words", [
    ({"texts": [" "]}, 422, "a text is empty"),
    ({"texts": []}, 422, "at least 1 item"),
    ({"texts": ["a"] * (MOST_TEXTS + 1)}, 422, "at most 32 items"),
    ({"inputs": ["a"] * (MOST_TEXTS + 1)}, 422, ": inputs: List should have at most 32 items"),
    ({"inputs": []}, 422, ": inputs: List should have at least 1 item"),
    ({"inputs": {"text": "a", "text_pair": "b"}}, 422, "this model takes single texts"),
    ({"texts": ["a"], "others": ["a", "b"]}, 422, "differ in number"),
    ({"text": "a"}, 422, "inputs: Field required; text: Extra inputs are not permitted; texts: Field required"),
    ({"inputs": ""}, 422, ': inputs: String should have at least 1 character'),
    ("nonsense", 422, ""),
    ({"texts": ["a " * 100_001]}, 422, "more than 200,000 signs"),
    ({"texts": ["a" * (MOST_BYTES + 1)]}, 413, "more than 2,000,000 bytes"),
])  # fmt: skip
def test_what_does_not_go_is_refused_in_one_line(client, body, status, words):
    answer = client.post("/predict", json=body)
    assert answer.status_code == status and words in answer.json()["detail"]


def test_a_body_that_is_no_json_is_told_so(client):
    answer = client.post("/predict", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (400, {"detail": "the body is not JSON"})


def test_a_body_of_undeclared_length_is_cut_off(client):
    def parts():
        for _ in range(30):
            yield b"a" * 100_000

    assert client.post("/predict", content=parts()).status_code == 413


def test_figures_pictures_and_health(client, trained):
    info = client.get("/info").json()
    metrics = json.loads((trained / "metrics.json").read_text())
    assert info["labels"] == ["negative", "positive"] and info["figures"]["accuracy"] == metrics["accuracy"]
    assert "confusion_matrix" in info["plots"] and client.get("/plots/loss").content.startswith(b"\x89PNG")
    assert client.get("/plots/..%2Fmetrics.json").status_code == 404
    assert client.get("/health").json() == {"status": "ok"}
    assert (
        "<textarea" in client.get("/").text
        and "default-src 'self'" in client.get("/").headers["content-security-policy"]
    )
    client.post("/predict", json={"texts": TEXTS})
    told = client.get("/metrics").text
    assert 'tfbert_requests_total{path="/predict",status="200"}' in told and "tfbert_confidence_sum" in told
    assert 'path="/plots/{picture}"' in told and "tfbert_queue_wait_seconds_count" in told


def test_a_key_locks_all_but_health(trained):
    with TestClient(app_of(trained, api_key="secret")) as client:
        for method, path in (("post", "/predict"), ("post", "/explain"), ("get", "/info"), ("get", "/plots/loss")):
            body = {"json": {"inputs": "a"}} if method == "post" else {}
            assert getattr(client, method)(path, **body).status_code == 401
        right, wrong = ({"Authorization": f"Bearer {key}"} for key in ("secret", "sécret"))
        assert client.post("/predict", json={"inputs": "good"}, headers=right).status_code == 200
        wrong = {name: value.encode() for name, value in wrong.items()}
        assert client.post("/predict", json={"inputs": "good"}, headers=wrong).status_code == 401
        assert client.get("/health").status_code == 200


def test_logs_are_json_without_texts(client, capsys):
    client.post("/predict", json={"texts": ["a very private text"]})
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    logged = json.loads(line)
    assert logged["path"] == "/predict" and logged["status"] == 200 and logged["ms"] > 0 and "private" not in line


@pytest.mark.parametrize("path", ["/predict", "/explain", "/health", "/info", "/plots/{picture}", "/metrics"])
def test_the_api_is_what_it_says(trained, path):
    api = schemathesis.openapi.from_asgi("/openapi.json", app_of(trained, api_key="secret"))
    (operation,) = [found.ok() for found in api.get_all_operations() if found.ok().path == path]

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy())
    def holds(case):
        # which words a model knows, and whether it takes pairs, is in no schema
        case.call_and_validate(headers={"Authorization": "Bearer secret"}, excluded_checks=[positive_data_acceptance])

    holds()


# the queue


def batched(compute, share, most, use, **settings):
    """What use(Batcher) gives, in an event loop of its own."""

    async def work():
        batcher = Batcher(compute, share, most, **settings)
        batcher.start()
        try:
            return await use(batcher)
        finally:
            await batcher.stop()

    return asyncio.run(work())


def test_requests_that_wait_are_labelled_together_as_far_as_there_is_room(monkeypatch):
    calls = []

    def compute(texts):
        calls.append(len(texts))
        time.sleep(0.05)
        return [text for (text,) in texts]

    async def use(batcher):
        return await asyncio.gather(*(batcher([(f"{number:07}",)], 5) for number in range(10)))  # 3 tokens each

    monkeypatch.setattr(batching, "ROOM", 12)
    assert batched(compute, 3, 100, use) == [[f"{number:07}"] for number in range(10)]
    assert calls == [4, 4, 2]
    calls.clear()
    batched(compute, 2, 100, use)
    assert calls == [1] * 10


def test_long_texts_are_read_side_by_side_and_batches_in_turn():
    running, most = 0, Counter()

    def logits_of_batch(batch):
        nonlocal running
        running += 1
        size = batch["input_ids"].shape
        most[size] = max(most[size], running)
        time.sleep(0.1)
        running -= 1

    read = batches_in_turn(logits_of_batch, beside=512)

    def compute(texts):
        read({"input_ids": np.zeros((len(texts), len(texts[0][0])))})
        return texts

    async def use(batcher):
        for texts, tokens in ((1, 400), (1, 600), (2, 400)):
            await asyncio.gather(*(batcher([("a" * tokens,)] * texts, 9) for _ in range(6)))

    batched(compute, 10, 100, use, alone=4)
    assert most == {(1, 400): 4, (1, 600): 1, (2, 400): 1}


def test_a_full_queue_a_deadline_and_an_error():
    def compute(texts):
        time.sleep(0.3)
        if texts == [("bad",)]:
            raise ValueError("bad")
        return texts

    async def use(batcher):
        slow = asyncio.create_task(batcher([("a",)] * 4, 5))
        await asyncio.sleep(0.05)
        with pytest.raises(Full):
            await batcher([("b",)] * 4, 5)
        with pytest.raises(TimeoutError):
            await batcher([("c",)], 0.05)
        bad, good = await asyncio.gather(batcher([("bad",)], 5), batcher([("d",)], 5), return_exceptions=True)
        assert await slow == [("a",)] * 4 and isinstance(bad, ValueError)
        while batcher.count:  # what nobody waits for any more counts until it is dropped
            await asyncio.sleep(0.01)
        assert batcher.count == 0
        return good

    assert batched(compute, 0, 7, use) == [("d",)]


def test_whether_texts_are_faster_together_is_measured(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(batching.time, "perf_counter", lambda: now[0])

    def predictor(seconds_of_call, seconds_of_token):
        def logits_of_windows(windows, batch_size, starts):
            now[0] += seconds_of_call + seconds_of_token * sum(map(len, windows))
            return np.zeros((len(windows), 2))

        encoder = SimpleNamespace(tokens=lambda texts: [[7]], prefix=[1], suffix=[2], max_seq_length=256,
                                  has_types=True)  # fmt: skip
        return SimpleNamespace(encoder=encoder, pair=False, logits_of_windows=logits_of_windows)

    assert share_by_measurement(predictor(0.05, 0)) == ROOM
    assert share_by_measurement(predictor(0.002, 1e-4)) == LONG // 2
    assert share_by_measurement(predictor(0.0, 2e-4)) == 0


# a server of its own


@contextmanager
def serving(app):
    """The address of a server in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def post(address, body, seconds=30):
    """Status and answer."""
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers)


def test_many_clients_get_their_own_answers_and_too_many_are_told_to_come_again(trained):
    texts = [f"{TEXTS[number % 3]} {number}" for number in range(120)]
    wanted = Predictor(trained)(texts)
    with serving(app_of(trained)) as address, ThreadPoolExecutor(24) as clients:
        answers = list(clients.map(lambda text: post(f"{address}/predict", {"texts": [text]}), texts))
    for (status, (answer,)), result in zip(answers, wanted):
        assert status == 200 and answer["probabilities"] == pytest.approx(result["probabilities"], abs=1e-4)
    with serving(app_of(trained, waiting=32)) as address, ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: post(f"{address}/predict", {"texts": [TEXTS[1] * 9] * 32}), range(16)))
    assert {status for status, _ in answers} == {200, 503}
    assert all(headers["retry-after"] == "1" for status, headers in answers if status == 503)


def test_a_signal_ends_the_server_once_what_it_took_is_done(trained):
    command = [sys.executable, "serve.py", "--model_dir", trained, "--port", "18431", "--batch_tokens", "0"]
    server = subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while "Address" not in server.stdout.readline():
            assert server.poll() is None, server.stderr.read()
        address = "http://127.0.0.1:18431"
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{address}/health")
                break
            except OSError:
                time.sleep(0.1)
        with ThreadPoolExecutor(4) as clients:
            body = {"texts": [TEXTS[1] * 10] * 32}
            waiting = [clients.submit(post, f"{address}/predict", body) for _ in range(4)]
            time.sleep(0.3)
            server.send_signal(signal.SIGTERM)
            assert [each.result()[0] for each in waiting] == [200] * 4
        assert server.wait(20) in (0, -signal.SIGTERM)
    finally:
        server.kill()


def test_serve_says_what_is_missing(tmp_path):
    done = subprocess.run(
        [sys.executable, "serve.py", "--model_dir", tmp_path], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2 and "holds no model yet" in done.stderr


def test_pictures_of_another_model_are_not_shown(trained, tmp_path):
    assert len(figures_and_plots(trained)[1]) == 4
    folder = shutil.copytree(trained, tmp_path / "model")
    (folder / "metrics.json").unlink()  # as a run leaves it that was stopped
    assert figures_and_plots(folder) == ({}, [])
