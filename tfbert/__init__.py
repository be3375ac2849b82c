"""Fine-tuning BERT in TensorFlow: Keras 3 models in Hugging Face files.

Public names are those below; they are imported when first asked for, so that labelling text needs no TensorFlow.
"""

import importlib.util
import os
import sys
from pathlib import Path

from tfbert.common.errors import not_installed, show
from tfbert.model.weight_names import HEADS, class_names

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no log lines from C++
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime reports home otherwise
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # PyTorch is not needed here

for name in ("numpy", "tokenizers"):  # what all scripts import first
    if not importlib.util.find_spec(name):
        if Path(sys.argv[0]).resolve().parent == Path(__file__).resolve().parents[1]:  # one of the scripts
            show(not_installed(name))
            raise SystemExit(2)
        raise ModuleNotFoundError(not_installed(name), name=name)

__version__ = "0.1.0"

PUBLIC = {
    "Predictor": "tfbert.inference.predicting",  # a saved model labels text
    # as in transformers 4
    "TFAutoModel": "tfbert.model.auto",
    "TFAutoModelForMaskedLM": "tfbert.model.auto",
    "TFAutoModelForSequenceClassification": "tfbert.model.auto",
    **{name: "tfbert.model.auto" for head in HEADS for name in class_names(head).values()},  # TFBertModel, ...
    "AutoConfig": "tfbert.model.auto_config",
    "AutoTokenizer": "tfbert.model.tensor_tokenizers",  # with return_tensors="tf"
    "mean_of_tokens": "tfbert.model.modeling",  # of TFAutoModel's vectors: one for a text
    "UserError": "tfbert.common.errors",  # what all of them raise where the user can mend it
}
__all__ = list(PUBLIC)


def __getattr__(name):
    if name in PUBLIC:
        return getattr(importlib.import_module(PUBLIC[name]), name)
    raise AttributeError(f"module 'tfbert' has no attribute {name!r}")
