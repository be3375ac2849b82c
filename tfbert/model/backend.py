"""Keras and its backend, imported without the lines that they log."""

import contextlib
import logging
import os
import sys

from tfbert.common.errors import RUNTIME, UserError


def load_keras():
    """Imports Keras and its backend without the lines that TensorFlow logs before it can be told not to.

    TensorFlow takes oneDNN's operators by itself only where the CPU has AVX512's 8-bit products; where it has not, its
    own take 1.63 times as long (benchmarks/README.md).
    """
    if "keras" in sys.modules:
        return
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    try:
        with silent_stderr():
            import keras
    except ImportError as error:
        raise UserError(f"{error}: install with pip install -r requirements.txt{RUNTIME}") from error
    keras.config.disable_traceback_filtering()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of a graph for each length, which is meant


@contextlib.contextmanager
def silent_stderr():
    """Sends file descriptor 2, which C++ code writes to, nowhere."""
    try:
        saved = os.dup(2)
        sys.stderr.flush()
    except (OSError, AttributeError):  # there is none, as in a program with a window
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
