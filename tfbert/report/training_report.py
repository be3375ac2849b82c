"""training_report.md, section by section."""

import contextlib
import importlib.metadata
import platform

from tfbert.common.files import write_text
from tfbert.common.timing import clock
from tfbert.data.windows import LAST
from tfbert.report.confusions import MANY, confused_pairs, never_predicted
from tfbert.report.data_doubts import what_may_be_wrong
from tfbert.report.markdown import one_line, table
from tfbert.report.metrics import METRICS, has_roc
from tfbert.report.mistakes import table_of_mistakes, worst_mistakes
from tfbert.report.wording import as_text, comparison, doubts, kept, over_seeds, seeds_and_average, unbalanced

PACKAGES = ("tensorflow", "keras", "transformers", "datasets", "scikit-learn", "onnxruntime")


def write_report(path, record):
    parts = (summary, what_the_teacher_gave, what_was_done, curves, per_label, confidence, by_length,
             most_confident_mistakes, what_may_be_wrong)  # fmt: skip
    lines = [line for part in parts for line in (*part(record), "")]
    write_text(path, "\n".join([f"# Training report: {record.title}", "", *lines]))


def summary(record):
    metrics, job = record.metrics, record.job
    metric, name = metrics["metric"], METRICS[metrics["metric"]]

    def shown(key):
        return "" if metrics.get(key) is None else f"{metrics[key]:.4f}"

    head = ["", name, "measured or published", "F1" if metric != "f1_micro" else "macro-F1", "ROC AUC", "log loss",
            "calibration error", "training, s"]  # fmt: skip
    second = "f1_macro" if metric == "f1_micro" else "f1"
    rows = [
        [job.encoder_name, shown(metric), "here", shown(second), shown("roc_auc"), shown("log_loss"), shown("ece"),
         f"{metrics['train_seconds']:.0f}"],
        [f"{metrics['baseline']} + logistic regression", shown(f"baseline_{metric}"), "here", *[""] * 4,
         f"{metrics['baseline_seconds']:.0f}"],
        ["the most frequent label", shown(f"majority_{metric}"), "here", *[""] * 5],
        *[[who, f"{value:.4f}", source, *[""] * 5] for who, value, source in record.published],
    ]  # fmt: skip
    more = []
    if metric == "matthews_correlation":
        share = metrics["majority_accuracy"]
        more = [f"Accuracy is {metrics['accuracy']:.2%}, where the most frequent label alone reaches {share:.2%}.", ""]
    if metric == "f1_micro":
        more = [*thresholds(metrics), ""]
    same = job.task.published_on or f"all {job.task.tested}"
    published = ["", f"Published figures are for the full training data and {same}. {job.task.disputed}".strip()]
    return [
        f"**{as_text(metric, metrics[metric])} {name}** on {metrics['n_test']:,} {job.task.tested} "
        f"(95% interval {as_text(metric, metrics[f'{metric}_low'])} to {as_text(metric, metrics[f'{metric}_high'])}), "
        f"after {training_time(record)} on {job.device.description}. "
        f"{comparison(metrics, job.task.unit)}{macro(metrics)}",
        "",
        *[line for doubt in doubts(metrics) for line in (f"**{doubt[0].upper()}{doubt[1:]}.**", "")],
        *more,
        *seeds(metrics),
        *table(head, rows),
        *(published if record.published else []),
    ]


def what_the_teacher_gave(record):
    """A table of teacher, student, and student without it, where there was a teacher."""
    metric = record.metrics["metric"]
    rows = [[row["who"], as_text(metric, row[metric]), f"{row['parameters'] / 1e6:,.1f} million",
             f"{row['milliseconds']:.1f}"] for row in record.metrics.get("teaching", ())]  # fmt: skip
    head = ["", METRICS[metric], "numbers", "milliseconds a text"]
    return ["## What the teacher gave", "", *table(head, rows)] if rows else []


def macro(metrics):
    """A sentence on macro-F1, where the labels are unbalanced."""
    if metrics["metric"] == "f1_micro" or not unbalanced(metrics):
        return ""
    return (f" Macro-F1, in which every label counts alike, is {metrics['f1_macro']:.3f}; "
            f"{metrics['baseline_f1_macro']:.3f} by {metrics['baseline']}.")  # fmt: skip


def thresholds(metrics):
    """A table of the two ways to decide where several labels may hold."""
    names = {"f1_micro": "micro-F1", "f1_macro": "macro-F1", "jaccard": "Jaccard", "accuracy": "all labels right"}
    return [
        *table(
            ["a label holds where its probability is", *names.values()],
            [
                ["above 0.5", *[f"{metrics[f'{key}_at_half']:.4f}" for key in names]],
                ["above its threshold, fitted on held-out texts, as infer.py does",
                 *[f"{metrics[key]:.4f}" for key in names]],
            ],
        ),
        "",
        f"ROC AUC is {metrics['roc_auc_micro']:.4f} of all scores together, and {metrics['roc_auc_of_labels']:.4f} of "
        "the decisions at 0.5, as some tutorials take it; the table below has the mean over labels.",
    ]  # fmt: skip


