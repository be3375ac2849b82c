"""training_report.md, section by section."""

import contextlib
import importlib.metadata
import platform
import re

from tfbert.common.files import write_text
from tfbert.common.timing import clock
from tfbert.data.columns import places_of
from tfbert.data.windows import LAST
from tfbert.report.captions import FEWEST, picture
from tfbert.report.confusions import MANY, confused_pairs, never_predicted
from tfbert.report.data_doubts import what_may_be_wrong
from tfbert.report.first_page import figures, some_examples, verdict, what_to_try
from tfbert.report.markdown import one_line, table
from tfbert.report.metrics import METRICS
from tfbert.report.mistakes import table_of_mistakes, worst_mistakes
from tfbert.report.wording import as_text

PACKAGES = ("tensorflow", "keras", "transformers", "datasets", "scikit-learn", "onnxruntime")


def write_report(path, record):
    parts = (verdict, some_examples, what_to_try, figures, what_the_teacher_gave, per_label, most_confident_mistakes,
             by_length, confidence, curves, roc_curve, what_may_be_wrong, what_was_done)  # fmt: skip
    lines = [line for part in parts for line in (*part(record), "")]
    text = "\n".join([f"# Training report: {record.title}", "", *lines])
    write_text(path, re.sub("\n{3,}", "\n\n", text))  # where a section has nothing to say


def what_the_teacher_gave(record):
    """A table of teacher, student, and student without it, where there was a teacher."""
    metric = record.metrics["metric"]
    rows = [[row["who"], as_text(metric, row[metric]), f"{row['parameters'] / 1e6:,.1f} million",
             f"{row['milliseconds']:.1f}"] for row in record.metrics.get("teaching", ())]  # fmt: skip
    head = ["", METRICS[metric], "numbers", "milliseconds a text"]
    return ["## What the teacher gave", "", *table(head, rows)] if rows else []


def what_was_done(record):
    metrics, job = record.metrics, record.job
    held_out = "" if job.settings.validation_file else "held out of train "
    unlabelled = f" and {metrics['n_unlabelled']:,} without labels" * bool(metrics["n_unlabelled"])
    rows = [
        ["encoder", f"{job.encoder.description}; {job.weights_line}"],
        *pretraining(job.pretraining),
        ["data", job.data.description],
        [job.task.unit, f"{metrics['n_train']:,} to train{unlabelled}, "
         f"{metrics['n_validation']:,} {held_out}for the curves, "
         f"{metrics['n_test']:,} to test, read at the end alone{', by each run' * (len(metrics['seeds']) > 1)}"],
        *[["note", note] for note in (*job.splits.notes, *record.notes)],
        ["job", job.size],
        ["device", job.device.in_words],
        ["resumed" if job.settings.resume_from_checkpoint else "started", job.started],
        ["durations since then", ", ".join(f"{name} {clock(each)}" for name, each in metrics["durations"].items())],
        ["software", versions()],
    ]  # fmt: skip
    if job.settings.method == "finetune":
        rows.append(["padding", f"{metrics['padding_share']:.1%} of the tokens in training batches"])
    settings = [
        [f"`--{name}`", f"`{value}`"]
        for name, value in vars(job.settings).items()
        if value is not None and not (name == "task_name" and job.task.is_own)
    ]
    return [
        "## What was done", "", f"    {job.command}", "", *table(["", ""], rows), "",
        "<details><summary>All settings</summary>", "", *table(["setting", "value"], settings), "", "</details>",
    ]  # fmt: skip


def versions():
    """Of Python and of the packages that are installed: tensorflow-cpu, for one, is not tensorflow."""
    words = []
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            words.append(f"{name} {importlib.metadata.version(name)}")
    return ", ".join([*words, f"Python {platform.python_version()}"])


def curves(record):
    if record.job.settings.method == "features":
        chosen = ", ".join(f"{strength:g}" for strength in record.run.strengths if strength)
        words = f"Regularization chosen by cross-validation: C = {chosen}." if chosen else ""
        if None in record.run.strengths:
            words += " Where a label is too rare for cross-validation, C is scikit-learn's own."
        how = "The encoder stayed as it is; logistic regression learnt from its standardized vectors."
        return ["## How it learnt", "", f"{how} {words.strip()}"]
    metric = record.metrics["metric"]
    pictures = dict.fromkeys(["loss", "accuracy", metric])
    return ["## How it learnt", "", *[line for name in pictures for line in picture(record, name)]]


def per_label(record):
    metrics, unit = record.metrics, record.job.task.unit
    head = ["label", "precision", "recall", "F1", unit]
    several = "confusion_matrix" not in metrics

    def row(name, figures):
        cells = [name, *[f"{figures[key]:.3f}" for key in ("precision", "recall", "f1")], f"{figures['support']:,}"]
        if several:
            area = figures["roc_auc"]
            cells += ["" if area is None else f"{area:.3f}", f"{figures['threshold']:.2f}"]
        return cells

    rows = [row(name, figures) for name, figures in metrics["per_class"].items()]
    title = f"## How it does on the {record.job.task.tested}"
    return [
        title, "", *table(head + ["ROC AUC", "threshold"] * several, rows), "",
        f"Precision: of the {unit} that got the label, the share that has it. Recall: of those that have it, the share "
        "that got it. F1 lies between them, nearer to the lower one.", "",
        *([] if several else what_for_what(record)), *picture(record, "labels" if several else "confusion_matrix"),
    ]  # fmt: skip


