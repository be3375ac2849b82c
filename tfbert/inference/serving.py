"""A saved model behind HTTP: labels, reasons, figures, and a page to try it on."""

import contextlib
import json
import secrets
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import generate_latest

from tfbert import __version__
from tfbert.inference.batching import CALLS, ONE, SIDE_BY_SIDE, Batcher, Full, batches_in_turn
from tfbert.inference.explaining import explanation
from tfbert.inference.gate import Figures, Gate
from tfbert.inference.messages import (
    MOST_BYTES,
    MOST_EXPLAINED,
    MOST_SIGNS,
    MOST_TEXTS,
    REFUSED,
    Explained,
    Health,
    Info,
    Inputs,
    Pair,
    Plain,
    Result,
    Score,
    ToExplain,
    problems,
)


def new_app(predictor, figures_of_model, plots, share, waiting, seconds, api_key=None):
    """A FastAPI application.

    predictor: a Predictor; figures_of_model: some of its metrics.json, a dict; plots: paths of pictures; share: as
    Batcher's; waiting: texts that may wait; seconds: until a request is given up; api_key: a str, or None for all.
    """
    seen = Figures()
    threads = predictor.in_threads
    predictor.logits_of_batch = batches_in_turn(predictor.logits_of_batch, ONE if threads else 0)

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

    batcher = Batcher(label, share, waiting, seen.batch_seen, SIDE_BY_SIDE if threads else CALLS)
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

    async def allowed(key: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]):
        if api_key and not (key and secrets.compare_digest(key.credentials.encode(), api_key.encode())):
            raise HTTPException(401, "an API key is needed: Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"})

    async def asked(queue, texts):
        if not all(part.strip() for parts in texts for part in parts):
            raise HTTPException(422, "a text is empty")
        if sum(len(part) for parts in texts for part in parts) > MOST_SIGNS:
            raise HTTPException(422, f"the texts have more than {MOST_SIGNS:,} signs: send them in parts")
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
            return given(await asked(batcher, list(zip(body.texts, body.others) if body.others else zip(body.texts))))
        many = isinstance(body.inputs, list)
        texts = [parts_of(each) for each in (body.inputs if many else [body.inputs])]
        top = body.parameters.top_k if body.parameters else None
        results = await asked(batcher, texts)
        if any(result["label"] is None for result in results):
            raise HTTPException(422, "a text has no word or sign that this model knows")
        answers = [in_order(result, top) for result in results]
        return given(answers if many else answers[0])

    @app.post("/explain", **guarded)
    async def explain_texts(body: ToExplain) -> list[Explained]:
        """Labels texts, and says which words speak for the label and which against it."""
        inputs = body.inputs if isinstance(body.inputs, list) else [body.inputs]
        return given(await asked(explainer, [parts_of(each) for each in inputs]))

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
            limits={"bytes": MOST_BYTES, "signs": MOST_SIGNS, "texts": MOST_TEXTS, "explained": MOST_EXPLAINED,
                    "waiting": waiting},
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


def given(answer):
    """An answer as it is: FastAPI would check and copy it, which takes as long as labelling a short text."""
    return Response(json.dumps(answer, ensure_ascii=False, allow_nan=False), media_type="application/json")


def in_order(result, top):
    """The labels of a result, the likeliest first, as Hugging Face has them; `top` of them, None: all."""
    ordered = sorted(result["probabilities"].items(), key=lambda item: -item[1])[:top]
    return [{"label": name, "score": value} for name, value in ordered]


LENGTHS = ("too_long", "too_short")  # of a list; that a text would be right, too, is no help then


async def in_one_line(request, error):
    """What pydantic finds wrong with a body."""
    if "json" not in request.headers.get("content-type", ""):
        return JSONResponse({"detail": "send JSON, with the header Content-Type: application/json"}, 422)
    found, errors = {}, sorted(error.errors(), key=lambda each: each["type"] not in LENGTHS)
    if any(each["type"] == "json_invalid" for each in errors):
        return JSONResponse({"detail": "the body is not JSON"}, 400)
    for each in [each for each in errors if each["type"] not in ("missing", "extra_forbidden")] or errors:
        names = [
            str(part) for part in each["loc"][1:] if isinstance(part, int) or part.isidentifier() and part.islower()
        ]
        found.setdefault(".".join(names), each["msg"])  # without the names of pydantic's classes
    wanted = 'send {"inputs": "a text"}, {"inputs": ["a text", ...]} or {"texts": ["a text", ...]}'
    return JSONResponse({"detail": f"{wanted}: {'; '.join(map(': '.join, [*found.items()][:4]))[:400]}"}, 422)
