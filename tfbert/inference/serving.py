"""A saved model behind HTTP: labels, reasons, figures, and a page to try it on."""

import contextlib
import json
import secrets
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import numpy as np
from fastapi import Depends, FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client import Counter as Total
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tfbert import __version__
from tfbert.inference.batching import Batcher, Full
from tfbert.inference.explaining import explanation

MOST_BYTES = 2_000_000  # of a request's body
MOST_TEXTS, MOST_EXPLAINED = 32, 4  # in a request
SLOWEST = 120  # seconds that one may ask to wait

Text = Annotated[str, StringConstraints(min_length=1)]


class Pair(BaseModel):
    """Two texts, for a model of pairs."""

    model_config = ConfigDict(extra="forbid")
    text: Text
    text_pair: Text


Texts = Annotated[list[Text], Field(min_length=1, max_length=MOST_TEXTS)]
Pairs = Annotated[list[Pair], Field(min_length=1, max_length=MOST_TEXTS)]


class Parameters(BaseModel):
    """Of Hugging Face's task; others that it knows have no meaning here."""

    top_k: Annotated[int, Field(ge=1)] | None = Field(None, description="labels to return, the likeliest; default all")


class Inputs(BaseModel):
    """As Hugging Face's text classification takes them."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"inputs": "A wonderful film."}]})
    inputs: Text | Pair | Texts | Pairs
    parameters: Parameters | None = None


class Plain(BaseModel):
    """Texts, and for a model of pairs as many second ones."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"texts": ["A wonderful film."]}]})
    texts: Texts
    others: Texts | None = None


