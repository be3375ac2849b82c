"""plots/: the pictures of a run."""

import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import seaborn

from tfbert.common.files import replaced_file
from tfbert.report.calibration import confidences, probabilities_of
from tfbert.report.captions import SMOOTHED, captions
from tfbert.report.confusions import shown_labels
from tfbert.report.fonts import choose_fonts, font_to_install
from tfbert.report.metrics import METRICS, wilson_interval

BARS = 50  # labels in one picture
SPAN = 0.2  # of a score, at least, that a curve shows: one text of few must not look like a fall
AXES = {"loss": "cross-entropy", "accuracy": "share right"}


def write_plots(folder, record):
    """The pictures of captions.py, each as folder/name.png; those of an earlier run that this one has not go.

    Where no font has the signs of some labels' names, record.notes says which to install.
    """
    seaborn.set_theme(style="whitegrid", palette="deep", rc={"text.parse_math": False})  # a label may hold dollars
    job, metrics, history = record.job, record.metrics, record.run.history
    labels, names = job.test.labels, drawable(job.splits.label_names, record.notes)
    before = probabilities_of(record.logits, labels)
    probabilities = probabilities_of(record.logits / metrics["temperature"], labels)
    metric = metrics["metric"]
    drawings = {
        metric: (curve, history, metrics.get(f"{metric}_at_half", metrics[metric])),
        "loss": (curve, history, metrics["log_loss_before"]),
        # of several labels, the accuracy of training is that of single decisions, of the test that of whole texts
        "accuracy": (curve, history, None if labels.ndim == 2 else metrics["accuracy"]),
        "confusion_matrix": (confusion_matrix, metrics, names),
        "labels": (by_label, metrics, names),
        "calibration": (calibration, confidences(before, labels), confidences(probabilities, labels), metrics),
        "lengths": (lengths, metrics),
        "roc": (roc, probabilities, labels, metrics, names),
    }
    shown = captions(record)
    with warnings.catch_warnings(category=UserWarning, action="ignore"):  # of signs that no font has
        for name, (title, _) in shown.items():
            draw, *figures = drawings[name]
            draw(folder, name, title, *figures)
    for stale in {*drawings, *METRICS} - set(shown):
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


def curve(folder, name, title, history, test_value):
    """Training as it was, pale, and smoothed; what is held out; the test at the end."""
    with Picture(folder, name) as axes:
        train = np.array([(row["step"], row[name]) for row in history if name in row])
        held_out = [(row["step"], row[f"validation_{name}"]) for row in history if f"validation_{name}" in row]
        colours = seaborn.color_palette()
        if len(train):
            axes.plot(*train.T, color=colours[0], alpha=0.3, linewidth=1)
            axes.plot(train[:, 0], smoothed(train[:, 1]), color=colours[0], linewidth=2, label="training")
        axes.plot(*zip(*held_out), color=colours[1], marker="o", label="held out")
        if test_value is not None:
            axes.axhline(test_value, color="grey", linestyle="--", label=f"test, as trained: {test_value:.3f}")
        axes.set(xlabel="step", ylabel=AXES.get(name, METRICS.get(name)), title=title)
        axes.set_xlim(left=0)
        axes.xaxis.get_major_locator().set_params(integer=True)
        low, high = axes.get_ylim()
        if name != "loss" and high - low < SPAN:
            axes.set_ylim(high - SPAN, high)
        axes.figure.legend(loc="outside lower center", ncols=3, frameon=False)


def smoothed(values):
    """float (N,) -> the mean of each number and of those around it, a fifteenth of all, fewer at the ends."""
    reach = len(values) // SMOOTHED
    return [values[max(0, place - reach) : place + reach + 1].mean() for place in range(len(values))]


def confusion_matrix(folder, name, title, metrics, label_names):
    """Counts, and shares of each true label's texts; of many labels, those that are confused most."""
    counts = np.array(metrics["confusion_matrix"])
    shown = shown_labels(metrics["confusion_matrix"])
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


