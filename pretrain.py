"""Goes on with an encoder's masked language modelling on a task's own texts, before it is fine-tuned.

usage: python pretrain.py
       python train.py --model_name_or_path pretrained

Leaves an encoder in pretrained/. Labels are not read; the test split neither, but to leave its texts out of the
unsupervised split.
"""

import sys

from tfbert.common.console import say
from tfbert.common.errors import run as run_command
from tfbert.common.files import replaced_folder, write_csv, write_json
from tfbert.common.settings import changed, parse
from tfbert.common.systems import quoted
from tfbert.common.timing import clock
from tfbert.model import configs
from tfbert.model.folders import ENCODER_FILES, save_encoder
from tfbert.model.weights import get_weights
from tfbert.training.outputs import begin, remove_checkpoints
from tfbert.training.pretraining import prepare
from tfbert.training.settings import PretrainSettings


def main(argv=None):
    settings = parse(PretrainSettings, argv)
    with prepare(settings, argv) as job:
        model, progress = learn(job)
        if progress.interrupted:
            say("Stopped", f"after step {progress.step} of {progress.total_steps}")
            say("", "To go on: the same command with --resume_from_checkpoint last")
            return 130
        save(job, model, progress)
        remove_checkpoints(settings.output_dir)
    last = progress.last_validation()
    say("Gaps", f"{last['validation_accuracy']:.1%} guessed right, cross-entropy {last['validation_loss']:.3f}")
    say("Time", f"{clock(progress.train_seconds)} of training")
    say("Next", next_command(settings))


def learn(job):
    """Trains the encoder and its head: the model, and the Progress."""
    import keras

    from tfbert.model.masked_lm import load_masked_lm
    from tfbert.training.evaluating import evaluation_of_gaps
    from tfbert.training.fitting import fit
    from tfbert.training.step import compile_masked_lm

    settings, batches = job.settings, job.batches
    keras.utils.set_random_seed(settings.seed)
    config = configs.with_dropout(job.config, settings)
    model, weights_line = load_masked_lm(job.encoder.folder, config, job.device.policy)
    begin(settings, model)
    total_steps = batches.steps(settings.num_train_epochs, settings.gradient_accumulation_steps)
    compile_masked_lm(model, settings, total_steps, job.device.xla)
    say("Weights", weights_line)
    say("Steps", f"{total_steps:,} of {batches.batch_size} pieces")
    return model, fit(model, batches, evaluation_of_gaps(job.gaps), settings, total_steps, job.run_facts)


def next_command(settings):
    """How train.py is called with the encoder, on the same data."""
    data = ("task_name", "dataset_name", "data_dir", "train_file", "validation_file", "test_file", "text_column",
            "text_pair_column", "label_column", "label_separator", "label_names", "group_column", "quoting",
            "seed")  # fmt: skip
    given = changed(settings, data)
    if "text_column" in given:
        given.setdefault("label_column", "LABEL")
    words = [f"--{name} {quoted(str(value))}" for name, value in given.items()]
    return " ".join(["python train.py", f"--model_name_or_path {quoted(settings.output_dir)}", *words])


def save(job, model, progress):
    """Puts the encoder into --output_dir in one step, with what was done to it."""
    from tfbert.model.masked_lm import pooler_weights

    last = progress.last_validation()
    done = job.run_facts | {
        "command": job.command,
        "model_source": job.encoder.description,
        "dataset_source": job.data.description,
        "texts": job.texts,
        "learnt": job.learnt,
        "train_seconds": progress.train_seconds,
        "validation_loss": last["validation_loss"],
        "validation_accuracy": last["validation_accuracy"],
    }
    with replaced_folder(job.settings.output_dir, owned=ENCODER_FILES) as folder:
        weights = pooler_weights(job.config["model_type"], job.encoder.folder) | get_weights(model)
        save_encoder(folder, weights, configs.masked_lm_config(job.config), job.tokenizer)
        write_json(folder / "history.json", progress.history)
        write_csv(folder / "history.csv", progress.history)
        write_json(folder / "pretraining.json", done)


if __name__ == "__main__":
    sys.exit(run_command(main))
