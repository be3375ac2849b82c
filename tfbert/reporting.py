"""training_report.md and the model card."""

import importlib.metadata
import platform
from pathlib import Path

from tfbert.evaluation import mean_and_deviation
from tfbert.files import write_json, write_text
from tfbert.plots import write_plots
from tfbert.timing import clock

PACKAGES = ("tensorflow", "keras", "transformers", "datasets", "scikit-learn", "onnxruntime")


def write_all(plots_dir, report_path, record):
    """Everything that a finished run leaves to read. record: train.py's dict of what was done and measured."""
    output_dir = Path(record["settings"].output_dir)
    write_json(output_dir / "metrics.json", record["metrics"])
    write_model_card(output_dir / "README.md", record)
    write_plots(plots_dir, record)
    write_report(report_path, record)


# training_report.md


def write_report(path, record):
    metrics, settings = record["metrics"], record["settings"]
    plots = "plots"
    gain = metrics["accuracy"] - metrics["baseline_accuracy"]
    compared = f"{abs(gain) * 100:.2f} points {'more' if gain > 0 else 'LESS'} than" if gain else "exactly as much as"
    lines = [
        f"# Training report: {record['title']}",
        "",
        f"**{metrics['accuracy']:.2%} accuracy** on {metrics['n_test']:,} test reviews "
        f"(95% interval {metrics['accuracy_low']:.2%} to {metrics['accuracy_high']:.2%}), "
        f"after {training_time(record)} on {record['device'].description}. "
        f"That is {compared} TF-IDF with logistic regression on the same reviews.",
        "",
        *seeds(metrics),
        *table(
            ["", "accuracy", "measured or published", "F1", "ROC AUC", "log loss", "calibration error", "training, s"],
            [
                [
                    metrics["model"],
                    f"{metrics['accuracy']:.4f}",
                    "here",
                    f"{metrics['f1']:.4f}",
                    "" if metrics["roc_auc"] is None else f"{metrics['roc_auc']:.4f}",
                    f"{metrics['log_loss']:.4f}",
                    f"{metrics['ece']:.4f}",
                    f"{metrics['train_seconds']:.0f}",
                ],
                [
                    "TF-IDF + logistic regression",
                    f"{metrics['baseline_accuracy']:.4f}",
                    "here",
                    *[""] * 4,
                    f"{metrics['baseline_seconds']:.0f}",
                ],
                *[[name, f"{share:.4f}", source, *[""] * 5] for name, share, source in record["published"]],
            ],
        ),  # fmt: skip
        *(
            ["", "Published figures are for all 25,000 training and all 25,000 test reviews."]
            if record["published"]
            else []
        ),
        "",
        "## What was done",
        "",
        f"    {record['command']}",
        "",
        *table(
            ["", ""],
            [
                ["encoder", f"{record['encoder'].description}; {record['weights_line']}"],
                *pretraining(record["pretraining"]),
                ["data", record["data"].description],
                [
                    "reviews",
                    f"{metrics['n_train']:,} to train, {metrics['n_validation']:,} held out of train for the "
                    f"curves, {metrics['n_test']:,} to test; the test part was read once, at the end",
                ],
                ["job", record["job"]],
                [
                    "device",
                    f"{record['device'].description}, {record['device'].precision} products, XLA "
                    f"{'on' if record['device'].xla else 'off'}; evaluated in float32",
                ],
                ["started", record["started"]],
                ["durations", ", ".join(f"{name} {clock(seconds)}" for name, seconds in record["durations"].items())],
                ["padding", f"{metrics['padding_share']:.1%} of the tokens in training batches"],
                [
                    "software",
                    ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
                    + f", Python {platform.python_version()}",
                ],
            ],
        ),  # fmt: skip
        "",
        "<details><summary>All settings</summary>",
        "",
        *table(["setting", "value"], [[f"`--{name}`", f"`{value}`"] for name, value in vars(settings).items()]),
        "",
        "</details>",
        "",
        "## How it learnt",
        "",
        f"![loss]({plots}/loss.png)",
        f"![accuracy]({plots}/accuracy.png)",
        "",
        "## How it does on the test reviews",
        "",
        *table(
            ["label", "precision", "recall", "F1", "reviews"],
            [
                [name, f"{row['precision']:.4f}", f"{row['recall']:.4f}", f"{row['f1']:.4f}", f"{row['support']:,}"]
                for name, row in metrics["per_class"].items()
            ],
        ),
        "",
        f"![confusion matrix]({plots}/confusion_matrix.png)",
        "",
        "## How far its confidence can be trusted",
        "",
        f"A calibration error of {metrics['ece']:.3f} means that, on average over 15 bins, the stated confidence is "
        f"{metrics['ece'] * 100:.1f} points away from the share of reviews that are right. Logits are divided by a "
        f"temperature of {metrics['temperature']:.2f} first, which was fitted on the held-out part of train and "
        "changes no label:",
        "",
        *table(
            ["", "calibration error", "log loss"],
            [
                ["as trained", f"{metrics['ece_before']:.4f}", f"{metrics['log_loss_before']:.4f}"],
                ["with the temperature, as infer.py says it", f"{metrics['ece']:.4f}", f"{metrics['log_loss']:.4f}"],
            ],
        ),
        "",
        f"![calibration]({plots}/calibration.png)",
        *([f"![ROC]({plots}/roc.png)"] if len(metrics["per_class"]) == 2 else []),
        "",
        "## Short and long reviews",
        "",
        f"The model reads at most {settings.max_seq_length} tokens of a review ({settings.truncation}); lengths below "
        f"are those before truncation. {metrics['truncated_share']:.0%} of the test reviews were cut.",
        "",
        *table(
            ["tokens", "reviews", "accuracy"],
            [
                [f"{low} to {high}" if high else f"{low} and more", f"{count:,}", f"{share:.4f}"]
                for low, high, count, share in metrics["accuracy_by_length"]
            ],
        ),
        "",
        f"![lengths]({plots}/lengths.png)",
        "",
        "## The most confident mistakes",
        "",
        *mistakes(record["mistakes"], settings.excerpt_words),
        "",
    ]
    write_text(path, "\n".join(lines))


