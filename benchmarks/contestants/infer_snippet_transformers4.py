"""Labels one review as scripts for transformers 4 do. Arguments: model folder, review."""

import os
import sys

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf
from transformers import AutoTokenizer, TFAutoModelForSequenceClassification

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = TFAutoModelForSequenceClassification.from_pretrained(sys.argv[1])
inputs = tokenizer(sys.argv[2], return_tensors="tf", truncation=True, padding=True)
prediction = tf.argmax(model(**inputs).logits, axis=-1).numpy()[0]
print(model.config.id2label[prediction])