class ToExplain(BaseModel):
    """A text, or two, or a few."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"inputs": "A wonderful film."}]})
    inputs: (
        Text
        | Pair
        | Annotated[list[Text], Field(min_length=1, max_length=MOST_EXPLAINED)]
        | Annotated[list[Pair], Field(min_length=1, max_length=MOST_EXPLAINED)]
    )


class Score(BaseModel):
    label: str
    score: float


class Result(BaseModel):
    """label: the likeliest, or, where several may hold, those above their thresholds with commas between them; null for
    a text without a word or sign that the model knows.
    """

    label: str | None
    probability: float | None
    probabilities: dict[str, float] | None


class Word(BaseModel):
    """start, end: in the text, in characters; score: how far it speaks for the label, in log-odds."""

    text: str
    start: int
    end: int
    score: float
    part: int | None = None


class Reason(BaseModel):
    label: str
    words: list[Word]


class Explained(Result):
    explanation: list[Reason]


class Problem(BaseModel):
    """What is wrong with a request, or with the server."""

    detail: str


class Health(BaseModel):
    status: str


class Info(BaseModel):
    """The model and what it takes."""

    model: str
    version: str
    labels: list[str]
    several_labels: bool
    pairs: bool
    max_seq_length: int
    long_texts: str
    example: str
    limits: dict[str, int]
    figures: dict
    plots: list[str]


def problems(**words):
    return {int(code[1:]): {"model": Problem, "description": text} for code, text in words.items()}


REFUSED = problems(
    _400="The body is not JSON.",
    _401="An API key is needed, as a bearer token.",
    _413=f"The body has more than {MOST_BYTES:,} bytes.",
    _422="The body is not what the model takes.",
    _503="Too many texts wait: come again after the seconds that Retry-After names.",
    _504="It was not done in time.",
)


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


def new_app(predictor, figures_of_model, plots, room, waiting, seconds, api_key=None):
    """A FastAPI application.

    predictor: a Predictor; figures_of_model: some of its metrics.json, a dict; plots: paths of pictures; room: as
    Batcher's; waiting: texts that may wait; seconds: until a request is given up; api_key: a str, or None for all.
    """
    seen = Figures()

    def label(texts):
        ids, lengths, starts = predictor.encoder(*map(list, zip(*texts)))
        seen.texts.inc(len(texts))
        if not predictor.encoder.whole:
            seen.truncated.inc(sum(length > predictor.encoder.max_seq_length for length in lengths))
        results = predictor.label(ids, starts=starts)
        for place, result in enumerate(results):
            seen.confidence.observe(result["probability"])
            if predictor.trouble_with(texts[place], ids[place]):
                results[place] = dict.fromkeys(result)
        return results

    def explain(texts):
        return [
            result | {"explanation": explanation(predictor, parts, result) if result["label"] is not None else []}
            for parts, result in zip(texts, label(texts))
        ]

    batcher = Batcher(label, room, waiting, seen.batch_seen)
    explainer = Batcher(explain, 0, 2 * MOST_EXPLAINED)

    @contextlib.asynccontextmanager
    async def lifespan(app):
        batcher.start()
        explainer.start()
        yield
        await batcher.stop()
        await explainer.stop()

    name = Path(predictor.folder).resolve().name
    words = "A text classifier. `/` is a page to try it on."
    app = FastAPI(title=f"tfbert: {name}", version=__version__, description=words, lifespan=lifespan,
                  docs_url=None, redoc_url=None)  # fmt: skip  # these would load scripts from elsewhere
    app.add_middleware(Gate, figures=seen)
    app.exception_handler(RequestValidationError)(in_one_line)
    bearer = HTTPBearer(auto_error=False, description="The server's --api_key, if it has one.")

    def allowed(key: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]):
        if api_key and not (key and secrets.compare_digest(key.credentials.encode(), api_key.encode())):
            raise HTTPException(401, "an API key is needed: Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"})

    async def asked(queue, texts):
        if not all(part.strip() for parts in texts for part in parts):
            raise HTTPException(422, "a text is empty")
        if any(len(parts) != 1 + predictor.pair for parts in texts):
            wanted = "pairs, as {text, text_pair}" if predictor.pair else "single texts"
            raise HTTPException(422, f"this model takes {wanted}")
        try:
            return await queue(texts, seconds)
        except Full:
            raise HTTPException(503, "too many texts wait already", {"Retry-After": "1"}) from None
        except TimeoutError:
            raise HTTPException(504, f"not done within {seconds:g} s") from None

    guarded = {"dependencies": [Depends(allowed)], "responses": REFUSED}

    @app.post("/predict", **guarded)
    async def predict(body: Inputs | Plain) -> list[Score] | list[list[Score]] | list[Result]:
        """Labels texts. `inputs`: every label with its probability, the likeliest first; for a list of texts, a list of
        such lists. `texts`: for each the label, its probability, and all probabilities, as infer.py has them.
        """
        if isinstance(body, Plain):
            if len(body.others or body.texts) != len(body.texts):
                raise HTTPException(422, "texts and others differ in number")
            return await asked(batcher, list(zip(body.texts, body.others) if body.others else zip(body.texts)))
        many = isinstance(body.inputs, list)
        texts = [parts_of(each) for each in (body.inputs if many else [body.inputs])]
        top = body.parameters.top_k if body.parameters else None
        results = await asked(batcher, texts)
        if any(result["label"] is None for result in results):
            raise HTTPException(422, "a text has no word or sign that this model knows")
        answers = [in_order(result, top) for result in results]
        return answers if many else answers[0]

    @app.post("/explain", **guarded)
    async def explain_texts(body: ToExplain) -> list[Explained]:
        """Labels texts, and says which words speak for the label and which against it."""
        inputs = body.inputs if isinstance(body.inputs, list) else [body.inputs]
        return await asked(explainer, [parts_of(each) for each in inputs])

    @app.get("/health")
    async def health() -> Health:
        """Whether the server is up."""
        return Health(status="ok")

    @app.get("/info", dependencies=[Depends(allowed)], responses={401: REFUSED[401]})
    async def info() -> Info:
        """The model, its labels, its figures, and the server's limits."""
        return Info(
            model=name, version=__version__, labels=predictor.labels,
            several_labels=predictor.multi_label, pairs=predictor.pair,
            max_seq_length=predictor.encoder.max_seq_length,
            long_texts="windows" if predictor.encoder.whole else "cut", example=predictor.example,
            limits={"bytes": MOST_BYTES, "texts": MOST_TEXTS, "explained": MOST_EXPLAINED, "waiting": waiting},
            figures=figures_of_model, plots=[path.stem for path in plots],
        )  # fmt: skip

    a_picture = {200: {"content": {"image/png": {}}, "description": "A picture of the report."}}
    refused = problems(_404="There is no such picture.") | {401: REFUSED[401]}

    @app.get("/plots/{picture}", response_class=FileResponse, dependencies=[Depends(allowed)],
             responses=a_picture | refused)  # fmt: skip
    async def plot(picture: str):
        """A picture of the report."""
        found = {path.stem: path for path in plots}.get(picture)
        if not found or not found.is_file():
            raise HTTPException(404, "no such picture")
        return FileResponse(found, media_type="image/png")

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics():
        """Figures of the server, for Prometheus."""
        return PlainTextResponse(generate_latest(seen.registry), media_type="text/plain; version=0.0.4")

    page = Path(__file__).with_name("page.html").read_text(encoding="utf-8")

    @app.get("/", include_in_schema=False)
    async def index():
        return HTMLResponse(page, headers={"Content-Security-Policy": "default-src 'self' 'unsafe-inline' data: blob:"})

    return app


def parts_of(each):
    """A text, or a Pair, as a tuple of texts."""
    return (each.text, each.text_pair) if isinstance(each, Pair) else (each,)


def in_order(result, top):
    """The labels of a result, the likeliest first, as Hugging Face has them; `top` of them, None: all."""
    ordered = sorted(result["probabilities"].items(), key=lambda item: -item[1])[:top]
    return [Score(label=name, score=value) for name, value in ordered]


async def in_one_line(request, error):
    """What pydantic finds wrong with a body."""
    found = Counter(".".join(map(str, each["loc"][1:])) + ": " + each["msg"] for each in error.errors())
    return JSONResponse({"detail": "; ".join(list(found)[:4])[:500] or "the body is not what is taken"}, 422)


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
                response = JSONResponse({"detail": f"the body has more than {MOST_BYTES:,} bytes"}, 413)
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
    """A receive() that gives the whole body at once; None where it is larger than MOST_BYTES."""
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > MOST_BYTES:
        return None
    parts, size, more = [], 0, True
    while more:
        message = await receive()
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
