"""Fine-tuning BERT in TensorFlow: Keras 3 models in Hugging Face files.

Public names are those below; they are imported when first asked for, so that labelling text needs no TensorFlow.
"""

import importlib
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no log lines from C++
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime reports home otherwise
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # PyTorch is not needed here

__version__ = "0.1.0"

PUBLIC = {
    "Predictor": "tfbert.inference.predicting",  # a saved model labels text
    "TFAutoModelForSequenceClassification": "tfbert.model.auto",  # as in transformers 4
    "AutoTokenizer": "tfbert.model.tensor_tokenizers",  # with return_tensors="tf", as in transformers 4
    "UserError": "tfbert.common.errors",  # what all of them raise where the user can mend it
}
__all__ = list(PUBLIC)


def __getattr__(name):
    if name in PUBLIC:
        return getattr(importlib.import_module(PUBLIC[name]), name)
    raise AttributeError(f"module 'tfbert' has no attribute {name!r}")
