"""output/README.md, the model card of the Hugging Face Hub."""

from pathlib import Path, PurePath

from tfbert.common.files import write_text
from tfbert.model.configs import model_config
from tfbert.model.weight_names import WITHOUT_TENSORFLOW
from tfbert.report.markdown import one_line
from tfbert.report.metrics import METRICS


def elsewhere(job):
    """How transformers loads the model, or why it cannot."""
    settings, sizes = job.settings, model_config(job.config)
    if not sizes.head_is_transformers:
        return (
            f"transformers' own classes cannot load it: they have no head that takes `--pooling {settings.pooling}`, "
            "and would put a new pooler in its place."
        )
    with_tensorflow = "With transformers 4 and tf-keras, change the first line to `from transformers import ...`."
    if sizes.model_type in WITHOUT_TENSORFLOW:
        with_tensorflow = f"transformers 4 has no TensorFlow class for {sizes.model_type}."
    return f"""{with_tensorflow}
With transformers 5 and PyTorch, from pytorch/:

```python
from transformers import AutoModelForSequenceClassification

model = AutoModelForSequenceClassification.from_pretrained("{Path(settings.output_dir).as_posix()}/pytorch")
```"""


def what_it_reads(settings):
    if settings.long_texts == "windows":
        return "infer.py reads all, in windows whose logits are averaged"
    return f"infer.py reads no more ({settings.truncation})"


def write_model_card(path, record):
    """The model card of the Hugging Face Hub, output/README.md."""
    metrics, job, settings = record.metrics, record.job, record.job.settings
    metric, folder = metrics["metric"], Path(settings.output_dir).as_posix()
    head = ["library_name: keras", "pipeline_tag: text-classification", "metrics:", f"- {METRICS[metric]}"]
    if job.pretraining and "(local" not in job.pretraining["model_source"]:
        head.append(f"base_model: {job.pretraining['model']}")
    elif not job.encoder.is_local:
        head.append(f"base_model: {job.encoder.name}")
    if not job.data.is_local:
        head += ["datasets:", f"- {metrics['dataset']}"]
    unlabelled = f" and {metrics['n_unlabelled']:,} without labels" * bool(metrics["n_unlabelled"])
    before = f"    {job.pretraining['command']}\n" if job.pretraining else ""
    text = (
        "---\n"
        + "\n".join(head)
        + "\n---\n"
        + f"""
# {PurePath(job.encoder_name).name}, fine-tuned for {record.title}

Labels: {one_line(", ".join(job.splits.label_names))}.
{METRICS[metric].capitalize()} {metrics[metric]:.4f} (95% interval
{metrics[f"{metric}_low"]:.4f} to {metrics[f"{metric}_high"]:.4f}) on {metrics["n_test"]:,} {job.task.tested},
after training on {metrics["n_train"]:,}{unlabelled}.
On the same {job.task.unit}, {metrics["baseline"]} with logistic regression reaches
{metrics[f"baseline_{metric}"]:.4f}, the most frequent label {metrics[f"majority_{metric}"]:.4f}.

It reads {settings.max_seq_length} tokens at a time; of a longer text {what_it_reads(settings)}.

## How to use it

Here, with the ONNX model in onnx/:

    {job.infer_command}

With TensorFlow, from this project:

```python
from tfbert import AutoTokenizer, TFAutoModelForSequenceClassification

tokenizer = AutoTokenizer.from_pretrained("{folder}")
model = TFAutoModelForSequenceClassification.from_pretrained("{folder}")
logits = model(**tokenizer("a text", truncation=True, return_tensors="tf")).logits
```

Its confidence is that of the logits divided by {metrics["temperature"]:.3f} (`temperature` in config.json), as
infer.py does. Of a text longer than {settings.max_seq_length} tokens, `truncation=True` keeps the head.

{elsewhere(job)}

## How it was made

{before}    {job.command}

Encoder: {job.encoder.description}. Data: {job.data.description}.
All settings and figures are in metrics.json, the curves in history.csv.

## Where it fails

It has learnt from the texts of one data set and knows nothing of others; its confidence is off by
{metrics["ece"] * 100:.1f} points on average.
"""
    )
    write_text(path, text)
