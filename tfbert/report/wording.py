"""Figures of metrics.json in words, for the terminal and the report."""

from tfbert.report.metrics import METRICS, mean_and_deviation


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
    lines.append(("Baselines", f"{as_text(metric, metrics[f'baseline_{metric}'])} by TF-IDF + logistic regression, "
                  f"{as_text(metric, metrics[f'majority_{metric}'])} by the most frequent label"))  # fmt: skip
    runs, average = seeds_and_average(metrics)
    if len(runs) > 1:
        lines.insert(0, ("Seeds", f"{over_seeds(metrics, runs)}; saved is {kept(metrics)}"))
    if average and average[f"validation_{metric}"] < min(run[f"validation_{metric}"] for run in runs):
        lines.append(("WARNING", "on held-out texts the average does worse than each run: leave --average_seeds out"))
    return lines


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
