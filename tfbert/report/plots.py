"""plots/: the pictures of a run."""

import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import seaborn

from tfbert.common.files import replaced_file
from tfbert.report.calibration import calibration_bins, confidences, probabilities_of
from tfbert.report.confusions import shown_labels
from tfbert.report.fonts import choose_fonts, font_to_install
from tfbert.report.metrics import METRICS, has_roc

BARS = 50  # labels in one picture
KNOWN = {"loss", "accuracy", *METRICS, "confusion_matrix", "labels", "calibration", "lengths", "roc"}


def write_plots(folder, record):
    """The pictures that a run has: curves, confusion matrix or figures by label, calibration, lengths, ROC curve.

    Where no font has the signs of some labels' names, record.notes says which to install.
    """
    seaborn.set_theme(style="whitegrid", palette="deep", rc={"text.parse_math": False})  # a label may hold dollars
    job, metrics, history = record.job, record.metrics, record.run.history
    labels, names = job.test.labels, drawable(job.splits.label_names, record.notes)
    before = probabilities_of(record.logits, labels)
    probabilities = probabilities_of(record.logits / metrics["temperature"], labels)
    metric, several = metrics["metric"], labels.ndim == 2
    pictures = {
        "calibration": (calibration, confidences(before, labels), confidences(probabilities, labels), metrics),
        "lengths": (lengths, metrics),
    }
    if history:
        pictures["loss"] = curve, history, "Cross-entropy", metrics["log_loss_before"]
        # of several labels, the accuracy of training is that of single decisions, of the test that of whole texts
        title, on_test = ("Share of right decisions", None) if several else ("Accuracy", metrics["accuracy"])
        pictures["accuracy"] = curve, history, title, on_test
    if history and metric != "accuracy":
        pictures[metric] = curve, history, METRICS[metric], metrics.get(f"{metric}_at_half", metrics[metric])
    if several:
        pictures["labels"] = by_label, metrics, names
    else:
        pictures["confusion_matrix"] = confusion_matrix, metrics, names, job.task.tested
    if has_roc(metrics):
        pictures["roc"] = roc, probabilities, labels, metrics, names
    with warnings.catch_warnings(category=UserWarning, action="ignore"):  # of signs that no font has
        for name, (draw, *figures) in pictures.items():
            draw(folder, name, *figures)
    for stale in KNOWN - set(pictures):
        Path(folder, f"{stale}.png").unlink(missing_ok=True)


def drawable(label_names, notes):
    """Labels' names as there is room for them, in fonts that have their signs; their numbers where none has."""
    names = [short(name) for name in label_names]
    if missing := choose_fonts(names):
        without = [place for place, name in enumerate(names) if missing & set(name)]
        signs = "".join(sorted(missing)[:5])
        notes.append(f"no font here has the signs {signs} that {len(without)} of the labels' names have: the "
                     "pictures name them by their numbers in config.json; "
                     f"install {font_to_install(missing)} before the next run")  # fmt: skip
        for place in without:
            names[place] = f"label {place}"
    return names


def short(name):
    """A label's name as there is room for it: beginnings are often the same, so the middle gives way."""
    name = "".join(sign for sign in " ".join(name.split()) if sign.isprintable())
    return name if len(name) <= 25 else f"{name[:12]}…{name[-12:]}"


class Picture:
    """A figure that is written to folder/name.png when the block ends well."""

    def __init__(self, folder, name, size=(7, 4.5)):
        self.path = Path(folder, f"{name}.png")
        self.figure, self.axes = plt.subplots(figsize=size, layout="constrained")

    def __enter__(self):
        return self.axes

    def __exit__(self, kind, *exception):
        if kind is None:
            with replaced_file(self.path) as staged:
                self.figure.savefig(staged, dpi=120)
        plt.close(self.figure)


def curve(folder, name, history, title, test_value):
    with Picture(folder, name) as axes:
        train = [(row["step"], row[name]) for row in history if name in row]
        held_out = [(row["step"], row[f"validation_{name}"]) for row in history if f"validation_{name}" in row]
        if train:
            axes.plot(*zip(*train), marker="." if len(train) < 30 else None, label="training batches")
        axes.plot(*zip(*held_out), marker="o", label="validation")
        if test_value is not None:
            axes.axhline(test_value, color="grey", linestyle="--", label=f"test, after training: {test_value:.3f}")
        axes.set(xlabel="step", ylabel=title, title=f"{title} during fine-tuning")
        axes.set_xlim(left=0)
        axes.legend()


