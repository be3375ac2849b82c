"""Puts the model that train.py saved behind an address: a page to try it on, and an API.

usage: python serve.py
       python serve.py --model_dir mine --port 8001 --quantize
"""

import json
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from tfbert.common.console import note, say
from tfbert.common.errors import UserError, run
from tfbert.common.settings import option, parse
from tfbert.inference.batching import share_by_measurement
from tfbert.inference.predicting import Predictor
from tfbert.training.outputs import results_paths

SHOWN = ("metric", "accuracy", "accuracy_low", "accuracy_high", "f1", "f1_macro", "f1_micro", "matthews_correlation",
         "log_loss", "ece", "n_train", "n_test", "dataset", "model", "baseline", "baseline_accuracy",
         "baseline_f1_micro", "baseline_matthews_correlation")  # fmt: skip


@dataclass
class ServeSettings:
    """Put the model that train.py saved behind an address: a page, and an API."""

    EXAMPLES = ("python serve.py", "python serve.py --model_dir mine --port 8001 --quantize")

    model_dir: str = option("output", "the folder that train.py wrote")
    host: str = option("127.0.0.1", "0.0.0.0 for all who can reach this machine")
    port: int = option(8000, "of the address", at_least=1, at_most=65535)
    quantize: bool = option(False, "compute in int8: faster, a little less exact")
    api_key: str | None = option(
        None, "what clients must send as a bearer token; better as the environment variable TFBERT_API_KEY"
    )
    batch_tokens: int | None = option(
        None, "requests of up to so many tokens are read together with others, 0: none; default: measured at the start",
        at_least=0,
    )  # fmt: skip
    waiting: int = option(256, "texts that may wait; others are told to come again", at_least=32)
    seconds: float = option(30.0, "until a request is given up", above=0)


def main(argv=None):
    settings = parse(ServeSettings, argv)
    try:
        import uvicorn

        from tfbert.inference.serving import new_app
    except ImportError as error:
        raise UserError(f"serve.py needs {error.name}: pip install -r requirements-serve.txt") from error
    key = (settings.api_key or os.environ.get("TFBERT_API_KEY") or "").strip()
    if not key.isascii():
        raise UserError("an API key has letters, digits and signs of ASCII alone, as it stands in a header")
    check_address(settings.host, settings.port)
    predictor = Predictor(settings.model_dir, settings.quantize)
    predictor([predictor.example], *([[predictor.example]] if predictor.pair else []))  # whatever is wrong, shows now
    share = share_by_measurement(predictor) if settings.batch_tokens is None else settings.batch_tokens
    if not key and settings.host not in ("127.0.0.1", "localhost", "::1"):
        note("everyone who can reach this machine can use the model: --api_key sets a key")
    app = new_app(predictor, *figures_and_plots(settings.model_dir), share, settings.waiting, settings.seconds, key)
    say("Model", f"{settings.model_dir}, {len(predictor.labels)} labels")
    together = (
        f"of up to {share:,} tokens are read together" if share else "are read one by one: as fast on this machine"
    )
    say("Requests", f"that wait at the same time {together}")
    say("Address", f"http://{settings.host}:{settings.port}/ (the API is described in /openapi.json); Ctrl-C ends it")
    uvicorn.run(app, host=settings.host, port=settings.port, access_log=False, log_level="warning",
                timeout_graceful_shutdown=int(settings.seconds) + 1)  # fmt: skip


def check_address(host, port):
    """Raises UserError where a server cannot listen."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            if os.name == "posix":  # elsewhere it would let two servers share a port
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise UserError(f"--host {host} --port {port}: {error.strerror}; choose another") from error


def figures_and_plots(folder):
    """Some figures of a model's metrics.json, a dict, and the paths of its pictures; none of it without that file."""
    try:
        metrics = json.loads(Path(folder, "metrics.json").read_text(encoding="utf-8"))
        figures = {name: metrics[name] for name in SHOWN if metrics.get(name) is not None}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}, []
    return figures, sorted(results_paths(folder)[0].glob("*.png"))


if __name__ == "__main__":
    sys.exit(run(main))
