"""The report's first page: the verdict, some answers, what may make it better, the figures."""

from pathlib import Path

from tfbert.common.text import counted
from tfbert.common.timing import clock
from tfbert.model.configs import model_config
from tfbert.report.confusions import confused_pairs
from tfbert.report.markdown import one_line, table
from tfbert.report.metrics import METRICS
from tfbert.report.mistakes import surest_right, what_is_bold, what_mattered, worst_mistakes
from tfbert.report.wording import (
    as_text,
    comparison,
    doubts,
    is_known,
    is_vague,
    kept,
    over_seeds,
    seeds_and_average,
    unbalanced,
)

EXAMPLES = 3  # right, and as many wrong
TFIDF = "TF-IDF counts a text's words, rare ones more, and knows nothing of their order."
MEANINGS = {
    "roc_auc": "ROC AUC is how often a text of a label gets a higher probability of it than another text.",
    "log_loss": "Log loss, 0 at best, grows the surer it is where it is wrong.",
}
SHOWN = 200  # words of a text of --example_file, at most
MANY_TEXTS = 5000  # of one's own, from which on more of them matter less than other things


def verdict(record):
    """How good it is, in words, and what speaks against that."""
    metrics, job = record.metrics, record.job
    metric, name = metrics["metric"], METRICS[metrics["metric"]]
    low, high = (as_text(metric, metrics[f"{metric}_{end}"]) for end in ("low", "high"))
    more = ""
    if metric == "matthews_correlation":
        more = (f" Accuracy is {metrics['accuracy']:.2%}, where the most frequent label alone reaches "
                f"{metrics['majority_accuracy']:.2%}.")  # fmt: skip
    return [
        f"**{as_text(metric, metrics[metric])} {name}** on {metrics['n_test']:,} {job.task.tested}"
        f"{'' if is_known(metrics) else ' that it had never read'} (95% interval {low} to {high}), after "
        f"{training_time(record)} on {job.device.description}. "
        f"{comparison(metrics, job.task.unit)}{macro(metrics)}{more}",
        "",
        *[line for doubt in doubts(metrics) for line in (f"**{doubt[0].upper()}{doubt[1:]}.**", "")],
        *seeds(metrics),
    ]


def macro(metrics):
    """A sentence on macro-F1, where the labels are unbalanced."""
    if metrics["metric"] == "f1_micro" or not unbalanced(metrics):
        return ""
    return (f" Macro-F1, in which every label counts alike, is {metrics['f1_macro']:.3f}; "
            f"{metrics['baseline_f1_macro']:.3f} by {metrics['baseline']}.")  # fmt: skip


def training_time(record):
    """In words, with masked language modelling before it where there was some."""
    time = f"{clock(record.metrics['train_seconds'])} of training"
    done = record.job.pretraining
    return f"{clock(done['train_seconds'])} of masked language modelling and {time}" if done else time


def seeds(metrics):
    """Mean, deviation and a table of the runs, where there were several."""
    rows, metric = metrics["seeds"], metrics["metric"]
    runs, average = seeds_and_average(metrics)
    if len(runs) == 1:
        return []
    name = METRICS[metric]
    half = ", at a threshold of 0.5" * (metric == "f1_micro")
    cells = [
        [
            str(row["seed"]),
            as_text(metric, row[metric]),
            as_text(metric, row[f"validation_{metric}"]),
            clock(row["train_seconds"]),
        ]  # fmt: skip
        for row in rows
    ]
    return [
        f"**{over_seeds(metrics, runs)}** ({name}{half}: mean and standard deviation). Saved, and described here, is "
        f"{kept(metrics)}.{' The curves are those of seed ' + str(metrics['seed']) + '.' if average else ''}",
        "",
        *table(["seed", f"{name}, tested{half}", f"{name}, held out", "training"], cells),
        "",
    ]


def some_examples(record):
    """Right and wrong answers, the surest of each, with the words that mattered."""
    job, reading = record.job, record.job.config["tfbert"]
    if record.shown:
        return shown_examples(record)
    if not job.settings.excerpt_words:
        return []
    logits, thresholds = record.logits / reading["temperature"], reading.get("thresholds", 0.5)
    right = surest_right(logits, job.test, job.splits.label_names, thresholds, EXAMPLES)
    wrong = worst_mistakes(logits, job.test, job.test_texts, job.splits.label_names, thresholds, EXAMPLES)
    rows = [
        [mark, row["predicted"], row["label"], f"{row['confidence']:.1%}",
         what_mattered(*record.reasons(row["row"], row["about"]), job.settings.excerpt_words)]
        for mark, some in (("right", right), ("wrong", wrong)) for row in some
    ]  # fmt: skip
    head = ["", "it says", "the label is", "how sure", "the part that mattered most"]
    return ["## What it gets right, and wrong", "", *table(head, rows), "",
            "The surest of each. " + what_is_bold(job.several)]  # fmt: skip