def training_time(record):
    """In words, with masked language modelling before it where there was some."""
    time = f"{clock(record['metrics']['train_seconds'])} of training"
    done = record["pretraining"]
    return f"{clock(done['train_seconds'])} of masked language modelling and {time}" if done else time


def pretraining(done):
    """A row on what pretrain.py did to the encoder before, where it did."""
    if done is None:
        return []
    what = f"masked language modelling for {clock(done['train_seconds'])} on {done['texts']:,} texts, without labels"
    return [["before", f"{what}: `{done['command']}`, from {done['model_source']}, {done['dataset_source']}"]]


def seeds(metrics):
    """Mean, deviation and a table of the runs, where there were several."""
    rows = metrics["seeds"]
    if len(rows) == 1:
        return []
    return [
        f"**{mean_and_deviation([row['accuracy'] for row in rows])} over {len(rows)} seeds** (mean and standard "
        f"deviation). Saved, and described below, is seed {metrics['seed']}, the median by accuracy on held-out "
        "reviews.",
        "",
        *table(
            ["seed", "test accuracy", "held-out accuracy", "training, s"],
            [
                [str(row["seed"]), f"{row['accuracy']:.4f}", f"{row['validation_accuracy']:.4f}",
                 f"{row['train_seconds']:.0f}"]
                for row in rows
            ],
        ),
        "",
    ]  # fmt: skip


def mistakes(rows, excerpt_words):
    """A table of what evaluation.worst_mistakes gives."""
    if not rows:
        return ["None: every test review was labelled right."]
    head = ["label", "predicted", "confidence", "tokens", "how the review ends"]
    cells = [
        [row["label"], row["predicted"], f"{row['confidence']:.4f}", f"{row['tokens']:,}",
         excerpt(row["text"], excerpt_words)]
        for row in rows
    ]  # fmt: skip
    if excerpt_words:
        return table(head, cells)
    return [*table(head[:-1], [row[:-1] for row in cells]), "", "The texts are left out (`--excerpt_words 0`)."]


def excerpt(text, words):
    """The end of a text, where a review says most, as it may stand in a Markdown table."""
    kept = text.replace("<br />", " ").split()
    start = "... " if len(kept) > words else ""
    return start + " ".join(kept[-words:]).replace("|", "\\|").replace("<", "&lt;")


def table(head, rows):
    return [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]]


# output/README.md


def elsewhere(settings):
    """How transformers loads the model, or why it cannot."""
    if settings.pooling != "pooler":
        return (
            f"transformers' own classes cannot load it: they have no head that takes `--pooling {settings.pooling}`, "
            "and would put a new pooler in its place."
        )
    return f"""With transformers 4 and tf-keras, change the first line to `from transformers import ...`.
With transformers 5 and PyTorch, from pytorch/:

```python
from transformers import AutoModelForSequenceClassification

model = AutoModelForSequenceClassification.from_pretrained("{settings.output_dir}/pytorch")
```"""


def write_model_card(path, record):
    """The model card of the Hugging Face Hub, output/README.md."""
    metrics, labels = record["metrics"], ", ".join(record["label_names"])
    settings = record["settings"]
    head = ["library_name: keras", "pipeline_tag: text-classification", "metrics:", "- accuracy"]
    if not record["encoder"].is_local:
        head.append(f"base_model: {metrics['model']}")
    if not record["data"].is_local:
        head += ["datasets:", f"- {metrics['dataset']}"]
    text = (
        "---\n"
        + "\n".join(head)
        + "\n---\n"
        + f"""
# {Path(metrics["model"]).name}, fine-tuned for {record["title"]}

Labels: {labels}. Accuracy {metrics["accuracy"]:.4f} (95% interval {metrics["accuracy_low"]:.4f} to
{metrics["accuracy_high"]:.4f}) on {metrics["n_test"]:,} test reviews, after training on {metrics["n_train"]:,}.
TF-IDF with logistic regression reaches {metrics["baseline_accuracy"]:.4f} on the same reviews.

It reads at most {settings.max_seq_length} tokens of a text ({settings.truncation}).

## How to use it

Here, with the ONNX model in onnx/:

    python infer.py --model_dir {settings.output_dir} "a text"

With TensorFlow, from this project:

```python
from tfbert import AutoTokenizer, TFAutoModelForSequenceClassification

tokenizer = AutoTokenizer.from_pretrained("{settings.output_dir}")
model = TFAutoModelForSequenceClassification.from_pretrained("{settings.output_dir}")
logits = model(**tokenizer("a text", truncation=True, return_tensors="tf")).logits
```

Its confidence is that of the logits divided by {metrics["temperature"]:.3f} (`temperature` in config.json), as
infer.py does. Of a text longer than {settings.max_seq_length} tokens, `truncation=True` keeps the head; infer.py keeps
what training kept ({settings.truncation}).

{elsewhere(settings)}

## How it was made

    {record["command"]}

Encoder: {record["encoder"].description}. Data: {record["data"].description}.
All settings and figures are in metrics.json, the curves in history.csv.

## Where it fails

It has learnt from the texts of one data set and knows nothing of others; what stands in the middle of a long text
it does not read; its confidence is off by {metrics["ece"] * 100:.1f} points on average.
"""
    )
    write_text(path, text)
