"""plots/: the pictures of a run."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import seaborn

from tfbert.evaluation import calibration_bins, softmax
from tfbert.files import replaced_file


def write_plots(folder, record):
    """loss.png, accuracy.png, confusion_matrix.png, calibration.png, lengths.png and, for two labels, roc.png."""
    seaborn.set_theme(style="whitegrid", palette="deep")
    metrics, history, label_names = record["metrics"], record["history"], record["label_names"]
    labels = record["labels"]
    before, probabilities = softmax(record["logits"]), softmax(record["logits"] / metrics["temperature"])
    curve(folder, "loss", history, "Cross-entropy", metrics["log_loss_before"])
    curve(folder, "accuracy", history, "Accuracy", metrics["accuracy"])
    confusion_matrix(folder, metrics, label_names)
    calibration(folder, before, probabilities, labels, metrics)
    lengths(folder, metrics)
    if len(label_names) == 2:
        roc(folder, probabilities, labels, metrics, label_names)


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
        axes.plot(*zip(*train), marker="." if len(train) < 30 else None, label="training batches")
        axes.plot(*zip(*held_out), marker="o", label="held-out part of train")
        axes.axhline(test_value, color="grey", linestyle="--", label=f"test, after training: {test_value:.3f}")
        axes.set(xlabel="step", ylabel=title, title=f"{title} during fine-tuning")
        axes.set_xlim(left=0)
        axes.legend()


def confusion_matrix(folder, metrics, label_names):
    matrix = metrics["confusion_matrix"]
    totals = [max(sum(row), 1) for row in matrix]
    shares = [[count / total for count in row] for row, total in zip(matrix, totals)]
    texts = [[f"{count:,}\n{share:.1%}" for count, share in zip(*rows)] for rows in zip(matrix, shares)]
    side = 3 + 1.1 * len(label_names)
    with Picture(folder, "confusion_matrix", (side + 0.8, side)) as axes:
        seaborn.heatmap(shares, annot=texts, fmt="", cmap="Blues", vmin=0, vmax=1, square=True, ax=axes,
                        xticklabels=label_names, yticklabels=label_names)  # fmt: skip
        axes.set(xlabel="predicted", ylabel="true", title=f"Confusion matrix, {sum(totals):,} test reviews")


def calibration(folder, before, probabilities, labels, metrics):
    with Picture(folder, "calibration", (5.5, 5)) as axes:
        low = 1 / probabilities.shape[1]
        axes.plot([low, 1], [low, 1], color="grey", linestyle="--", label="perfect")
        confidence, accuracy, _ = calibration_bins(before, labels).T
        axes.plot(confidence, accuracy, marker=".", alpha=0.5, label=f"as trained (error {metrics['ece_before']:.3f})")
        confidence, accuracy, count = calibration_bins(probabilities, labels).T
        axes.plot(confidence, accuracy, marker="o", label=f"as saved (error {metrics['ece']:.3f})")
        for x, y, n in zip(confidence, accuracy, count):
            axes.annotate(f"{int(n):,}", (x, y), textcoords="offset points", xytext=(6, -12), fontsize=8)
        axes.set(xlabel="confidence", ylabel="share right", title="Calibration (number of reviews at each point)")
        axes.legend()


def lengths(folder, metrics):
    rows = metrics["accuracy_by_length"]
    names = [f"{low}-{high}" if high else f"{low}+" for low, high, _, _ in rows]
    bottom = max(0.0, min(share for *_, share in rows) - 0.1)
    with Picture(folder, "lengths") as axes:
        axes.bar(names, [share for *_, share in rows])
        for place, (_, _, count, share) in enumerate(rows):
            axes.annotate(f"{share:.1%}\n{count:,}", (place, bottom), (0, 6), textcoords="offset points",
                          ha="center", color="white", fontsize=9)  # fmt: skip
        axes.axhline(metrics["accuracy"], color="grey", linestyle="--", label=f"all: {metrics['accuracy']:.1%}")
        axes.legend(loc="upper right")
        axes.set(xlabel="tokens before truncation", ylabel="accuracy", title="Accuracy by review length")
        axes.set_ylim(bottom, 1.04)


def roc(folder, probabilities, labels, metrics, label_names):
    from sklearn.metrics import roc_curve

    false, true, _ = roc_curve(labels, probabilities[:, 1])
    with Picture(folder, "roc", (5.5, 5)) as axes:
        axes.plot(false, true, label=f"model (area {metrics['roc_auc']:.3f})")
        axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="chance")
        axes.set(xlabel="false positive rate", ylabel="true positive rate", title=f"ROC curve of {label_names[1]!r}")
        axes.legend(loc="lower right")