def by_label(folder, name, title, metrics, label_names):
    rows = sorted(zip(label_names, metrics["per_class"].values()), key=lambda row: row[1]["f1"])
    if len(rows) > BARS:
        rows, title = rows[:BARS], f"{title}: the lowest {BARS} of {len(rows)}"
    with Picture(folder, name, (7, 1.5 + 0.35 * len(rows))) as axes:
        names = [f"{name} ({row['support']:,})" for name, row in rows]
        axes.barh(range(len(rows)), [row["f1"] for _, row in rows], tick_label=names)  # short names may be the same
        for place, (_, row) in enumerate(rows):
            axes.annotate(f"{row['f1']:.2f}", (row["f1"], place), (3, 0), textcoords="offset points", va="center")
        axes.axvline(metrics["f1_micro"], color="grey", linestyle="--", label=f"micro: {metrics['f1_micro']:.3f}")
        axes.axvline(metrics["f1_macro"], color="grey", linestyle=":", label=f"macro: {metrics['f1_macro']:.3f}")
        axes.set(xlabel="F1, with the fitted thresholds", title=title, xlim=(0, 1))
        axes.legend(loc="lower right")


def calibration(folder, name, title, before, after, metrics):
    with Picture(folder, name, (5.5, 5)) as axes:
        low = 1 / len(metrics["per_class"]) if "confusion_matrix" in metrics else 0.5
        axes.plot([low, 1], [low, 1], color="grey", linestyle="--", label="as sure as it is right")
        confidence, accuracy = bins_of_equal_counts(*before)
        axes.plot(confidence, accuracy, marker=".", alpha=0.4, label=f"as trained (error {metrics['ece_before']:.3f})")
        confidence, accuracy = bins_of_equal_counts(*after)
        axes.plot(confidence, accuracy, marker="o", label=f"as saved (error {metrics['ece']:.3f})")
        axes.set(xlabel="how sure it is", ylabel="share right", title=title)
        axes.legend(loc="upper left")


def bins_of_equal_counts(confidence, right):
    """The mean confidence and the share right of ten parts of the decisions, sorted by confidence; float (10,) each."""
    order = np.argsort(confidence, kind="stable")
    return tuple([part.mean() for part in np.array_split(values[order], 10)] for values in (confidence, right))


def lengths(folder, name, title, metrics):
    rows = metrics["accuracy_by_length"]
    names = [f"{low}-{high}" if high else f"{low}+" for low, high, _, _ in rows]
    shares = np.array([share for *_, share in rows])
    ends = np.array([wilson_interval(round(share * count), count) for _, _, count, share in rows]).T
    with Picture(folder, name) as axes:
        axes.bar(names, shares, yerr=abs(ends - shares), capsize=4, ecolor="black", width=0.6)
        for place, (_, _, count, share) in enumerate(rows):
            axes.annotate(f"{share:.1%}\n{count:,}", (place, 0), (0, 6), textcoords="offset points", ha="center",
                          fontsize=9, color="white" if share > 0.2 else "black")  # fmt: skip
        axes.axhline(metrics["accuracy"], color="grey", linestyle="--", label=f"all: {metrics['accuracy']:.1%}")
        axes.legend(loc="center right", framealpha=1)
        axes.set(
            xlabel="tokens of the whole text (below each share: how many texts)", ylabel="share right", title=title
        )
        axes.set_ylim(0, 1.04)


def roc(folder, name, title, probabilities, labels, metrics, label_names):
    from sklearn.metrics import roc_curve

    false, true, _ = roc_curve(labels, probabilities[:, 1])
    with Picture(folder, name, (5.5, 5)) as axes:
        axes.plot(false, true, label=f"model (area {metrics['roc_auc']:.3f})")
        axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="chance")
        axes.set(
            xlabel="share of the other texts that it takes for one\n(false positive rate)",
            ylabel="share of these texts that it finds\n(true positive rate)",
            title=f"{title} of {label_names[1]!r}",
        )
        axes.legend(loc="lower right")
