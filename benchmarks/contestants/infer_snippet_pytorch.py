"""Labels one review with transformers 5 and PyTorch. Arguments: model folder, review."""

import sys

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1])
with torch.inference_mode():
    logits = model(**tokenizer(sys.argv[2], return_tensors="pt", truncation=True)).logits
print(model.config.id2label[int(logits.argmax())])
