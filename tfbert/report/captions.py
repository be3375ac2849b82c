"""Which pictures a run has, what stands over them, and what the report says that there is to see."""

from tfbert.report.metrics import METRICS, has_roc

FEWEST = 200  # texts of which calibration can be seen
SMOOTHED = 30  # points of a curve that is drawn smoothed too


def captions(record):
    """{picture: (title, caption)} of a Record, in the order of the report. {} where the run left nothing to draw."""
    metrics, job = record.metrics, record.job
    metric, tested, several = metrics["metric"], job.task.tested, "confusion_matrix" not in metrics
    found = {}
    if several:
        found["labels"] = (
            "F1 of each label, and how many texts have it",
            "The shortest bars are the labels that it knows least; where few texts have one, its bar tells little.",
        )
    else:
        found["confusion_matrix"] = (
            f"What is taken for what, {metrics['n_test']:,} {tested}",
            "Each row is a true label, each column what the model says. The diagonal is right; the darker a cell off "
            "it, the larger the share that is taken for another.",
        )
    if len(metrics["accuracy_by_length"]) > 1:
        found["lengths"] = (
            "Share right by length",
            "A bar is what was measured, the line on it where the share may really lie (95%). Bars whose lines stay "
            "apart very likely differ; where lines overlap, the picture does not tell.",
        )
    if metrics["n_test"] >= FEWEST:
        found["calibration"] = (
            "How sure it is, and how often it is right",
            "Each point stands for as many decisions as the others. On the dashed line, 90% sure is right nine times "
            "out of ten; below it the model is too sure of itself.",
        )
    if record.run.history:
        points = sum("loss" in row for row in record.run.history)
        smooth = "dark: the same, smoothed. " if points >= SMOOTHED else ""
        how = (
            f"{'Pale' if smooth else 'Line'}: the mean of the training batches since the point before, of what it is "
            f"learning; {smooth}Dots: texts held out of training."
        )
        found["loss"] = (
            "Loss while it learns",
            f"{how} Lower is better; dots that rise again say that it learns by heart. All before the temperature.",
        )
        share = "Share of right decisions" if several else "Share right"
        found["accuracy"] = f"{share} while it learns", how
        if metric != "accuracy":
            found[metric] = f"{METRICS[metric]} while it learns", "On texts held out of training."
    if has_roc(metrics):
        found["roc"] = (
            "ROC curve",
            "Each point is a threshold on the probability: how many of the others it takes along, and how many it "
            "finds. The nearer to the upper left, the better.",
        )
    return found


def picture(record, name):
    """Lines of Markdown for a picture and its caption; none where the run has no such picture."""
    title, caption = captions(record).get(name, (None, None))
    return [f"![{title}](plots/{name}.png)", "", f"*{caption}*", ""] if title else []