def what_for_what(record):
    """Of many labels, the pairs that are confused most; and those that no text was given."""
    matrix, names = record.metrics["confusion_matrix"], record.job.splits.label_names
    lines = []
    if len(names) > MANY and (pairs := confused_pairs(matrix)):
        rows = [[names[true], names[predicted], f"{count:,}", f"{share:.1%}"]
                for true, predicted, count, share in pairs]  # fmt: skip
        head = ["true", "predicted", record.job.task.unit, "share of the true label's"]
        lines = ["What it confuses most:", "", *table(head, rows), ""]
    if never := never_predicted(matrix, names):
        more = f" and {len(never) - MANY} more" if len(never) > MANY else ""
        lines += [
            f"Never predicted, {len(never)} of {len(names)} labels: {one_line(', '.join(never[:MANY]))}{more}.",
            "",
        ]
    return lines


def confidence(record):
    metrics = record.metrics
    what = "decisions at 0.5" if "confusion_matrix" not in metrics else record.job.task.unit
    few = "; of so few it is a rough guess" * (metrics["n_test"] < FEWEST)
    rows = [
        ["as trained", f"{metrics['ece_before']:.3f}", f"{metrics['log_loss_before']:.3f}"],
        ["with the temperature, as infer.py says it", f"{metrics['ece']:.3f}", f"{metrics['log_loss']:.3f}"],
    ]
    if round(metrics["temperature"], 2) == 1:
        temperature = (
            "Logits stay as they are, divided by a temperature of 1: the texts held out of training ask for no other, "
            "or, where the model has them all right, cannot tell"
        )
    else:
        temperature = (
            f"Logits are divided by a temperature of {metrics['temperature']:.2f} first, which was fitted on texts "
            "held out of training and changes no label"
        )
    worse = [words for name, words in (("ece", "calibration error"), ("log_loss", "log loss"))
             if round(metrics[name], 3) > round(metrics[f"{name}_before"], 3)]  # fmt: skip
    return [
        "## How far its confidence can be trusted",
        "",
        f"A calibration error of {metrics['ece']:.3f} means that, on average over 15 bins, the stated confidence is "
        f"{metrics['ece'] * 100:.1f} points away from the share of {what} that are right"
        f"{few}. {temperature}:",
        "",
        *table(["", "calibration error", "log loss"], rows),
        "",
        *[
            f"On these {record.job.task.unit} the {' and the '.join(worse)} came out worse for it: "
            f"{metrics['n_validation']:,} held-out texts say only about what a temperature should be.",
            "",
        ]
        * bool(worse),
        *picture(record, "calibration"),
    ]


def roc_curve(record):
    lines = picture(record, "roc")
    return ["## By threshold", "", *lines] if lines else []


def by_length(record):
    metrics, settings, unit = record.metrics, record.job.settings, record.job.task.unit
    what = "accuracy" if "confusion_matrix" in metrics else "all labels right"
    rows = [
        [f"{low} to {high}" if high else f"{low} and more", f"{count:,}", f"{share:.1%}"]
        for low, high, count, share in metrics["accuracy_by_length"]
    ]
    return [
        f"## Short and long {unit}",
        "",
        how_long_ones_are_read(metrics, settings, record.job.task),
        "",
        *table(["tokens", unit, what], rows),
        "",
        *picture(record, "lengths"),
    ]


def how_long_ones_are_read(metrics, settings, task):
    """A paragraph; with windows, what they give and cost."""
    longest, share = settings.max_seq_length, f"{metrics['truncated_share']:.0%} of the {task.tested} are longer"
    if not metrics["truncated_share"]:
        return f"The model reads {longest} tokens at a time; none of the {task.tested} is longer."
    if "windows" not in metrics:
        return (
            f"The model reads at most {longest} tokens ({settings.truncation}). {share} and were cut; the lengths "
            "below are those before."
        )
    found = metrics["windows"]
    return (
        f"The model reads {longest} tokens at a time. {share} and are read whole, in windows, whose "
        f"logits are averaged, the last one counting {LAST} times. Of these {found['texts']:,} "
        f"{found['right']:.2%} are right; cut ({settings.truncation}) {found['right_cut']:.2%} would be. That takes "
        f"{found['tokens_read']:.2f} times as many tokens. Training cuts long ones."
    )


def most_confident_mistakes(record):
    job, reading = record.job, record.job.config["tfbert"]
    rows = worst_mistakes(record.logits / reading["temperature"], job.test, job.test_texts, job.splits.label_names,
                          reading.get("thresholds", 0.5))  # fmt: skip
    if places := places_of(job.splits.test):
        rows = [{"where": places[row["row"]], **row} for row in rows]
    cells = table_of_mistakes(rows, job.settings.excerpt_words, record.reasons, job.several)
    wrong = ["", "Where it is sure and the text speaks for it, the label may be what is wrong."] * bool(rows)
    return ["## The most confident mistakes", "", *cells, *wrong]


def pretraining(done):
    """A row on what pretrain.py did to the encoder before, where it did."""
    if done is None:
        return []
    what = f"masked language modelling for {clock(done['train_seconds'])} on {done['texts']:,} texts, without labels"
    return [["before", f"{what}: `{done['command']}`, from {done['model_source']}, {done['dataset_source']}"]]
