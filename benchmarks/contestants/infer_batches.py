"""Times a loaded model. Arguments: way, model folder, texts.json, tokens. Prints JSON.

way: onnx, onnx-int8, keras or keras-bfloat16 of this project, transformers4, pytorch or pytorch-bfloat16.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_USE_LEGACY_KERAS"] = "1" if sys.argv[1] == "transformers4" else "0"
sys.path.insert(0, str(Path(__file__).parents[2]))
BATCH = 32


def ours(way, folder, tokens):
    from tfbert.data.tokenizing import TextEncoder
    from tfbert.inference.predicting import Predictor
    from tfbert.inference.runtimes import keras_model, onnx_model

    predictor = Predictor(folder)
    predictor.encoder = TextEncoder.from_folder(folder, tokens)
    if way == "keras-bfloat16":
        from tfbert.model.folders import load_classifier

        model, _ = load_classifier(folder, policy="mixed_bfloat16")
        model.compile(jit_compile=False)
        predictor.logits_of_batch = model.predict_on_batch
    else:
        predictor.logits_of_batch = keras_model(folder) if way == "keras" else onnx_model(folder, way == "onnx-int8")
    return lambda texts: predictor(texts, batch_size=BATCH)


def transformers4(way, folder, tokens):
    import tensorflow as tf
    from transformers import AutoTokenizer, TFAutoModelForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = TFAutoModelForSequenceClassification.from_pretrained(folder)
    arguments = {"return_tensors": "tf", "truncation": True, "padding": True, "max_length": tokens}

    def label(texts):
        parts = [model(**tokenizer(texts[i : i + BATCH], **arguments)).logits for i in range(0, len(texts), BATCH)]
        return tf.argmax(tf.concat(parts, axis=0), axis=-1).numpy()

    return label


def pytorch(way, folder, tokens):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{folder}/pytorch")
    dtype = torch.bfloat16 if way == "pytorch-bfloat16" else torch.float32
    model = AutoModelForSequenceClassification.from_pretrained(f"{folder}/pytorch", dtype=dtype).eval()
    arguments = {"return_tensors": "pt", "truncation": True, "padding": True, "max_length": tokens}

    def label(texts):
        with torch.inference_mode():
            parts = [model(**tokenizer(texts[i : i + BATCH], **arguments)).logits for i in range(0, len(texts), BATCH)]
            return torch.cat(parts).argmax(-1).tolist()

    return label


def main():
    way, folder, texts, tokens = sys.argv[1], sys.argv[2], json.load(open(sys.argv[3])), int(sys.argv[4])
    make = {"transformers4": transformers4, "pytorch": pytorch, "pytorch-bfloat16": pytorch}.get(way, ours)
    label = make(way, folder, tokens)

    def seconds(batch):
        start = time.perf_counter()
        label(batch)
        return time.perf_counter() - start

    for _ in range(3):
        seconds(texts[:1])
    latency = statistics.median(seconds(texts[number : number + 1]) for number in range(30))
    seconds(texts[: 2 * BATCH])
    print(json.dumps({"latency": latency, "reviews_per_second": len(texts) / seconds(texts)}))


main()
