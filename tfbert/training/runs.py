"""What training gave: a Run for each seed, their median, their average, and how each does on the test split."""

from dataclasses import dataclass, replace

import numpy as np

from tfbert.report.figures import texts_right
from tfbert.report.metrics import decided, score
from tfbert.training.evaluating import predict


@dataclass
class Run:
    """What one seed gave, or the average of several; the model that it trained may be freed."""

    seed: int  # of the average: of the run whose curves it has
    weights: list
    validation_score: float | None
    train_seconds: float
    first_step_seconds: float | None = None
    history: tuple = ()
    step: int = 0
    interrupted: bool = False
    strengths: tuple = ()  # C of the regressions of --method features
    averaged: bool = False

    @classmethod
    def of(cls, progress, seed, metric):
        """What a Progress has measured, on the machine that validates."""
        last = progress.last_validation()
        return cls(seed, progress.model.get_weights(), last and last[f"validation_{metric}"], progress.train_seconds,
                   progress.first_step_seconds, progress.history, progress.step, progress.interrupted)  # fmt: skip


def median_run(runs):
    """The Run in the middle by its score on held-out texts; of two in the middle, the lower one."""
    return sorted(runs, key=lambda run: run.validation_score)[(len(runs) - 1) // 2]


def average_run(runs):
    """A Run with the average of all runs' weights, a model soup (Wortsman et al. 2022, arXiv:2203.05482).

    It costs no more to use than one run. The curves are those of the median run.
    """
    weights = [np.mean(each, axis=0) for each in zip(*(run.weights for run in runs))]
    seconds = sum(run.train_seconds for run in runs)
    return replace(median_run(runs), weights=weights, train_seconds=seconds, validation_score=None, averaged=True)


def scores_of_runs(job, model, saved, runs):
    """What each run reaches on the test split, and last their average where that is saved, a list of dicts; and the
    logits of the saved one, float32 (N, L).
    """
    scores = []
    others = [run for run in runs if run is not saved]
    for run in [*others, saved]:  # it comes last: the model keeps its weights
        model.set_weights(run.weights)
        logits = predict(model.predict_on_batch, job.test, job.settings)
        value = score(job.metric, decided(logits, job.several), job.test.labels)
        scores.append({"seed": "average" if run.averaged else run.seed, job.metric: value,
                       f"validation_{job.metric}": run.validation_score,
                       "train_seconds": run.train_seconds})  # fmt: skip
    return sorted(scores, key=lambda row: (row["seed"] == "average", row["seed"])), logits


def gain_of_windows(job, model, logits):
    """What windows give to the test texts that they read whole, a dict of how many these are, the shares right when cut
    and when read whole, and the tokens read for each that cut texts would have; empty where there are none.

    logits: of job.test, by the model, float32 (N, L).
    """
    if job.cut is None:
        return {}
    longer = job.test.full_lengths > job.settings.max_seq_length
    labels = job.cut.labels
    print(f"Reading the {len(labels):,} long ones once more, cut, to compare ...", flush=True)
    of_cut = predict(model.predict_on_batch, job.cut, job.settings)
    read = int(job.test.lengths.sum())
    would = int(np.minimum(job.test.full_lengths, job.settings.max_seq_length).sum())
    return {
        "windows": {
            "texts": int(longer.sum()),
            "right_cut": float(texts_right(job, of_cut, labels).mean()),
            "right": float(texts_right(job, logits[longer], labels).mean()),
            "tokens_read": read / would,
        }
    }