def shown_examples(record):
    """What the model says of --example_file."""
    right = sum(row["predicted"] == row["label"] for row in record.shown)
    rows = [
        ["right" if row["predicted"] == row["label"] else "**wrong**", row["predicted"], f"{row['confidence']:.1%}",
         what_mattered([row["text"]], row["words"], SHOWN)]
        for row in record.shown
    ]  # fmt: skip
    name = Path(record.job.settings.example_file).name
    return ["## What it says of some texts", "", *table(["", "it says", "how sure", "text"], rows), "",
            f"The texts of {name}, {right} of {len(rows)} right; they are no test. " + what_is_bold(False)]  # fmt: skip


def what_to_try(record):
    """What may make it better, a list."""
    metrics, job = record.metrics, record.job
    settings, tips = job.settings, []
    if job.suspects:
        where = (
            "listed below, all in `suspects.csv`" if settings.excerpt_words else "without `--excerpt_words 0`, listed"
        )
        tips.append(f"{counted(len(job.suspects), 'rows')} may be mislabelled ({where}): read them, and mend those "
                    "that are wrong")  # fmt: skip
    if job.task.is_own and metrics["n_train"] < MANY_TEXTS:
        first = " (with so few to test on, nothing else can be told apart)" * is_vague(metrics)
        tips.append(f"more labelled texts{first}{most_confused(record)}; or `--teacher` with texts that nobody has "
                    "labelled")  # fmt: skip
    if job.splits.undrawn:
        tips.append(f"more than the {metrics['n_train']:,} {job.task.unit} that were drawn: a higher "
                    "`--max_train_samples`, and `--num_train_epochs 2`; three times as many, twice, gave 2.7 points on "
                    "IMDb")  # fmt: skip
    if settings.seeds == 1 and settings.method == "finetune" and not is_vague(metrics):
        tips.append("`--seeds 3 --average_seeds` averages three runs, for three times the time: 0.3 points on IMDb")
    if settings.model_name_or_path is None and not settings.from_scratch:
        is_small = model_config(job.config).hidden_size < 768
        which = "a larger encoder" if is_small else "an encoder that was trained to compare texts"
        tips.append(f"{which}, `--model_name_or_path sentence-transformers/all-mpnet-base-v2`"
                    f"{', for about eight times the work' * is_small}; for texts that are not English, one that knows "
                    "their language")  # fmt: skip
    return ["## What may make it better", "", *[f"- {tip}." for tip in tips]] if tips else []


def most_confused(record):
    """Of which labels texts are wanted first, in words; nothing where it confuses none."""
    pairs = confused_pairs(record.metrics.get("confusion_matrix", []))
    if not pairs:
        return ""
    one, other = (one_line(record.job.splits.label_names[place]) for place in pairs[0][:2])
    return f", first of {one} and {other}, which it confuses most"


def figures(record):
    """Tables of the scores, beside baselines and what others published."""
    metrics, job = record.metrics, record.job
    metric, name = metrics["metric"], METRICS[metrics["metric"]]
    rows = [
        [f"**{job.encoder_name}**", f"**{as_text(metric, metrics[metric])}**", "here"],
        [f"{metrics['baseline']} + logistic regression", as_text(metric, metrics[f"baseline_{metric}"]), "here"],
        ["the most frequent label", as_text(metric, metrics[f"majority_{metric}"]), "here"],
        *[[who, as_text(metric, value), source] for who, value, source in record.published],
    ]
    f1 = {"f1": "F1"} if len(metrics["per_class"]) == 2 and metric != "f1_micro" else {"f1_macro": "macro-F1"}
    others = f1 | {"roc_auc": "ROC AUC", "log_loss": "log loss", "ece": "calibration error"}
    told = [f"{words} {metrics[key]:.3f}" for key, words in others.items()
            if metrics.get(key) is not None]  # fmt: skip
    same = job.task.published_on or f"all {job.task.tested}"
    notes = [f"Published figures are for the full training data and {same}."] if record.published else []
    return [
        "## In figures", "", *table(["", name, "measured or published"], rows), "",
        f"Of the model also: {', '.join(told)}.", "",
        " ".join([TFIDF, *[meaning for key, meaning in MEANINGS.items() if metrics.get(key) is not None]]), "",
        *([*thresholds(metrics), ""] if metric == "f1_micro" else []),
        " ".join([*notes, *filter(None, [job.task.disputed])]),
    ]  # fmt: skip


def thresholds(metrics):
    """A table of the two ways to decide where several labels may hold."""
    names = {"f1_micro": "micro-F1", "f1_macro": "macro-F1", "jaccard": "Jaccard", "accuracy": "all labels right"}
    return [
        *table(
            ["a label holds where its probability is", *names.values()],
            [
                ["above 0.5", *[f"{metrics[f'{key}_at_half']:.3f}" for key in names]],
                ["above its threshold, fitted on held-out texts, as infer.py does",
                 *[f"{metrics[key]:.3f}" for key in names]],
            ],
        ),
        "",
        f"ROC AUC is {metrics['roc_auc_micro']:.3f} of all scores together, and {metrics['roc_auc_of_labels']:.3f} of "
        "the decisions at 0.5, as some tutorials take it; the table below has the mean over labels.",
    ]  # fmt: skip
