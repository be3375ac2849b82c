"""All that a finished run leaves to read."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tfbert.common.files import write_csv, write_json
from tfbert.report.model_card import write_model_card
from tfbert.report.plots import write_plots
from tfbert.report.predictions import predictions
from tfbert.report.training_report import write_report


@dataclass
class Record:
    """What a finished run did and measured."""

    job: object  # jobs.Job
    run: object  # runs.Run, the saved one
    metrics: dict
    logits: np.ndarray  # of the test texts, float (N, L), without temperature
    reasons: object  # a function from the number of a test text and a label to its texts and the words for the label
    shown: list = field(
        default_factory=list
    )  # what the model says of --example_file, as inference/explaining.py has it
    notes: list = field(default_factory=list)  # on what was drawn

    @property
    def title(self):
        job = self.job
        known = job.data.name == job.task.dataset_name or job.task.is_own or job.settings.data_dir
        return job.task.title if known else f"the texts of {Path(job.data.name).name}"

    @property
    def published(self):
        return self.job.task.published if self.title == self.job.task.title else ()


def write_all(record):
    """Pictures, report, metrics.json, model card, suspects, and of one's own data what was said of each test text."""
    job, output_dir = record.job, Path(record.job.settings.output_dir)
    write_json(output_dir / "metrics.json", record.metrics)
    if job.task.is_own:
        write_csv(output_dir / "predictions.csv", predictions(record))
    if job.settings.excerpt_words and job.suspects:
        write_csv(output_dir / "suspects.csv", job.suspects)
    write_model_card(output_dir / "README.md", record)
    write_plots(job.plots_dir, record)
    write_report(job.report_path, record)
