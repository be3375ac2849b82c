"""Labels texts with transformers 4's TensorFlow classes: the snippet that users know, on a folder of train.py's.

usage: with_transformers4.py MODEL_FOLDER TEXTS.json LOGITS.json
"""

import json
import os
import sys

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import tensorflow as tf
from transformers import AutoTokenizer, TFAutoModelForSequenceClassification

folder, texts_path, logits_path = sys.argv[1:]

tokenizer = AutoTokenizer.from_pretrained(folder)
model, info = TFAutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info

logits = []
for text in json.load(open(texts_path)):
    inputs = tokenizer(text, return_tensors="tf", truncation=True, padding=True)
    outputs = model(**inputs)
    prediction = tf.argmax(tf.nn.softmax(outputs.logits, axis=-1), axis=-1).numpy()[0]
    assert model.config.id2label[prediction] in model.config.label2id
    logits.append(outputs.logits.numpy()[0].tolist())
json.dump(logits, open(logits_path, "w"))
