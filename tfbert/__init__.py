"""Fine-tuning BERT in TensorFlow: Keras 3 models in Hugging Face files."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no log lines from C++
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime reports home otherwise
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # PyTorch is not needed here

__version__ = "0.1.0"


def __getattr__(name):
    """The two names of transformers 4 that this package continues, imported when first asked for."""
    if name in ("AutoTokenizer", "TFAutoModelForSequenceClassification"):
        from tfbert import auto

        return getattr(auto, name)
    raise AttributeError(f"module 'tfbert' has no attribute {name!r}")
