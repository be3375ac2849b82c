"""predictions.csv: what a model says of each text of one's own that it was tested on."""

from tfbert.data.columns import places_of
from tfbert.report.calibration import probabilities_of
from tfbert.report.figures import decisions
from tfbert.report.suspects import in_words


def predictions(record):
    """A dict for each test text of a Record, in the order of the test: place, file and line; label and predicted, of
    several labels joined by +; probability, that of the likeliest label; and, unless --excerpt_words is 0, text.
    """
    job, labels, names = record.job, record.job.test.labels, record.job.splits.label_names
    predicted, logits = decisions(job, record.logits), record.logits / job.config["tfbert"]["temperature"]
    rows = [
        {
            "label": in_words(label, names) if job.several else names[label],
            "predicted": in_words(answer, names) if job.several else names[answer],
            "probability": round(float(probability), 4),
        }
        for label, answer, probability in zip(labels, predicted, probabilities_of(logits, labels).max(axis=1))
    ]
    if places := places_of(job.splits.test):
        rows = [{"place": place} | row for place, row in zip(places, rows)]
    if job.settings.excerpt_words:
        rows = [row | {"text": text} for row, text in zip(rows, job.test_texts)]
    return rows