def what_was_done(record):
    metrics, job = record.metrics, record.job
    held_out = "" if job.settings.validation_file else "held out of train "
    rows = [
        ["encoder", f"{job.encoder.description}; {job.weights_line}"],
        *pretraining(job.pretraining),
        ["data", job.data.description],
        [job.task.unit, f"{metrics['n_train']:,} to train, {metrics['n_validation']:,} {held_out}for the curves, "
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
    settings = [[f"`--{name}`", f"`{value}`"] for name, value in vars(job.settings).items()]
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
    more = [f"![{METRICS[metric]}](plots/{metric}.png)"] if metric != "accuracy" else []
    return ["## How it learnt", "", "![loss](plots/loss.png)", "![accuracy](plots/accuracy.png)", *more]


def per_label(record):
    metrics, unit = record.metrics, record.job.task.unit
    head = ["label", "precision", "recall", "F1", unit]
    several = "confusion_matrix" not in metrics

    def row(name, figures):
        cells = [name, *[f"{figures[key]:.4f}" for key in ("precision", "recall", "f1")], f"{figures['support']:,}"]
        if several:
            area = figures["roc_auc"]
            cells += ["" if area is None else f"{area:.4f}", f"{figures['threshold']:.2f}"]
        return cells

    rows = [row(name, figures) for name, figures in metrics["per_class"].items()]
    picture = "![labels](plots/labels.png)" if several else "![confusion matrix](plots/confusion_matrix.png)"
    title = f"## How it does on the {record.job.task.tested}"
    return [
        title, "", *table(head + ["ROC AUC", "threshold"] * several, rows), "",
        *([] if several else what_for_what(record)), picture,
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
    rows = [
        ["as trained", f"{metrics['ece_before']:.4f}", f"{metrics['log_loss_before']:.4f}"],
        ["with the temperature, as infer.py says it", f"{metrics['ece']:.4f}", f"{metrics['log_loss']:.4f}"],
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
    return [
        "## How far its confidence can be trusted",
        "",
        f"A calibration error of {metrics['ece']:.3f} means that, on average over 15 bins, the stated confidence is "
        f"{metrics['ece'] * 100:.1f} points away from the share of {what} that are right. {temperature}:",
        "",
        *table(["", "calibration error", "log loss"], rows),
        "",
        "![calibration](plots/calibration.png)",
        *(["![ROC](plots/roc.png)"] if has_roc(metrics) else []),
    ]


def by_length(record):
    metrics, settings, unit = record.metrics, record.job.settings, record.job.task.unit
    what = "accuracy" if "confusion_matrix" in metrics else "all labels right"
    rows = [
        [f"{low} to {high}" if high else f"{low} and more", f"{count:,}", f"{share:.4f}"]
        for low, high, count, share in metrics["accuracy_by_length"]
    ]
    return [
        f"## Short and long {unit}",
        "",
        how_long_ones_are_read(metrics, settings, record.job.task),
        "",
        *table(["tokens", unit, what], rows),
        "",
        "![lengths](plots/lengths.png)",
    ]


def how_long_ones_are_read(metrics, settings, task):
    """A paragraph; with windows, what they give and cost."""
    longest, share = settings.max_seq_length, f"{metrics['truncated_share']:.0%} of the {task.tested} are longer"
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
    return ["## The most confident mistakes", "", *table_of_mistakes(rows, job.settings.excerpt_words, record.reasons)]


def training_time(record):
    """In words, with masked language modelling before it where there was some."""
    time = f"{clock(record.metrics['train_seconds'])} of training"
    done = record.job.pretraining
    return f"{clock(done['train_seconds'])} of masked language modelling and {time}" if done else time


def pretraining(done):
    """A row on what pretrain.py did to the encoder before, where it did."""
    if done is None:
        return []
    what = f"masked language modelling for {clock(done['train_seconds'])} on {done['texts']:,} texts, without labels"
    return [["before", f"{what}: `{done['command']}`, from {done['model_source']}, {done['dataset_source']}"]]


def seeds(metrics):
    """Mean, deviation and a table of the runs, where there were several."""
    rows, metric = metrics["seeds"], metrics["metric"]
    runs, average = seeds_and_average(metrics)
    if len(runs) == 1:
        return []
    name = METRICS[metric]
    half = ", at a threshold of 0.5" * (metric == "f1_micro")
    cells = [
        [str(row["seed"]), f"{row[metric]:.4f}", f"{row[f'validation_{metric}']:.4f}", f"{row['train_seconds']:.0f}"]
        for row in rows
    ]
    return [
        f"**{over_seeds(metrics, runs)}** ({name}{half}: mean and standard deviation). Saved, and described here, is "
        f"{kept(metrics)}.{' The curves are those of seed ' + str(metrics['seed']) + '.' if average else ''}",
        "",
        *table(["seed", f"{name}, tested{half}", f"{name}, held out", "training, s"], cells),
        "",
    ]