def confusion_matrix(folder, name, metrics, label_names, tested):
    """Counts, and shares of each true label's texts; of many labels, those that are confused most."""
    counts = np.array(metrics["confusion_matrix"])
    shown = shown_labels(metrics["confusion_matrix"])
    title = f"Confusion matrix, {counts.sum():,} {tested}"
    totals = counts.sum(axis=1, keepdims=True)[shown].clip(1)
    cells, columns = counts[shown][:, shown], [label_names[place] for place in shown]
    rows = columns
    if len(shown) < len(counts):
        title += f"\nthe {len(shown)} of {len(counts)} labels that are confused most"
        cells = np.hstack([cells, counts[shown].sum(axis=1, keepdims=True) - cells.sum(axis=1, keepdims=True)])
        columns = [*columns, "(another label)"]
    shares, few = cells / totals, len(shown) <= 8  # whose cells have room
    texts = [[f"{count:,}\n{share:.1%}" if few else f"{count:,}" * bool(count) for count, share in zip(*each)]
             for each in zip(cells, shares)]  # fmt: skip
    side = 3 + (1.1 if few else 0.5) * len(rows)
    with Picture(folder, name, (side + 0.8, side)) as axes:
        seaborn.heatmap(shares, annot=texts, fmt="", cmap="Blues", vmin=0, vmax=1, square=True, ax=axes,
                        xticklabels=columns, yticklabels=rows, cbar_kws={"label": "share of the true label's texts",
                                                                         "shrink": 0.8})  # fmt: skip
        axes.set(xlabel="predicted", ylabel="true", title=title)
        axes.tick_params(axis="y", rotation=0)
        if not few or max(map(len, columns)) > 10:
            plt.setp(axes.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor")


def by_label(folder, name, metrics, label_names):
    rows = sorted(zip(label_names, metrics["per_class"].values()), key=lambda row: row[1]["f1"])
    title = "By label (number of texts that have it)"
    if len(rows) > BARS:
        rows, title = rows[:BARS], f"The {BARS} of {len(rows)} labels with the lowest F1 (texts that have it)"
    with Picture(folder, name, (7, 1.5 + 0.35 * len(rows))) as axes:
        axes.barh([f"{name} ({row['support']:,})" for name, row in rows], [row["f1"] for _, row in rows])
        for place, (_, row) in enumerate(rows):
            axes.annotate(f"{row['f1']:.2f}", (row["f1"], place), (3, 0), textcoords="offset points", va="center")
        axes.axvline(metrics["f1_micro"], color="grey", linestyle="--", label=f"micro: {metrics['f1_micro']:.3f}")
        axes.axvline(metrics["f1_macro"], color="grey", linestyle=":", label=f"macro: {metrics['f1_macro']:.3f}")
        axes.set(xlabel="F1, with the fitted thresholds", title=title, xlim=(0, 1))
        axes.legend(loc="lower right")


def calibration(folder, name, before, after, metrics):
    with Picture(folder, name, (5.5, 5)) as axes:
        low = 1 / len(metrics["per_class"]) if "confusion_matrix" in metrics else 0.5
        axes.plot([low, 1], [low, 1], color="grey", linestyle="--", label="perfect")
        confidence, accuracy, _ = calibration_bins(*before).T
        axes.plot(confidence, accuracy, marker=".", alpha=0.5, label=f"as trained (error {metrics['ece_before']:.3f})")
        confidence, accuracy, count = calibration_bins(*after).T
        axes.plot(confidence, accuracy, marker="o", label=f"as saved (error {metrics['ece']:.3f})")
        for x, y, n in zip(confidence, accuracy, count):
            axes.annotate(f"{int(n):,}", (x, y), textcoords="offset points", xytext=(6, -12), fontsize=8)
        axes.set(xlabel="confidence", ylabel="share right", title="Calibration (decisions at each point)")
        axes.legend()


def lengths(folder, name, metrics):
    rows = metrics["accuracy_by_length"]
    names = [f"{low}-{high}" if high else f"{low}+" for low, high, _, _ in rows]
    bottom = max(0.0, min(share for *_, share in rows) - 0.1)
    with Picture(folder, name) as axes:
        axes.bar(names, [share for *_, share in rows])
        for place, (_, _, count, share) in enumerate(rows):
            has_room = share - bottom > 0.12 * (1.04 - bottom)
            axes.annotate(f"{share:.1%}\n{count:,}", (place, bottom if has_room else share), (0, 6),
                          textcoords="offset points", ha="center", fontsize=9,
                          color="white" if has_room else "black")  # fmt: skip
        axes.axhline(metrics["accuracy"], color="grey", linestyle="--", label=f"all: {metrics['accuracy']:.1%}")
        axes.legend(loc="upper right")
        axes.set(xlabel="tokens of the whole text", ylabel="share right", title="Share right by length")
        axes.set_ylim(bottom, 1.04)


def roc(folder, name, probabilities, labels, metrics, label_names):
    from sklearn.metrics import roc_curve

    false, true, _ = roc_curve(labels, probabilities[:, 1])
    with Picture(folder, name, (5.5, 5)) as axes:
        axes.plot(false, true, label=f"model (area {metrics['roc_auc']:.3f})")
        axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="chance")
        axes.set(xlabel="false positive rate", ylabel="true positive rate", title=f"ROC curve of {label_names[1]!r}")
        axes.legend(loc="lower right")
