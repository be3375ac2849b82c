"""Peers of benchmarks/own_data.py. Arguments: kind, encoder folder, train.csv, test.csv, seed, where the answer goes.

The tables have a column text and either one of labels or, where several may hold, one of zeros and ones for each.
kind: tfidf, logistic regression on TF-IDF; trainer, transformers' Trainer as its text-classification example sets it
up; pytorch, a strong recipe by hand; setfit, contrastive pairs and logistic regression (Tunstall et al. 2022,
arXiv:2209.11055). The answer is an .npz: names, str (L,), and probabilities, float (N, L), of the test texts.
"""

import csv
import os
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
import numpy as np

from tfbert.report.baselines import BASELINE_WEIGHTS, WORDS
from tfbert.report.calibration import probabilities_of

TOKENS = 256
SETFIT_PAIRS = 25_000  # that SetFit learns from, about: its own default of 20 a text where the set is small


def main():
    kind, encoder, train, test, seed, answer = sys.argv[1:]
    (texts, names, labels), (test_texts, _, _) = read(train), read(test)
    random.seed(int(seed))
    predict = {"tfidf": tfidf, "trainer": trainer, "pytorch": by_hand, "setfit": setfit}[kind]
    np.savez(answer, names=names, probabilities=predict(encoder, texts, labels, len(names), test_texts, int(seed)))


def read(path):
    """The texts, the names of the labels, and what holds: int (N,), or float (N, L) where several labels may."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    texts, columns = [row["text"] for row in rows], [name for name in rows[0] if name != "text"]
    if len(columns) > 1:
        return texts, columns, np.array([[float(row[name]) for name in columns] for row in rows])
    labels = [row[columns[0]] for row in rows]
    names = sorted(set(labels))
    return texts, names, np.array([names.index(label) for label in labels])


def tfidf(encoder, texts, labels, count, test, seed):
    """As the report's baseline: words and word pairs that stand in two texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    vectorizer = TfidfVectorizer(**WORDS, max_features=BASELINE_WEIGHTS // count)
    model = LogisticRegression(C=10, max_iter=1000)
    if labels.ndim == 2:
        model = OneVsRestClassifier(model)
    return model.fit(vectorizer.fit_transform(texts), labels).predict_proba(vectorizer.transform(test))


def trainer(encoder, texts, labels, count, test, seed):
    """Three epochs, the example's batch of 8 and rate of 5e-5, linear decay; padded by batch only."""
    import torch
    from datasets import Dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    problem = "multi_label_classification" if labels.ndim == 2 else "single_label_classification"
    model = AutoModelForSequenceClassification.from_pretrained(
        encoder, num_labels=count, problem_type=problem, dtype=torch.float32
    )

    def tokens(texts, **columns):
        return Dataset.from_dict({**tokenizer(texts, truncation=True, max_length=TOKENS), **columns})

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=3,
            learning_rate=5e-5,
            per_device_train_batch_size=8,
            per_device_eval_batch_size=64,
            save_strategy="no",
            report_to=[],
            seed=seed,
            disable_tqdm=True,
        )
        learner = Trainer(model, arguments, DataCollatorWithPadding(tokenizer), tokens(texts, labels=labels.tolist()))
        learner.train()
        return probabilities_of(learner.predict(tokens(test)).predictions, labels)


def by_hand(encoder, texts, labels, count, test, seed):
    """Mean pooling, AdamW at 1e-4 with warm-up and linear decay, batches of 16 and similar lengths, epochs by size."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    body = AutoModel.from_pretrained(encoder, dtype=torch.float32)
    head, dropout = torch.nn.Linear(body.config.hidden_size, count), torch.nn.Dropout(0.1)
    functional = torch.nn.functional
    loss_of = functional.cross_entropy if labels.ndim == 1 else functional.binary_cross_entropy_with_logits
    targets = torch.tensor(labels, dtype=torch.int64 if labels.ndim == 1 else torch.float32)
    epochs = 20 if len(texts) < 1000 else 10 if len(texts) < 5000 else 6

    def logits_of(batch):
        inputs = tokenizer(batch, padding=True, truncation=True, max_length=TOKENS, return_tensors="pt")
        mask = inputs["attention_mask"][:, :, None]
        hidden = body(**inputs).last_hidden_state
        return head(dropout((hidden * mask).sum(1) / mask.sum(1)))

    weights = [*body.named_parameters(), *head.named_parameters()]
    groups = [
        {
            "params": [w for name, w in weights if ("bias" in name or "LayerNorm" in name) == exempt],
            "weight_decay": decay,
        }
        for exempt, decay in ((True, 0.0), (False, 0.01))
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-4)
    steps = epochs * -(-len(texts) // 16)
    warm = steps // 10
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / max(warm, 1), (steps - step) / max(steps - warm, 1))
    )
    lengths, rng = np.array([len(text) for text in texts]), np.random.default_rng(seed)
    body.train(), dropout.train()
    for _ in range(epochs):
        order = rng.permutation(len(texts))
        for window in np.split(order, range(0, len(order), 800)[1:]):
            window[:] = window[np.argsort(lengths[window], kind="stable")]
        batches = np.split(order, range(0, len(order), 16)[1:])
        for number in rng.permutation(len(batches)):
            rows = batches[number]
            loss = loss_of(logits_of([texts[row] for row in rows]), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_([w for _, w in weights], 1.0)
            optimizer.step()
            schedule.step()
    body.eval(), dropout.eval()
    with torch.inference_mode():
        logits = np.concatenate([logits_of(test[i : i + 64]).numpy() for i in range(0, len(test), 64)])
    return probabilities_of(logits, labels)


def setfit(encoder, texts, labels, count, test, seed):
    """SetFit's defaults: one epoch over pairs, batches of 16, a rate of 2e-5, logistic regression as head."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    model = SetFitModel.from_pretrained(encoder)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            batch_size=16,
            num_epochs=1,
            num_iterations=max(1, min(20, SETFIT_PAIRS // (2 * len(texts)))),
            seed=seed,
            report_to="none",
            save_strategy="no",
        )
        data = Dataset.from_dict({"text": texts, "label": labels.tolist()})
        Trainer(model=model, args=arguments, train_dataset=data).train()
    return np.asarray(model.predict_proba(test, as_numpy=True))


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
