"""What metrics.json says of a run: its scores on the test split, and what was done."""

from tfbert.data.sketch import sketch_of
from tfbert.data.splits import keys_of
from tfbert.report.baselines import baselines
from tfbert.report.metrics import accuracy_by_length, decided, evaluate, evaluate_several

FAST, LITTLE = 0.1, 0.02  # of a loss, within a fifth of a run: it has not settled


def scores_on_test(job, logits):
    """All scores of the saved model, a dict. logits: of job.test, float (N, L), without temperature."""
    labels, names = job.test.labels, job.splits.label_names
    temperature, thresholds = job.config["tfbert"]["temperature"], job.config["tfbert"].get("thresholds", 0.5)
    if job.several:
        scores = evaluate_several(logits, labels, names, temperature, thresholds)
    else:
        scores = evaluate(logits, labels, names, temperature, job.metric)
    scores["accuracy_by_length"] = accuracy_by_length(job.test.full_lengths, texts_right(job, logits, labels))
    scores["truncated_share"] = float((job.test.full_lengths > job.settings.max_seq_length).mean())
    return scores


def decisions(job, logits):
    """What the saved model says, as metrics.decided. logits: float (N, L), without temperature."""
    reading = job.config["tfbert"]
    return decided(logits / reading["temperature"], job.several, reading.get("thresholds", 0.5))


def texts_right(job, logits, labels):
    """Whether all labels of each text are right, bool (N,). logits: as of decisions."""
    return (decisions(job, logits) == labels).reshape(len(labels), -1).all(axis=1)


def baselines_on_test(job, logits):
    """What a model must beat, on the same texts, a dict, with how many texts one of the two alone has right.

    logits: as of scores_on_test.
    """
    train = list(keys_of(job.splits.train))
    found = baselines(job.metric, train, job.test_texts, job.train.labels, job.test.labels)
    ours, theirs = texts_right(job, logits, job.test.labels), found.pop("baseline_right")
    return found | {"right_alone": int((ours & ~theirs).sum()), "baseline_right_alone": int((theirs & ~ours).sum())}


def facts(job, run):
    """What was done, a dict. run: the saved one, a training.runs.Run."""
    settings, repeats = job.settings, job.splits.repeats
    return {
        "n_train": len(job.train),
        "n_unlabelled": len(job.taught) - len(job.train) if job.taught else 0,
        "n_validation": len(job.validation),
        "n_test": len(job.test),
        "test_in_train": (repeats.in_test + repeats.nearly_in_test) / len(set(job.test_texts)),
        "learnt": sketch_of(job.splits.train["text"]),
        "padding_share": job.batches(settings.seed).padding_share() if settings.method == "finetune" else None,
        "seed": run.seed,
        "train_seconds": run.train_seconds,
        "first_step_seconds": run.first_step_seconds,
        "durations": job.stopwatch.seconds,
        "model": job.encoder.name,
        "model_source": job.encoder.description,
        "dataset": job.data.name,
        "dataset_source": job.data.description,
        "device": job.device.description,
        "precision": job.device.precision,
        "settings": vars(settings),
        "still_learning": still_learning(run.history),
        "metric": job.metric,
    }


def still_learning(history):
    """Whether the loss on held-out texts fell by more than FAST, and than LITTLE, between a run's last validations.

    history: rows of history.csv.
    """
    losses = [row["validation_loss"] for row in history if "validation_loss" in row]
    return len(losses) > 2 and losses[-1] < min((1 - FAST) * losses[-2], losses[-2] - LITTLE)
