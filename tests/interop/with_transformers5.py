"""Labels texts with transformers 5 and PyTorch, from the pytorch/ folder that train.py writes.

usage: with_transformers5.py MODEL_FOLDER TEXTS.json LOGITS.json
"""

import json
import sys

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

folder, texts_path, logits_path = sys.argv[1:]

tokenizer = AutoTokenizer.from_pretrained(folder)
model, info = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info

logits = []
for text in json.load(open(texts_path)):
    with torch.no_grad():
        logits.append(model(**tokenizer(text, return_tensors="pt", truncation=True)).logits[0].tolist())
json.dump(logits, open(logits_path, "w"))
