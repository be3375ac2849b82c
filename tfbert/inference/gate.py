"""The server's gate: bodies that are too large stay out; requests are counted, timed, and logged without any text."""

import asyncio
import json
import sys
import time

import numpy as np
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client import Counter as Total

from tfbert.inference.messages import MOST_BYTES

PATIENCE = 10  # seconds until the next part of a body


class Figures:
    """What /metrics tells."""

    def __init__(self):
        self.registry = CollectorRegistry()
        seconds = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

        def total(name, text, labels=()):
            return Total(f"tfbert_{name}", text, labels, registry=self.registry)

        def histogram(name, text, buckets=seconds, labels=()):
            return Histogram(f"tfbert_{name}", text, labels, buckets=buckets, registry=self.registry)

        self.requests = total("requests", "Requests, by path and status", ["path", "status"])
        self.latency = histogram("latency_seconds", "From a request to its answer", labels=["path"])
        self.waited = histogram("queue_wait_seconds", "Until a request's texts are labelled")
        self.batch = histogram("batch_texts", "Texts labelled at once", (1, 2, 4, 8, 16, 32, 64, 128))
        self.texts = total("texts", "Texts labelled")
        self.truncated = total("texts_truncated", "Of these, longer than what the model reads, and cut")
        self.confidence = histogram("confidence", "The likeliest label's probability",
                                    tuple(np.round(np.arange(0.1, 1.01, 0.1), 1)))  # fmt: skip

    def batch_seen(self, texts, waits):
        self.batch.observe(texts)
        for seconds in waits:
            self.waited.observe(seconds)


class Gate:
    """ASGI middleware: refuses bodies that are too large; counts, times and logs requests, without any text."""

    def __init__(self, app, figures):
        self.app, self.figures = app, figures

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begun, status = time.perf_counter(), 500

        async def noting(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            body = await whole_body(scope, receive)
            if body is None:
                response = JSONResponse(
                    {"detail": f"the body has more than {MOST_BYTES:,} bytes, or does not come"}, 413
                )
                await response(scope, receive, noting)
            else:
                await self.app(scope, body, noting)
        finally:
            took = time.perf_counter() - begun
            route = scope.get("route")
            path = getattr(route, "path", None) or "other"
            self.figures.requests.labels(path, status).inc()
            self.figures.latency.labels(path).observe(took)
            print(json.dumps({"time": round(time.time(), 3), "method": scope["method"], "path": path, "status": status,
                              "ms": round(1000 * took, 1)}), file=sys.stderr, flush=True)  # fmt: skip


async def whole_body(scope, receive):
    """A receive() that gives the whole body at once; None where it is larger than MOST_BYTES, or does not come."""
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > MOST_BYTES:
        return None
    parts, size, more = [], 0, True
    while more:
        try:
            message = await asyncio.wait_for(receive(), PATIENCE)
        except TimeoutError:
            return None
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
        if size > MOST_BYTES:
            return None
    given = [{"type": "http.request", "body": b"".join(parts), "more_body": False}]

    async def again():
        return given.pop() if given else await receive()

    return again
