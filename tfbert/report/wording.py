"""Figures of metrics.json in words, for the terminal and the report."""

from tfbert.common.text import counted
from tfbert.report.metrics import METRICS, mean_and_deviation

VAGUE = 0.1  # width of an interval of accuracy
KNOWN = 0.02  # of the test texts, that it learnt from
LUCK = 0.05  # how often chance gives a difference that is still called one
UNBALANCED = 4  # times as many texts as the rarest label has


def as_text(metric, value):
    """An accuracy in per cent, another score as a number."""
    return f"{value:.2%}" if metric == "accuracy" else f"{value:.3f}"


def headline(metrics, task):
    """What a finished run says in the terminal: pairs of a name and a text."""
    metric, name = metrics["metric"], METRICS[metrics["metric"]]
    low, high = (as_text(metric, metrics[f"{metric}_{end}"]) for end in ("low", "high"))
    tested = f"{metrics['n_test']:,} {task.tested}"
    lines = [(name.capitalize()[:9], f"{as_text(metric, metrics[metric])} on {tested} (95%: {low} to {high})")]
    if metric != "accuracy":
        lines[0] = ("Score", f"{name} {lines[0][1]}")
        if metric == "f1_micro":
            lines.append(("", f"{metrics['f1_micro_at_half']:.3f} with a threshold of 0.5 for every label"))
        lines.append(("Accuracy", f"{metrics['accuracy']:.2%}" + (" have all labels right" * (metric == "f1_micro"))))
    if metric != "f1_micro" and unbalanced(metrics):
        lines.append(("Macro-F1", f"{metrics['f1_macro']:.3f}, in which every label counts alike; "
                      f"{metrics['baseline_f1_macro']:.3f} by {metrics['baseline']}"))  # fmt: skip
    words, most = (as_text(metric, metrics[f"{name}_{metric}"]) for name in ("baseline", "majority"))
    lines.append(
        ("Baselines", f"{words} by {metrics['baseline']} + logistic regression, {most} by the most frequent label")
    )
    lines += [("WARNING", doubt) for doubt in doubts(metrics)]
    runs, average = seeds_and_average(metrics)
    if len(runs) > 1:
        lines.insert(0, ("Seeds", f"{over_seeds(metrics, runs)}; saved is {kept(metrics)}"))
    if average and average[f"validation_{metric}"] < min(run[f"validation_{metric}"] for run in runs):
        lines.append(("WARNING", "on held-out texts the average does worse than each run: leave --average_seeds out"))
    return lines


def comparison(metrics, unit):
    """In words, how far the model is above TF-IDF, or, where that is no measure, above the most frequent label."""
    metric = metrics["metric"]
    name, measure = f"{metrics['baseline']} with logistic regression", metrics[f"baseline_{metric}"]
    if baseline_failed(metrics):
        name, measure = "the most frequent label", metrics[f"majority_{metric}"]
    gain = round(metrics[metric] - measure, 6)
    size = f"{abs(gain) * 100:.2f} points" if metric == "accuracy" else f"{abs(gain):.3f}"
    compared = f"{size} {'more' if gain > 0 else 'LESS'} than" if gain else "exactly as much as"
    return f"That is {compared} {name} on the same {unit}{by_chance(metrics, unit) if gain else ''}."


def by_chance(metrics, unit):
    """In words, that the difference to TF-IDF may be luck, where it may: by McNemar's exact test (1947) of the texts
    that one of the two alone has right.
    """
    from scipy.special import bdtr  # the binomial distribution's share up to a number

    ours, theirs = metrics.get("right_alone"), metrics.get("baseline_right_alone")
    if ours is None or metrics["metric"] != "accuracy" or baseline_failed(metrics):
        return ""
    differ = ours + theirs
    if 2 * bdtr(min(ours, theirs), differ, 0.5) <= LUCK:
        return ""
    return f"; with {counted(differ, unit)} on which the two differ, chance alone may give that"


def unbalanced(metrics):
    """Whether the labels of the test texts differ so much in number that accuracy says little of the rare ones."""
    counts = [figures["support"] for figures in metrics["per_class"].values() if figures["support"]]
    return max(counts) > UNBALANCED * min(counts)


def baseline_failed(metrics):
    """Whether TF-IDF does no better than the most frequent label, so that a gain over it says nothing."""
    metric = metrics["metric"]
    return metrics[f"baseline_{metric}"] <= metrics[f"majority_{metric}"]


def doubts(metrics):
    """What speaks against the figures, a list of sentences."""
    metric, settings, found = metrics["metric"], metrics.get("settings", {}), []
    if is_known(metrics):
        found.append(f"{metrics['test_in_train']:.0%} of the test texts have the words of one that it learnt from: the "
                     "figures say little of new ones")  # fmt: skip
    if metrics[metric] <= metrics[f"majority_{metric}"]:
        still = "--adversarial 0, " if settings.get("adversarial") else ""
        found.append(f"in {METRICS[metric]} the model does no better than the most frequent label: try {still}more "
                     "texts, more --num_train_epochs, another --learning_rate or another encoder")  # fmt: skip
    elif metrics[metric] < metrics[f"baseline_{metric}"] and not baseline_failed(metrics):
        remedy = "--method features --pooling mean, more --num_train_epochs"
        if settings.get("method") == "features":
            remedy = "--pooling mean, fine-tuning (without --method features)"
        found.append(f"{metrics['baseline']} with logistic regression does better: try {remedy}, or an encoder for "
                     "these texts (--model_name_or_path)")  # fmt: skip
    if metrics.get("still_learning"):
        found.append("the loss on held-out texts still fell fast when the run ended: try more --num_train_epochs")
    if is_vague(metrics):
        found.append(f"{metrics['n_test']:,} test texts are too few to tell: its accuracy on all such texts may be "
                     f"anything from {metrics['accuracy_low']:.0%} to {metrics['accuracy_high']:.0%}")  # fmt: skip
    if baseline_failed(metrics):
        found.append(f"{metrics['baseline']} does no better than the most frequent label: a gain over it says nothing")
    return found


def is_known(metrics):
    """Whether so many of the test texts were learnt from that the figures are too good."""
    return metrics.get("test_in_train", 0) > KNOWN


def is_vague(metrics):
    """Whether the test texts are too few to say how good the model is."""
    return metrics["metric"] == "accuracy" and metrics["accuracy_high"] - metrics["accuracy_low"] > VAGUE


def seeds_and_average(metrics):
    """The rows of metrics["seeds"] that are of runs, and that of their average, or None."""
    *runs, last = metrics["seeds"]
    return (runs, last) if last["seed"] == "average" else ([*runs, last], None)


def over_seeds(metrics, runs):
    """The mean of the runs' scores and their deviation, in words."""
    scores = [run[metrics["metric"]] for run in runs]
    return f"{mean_and_deviation(metrics['metric'], scores)} over {len(runs)} seeds"


def kept(metrics):
    """Which of several runs is saved, in words."""
    if seeds_and_average(metrics)[1]:
        return "the average of their weights"
    return f"seed {metrics['seed']}, the median on held-out texts"
