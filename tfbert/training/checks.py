"""Settings that do not go together, and places that cannot be written: refused before the work begins."""

import os
from pathlib import Path

from tfbert.common.errors import UserError
from tfbert.common.files import same_file
from tfbert.common.settings import changed
from tfbert.model.folders import OUTPUT_FILES
from tfbert.report.confusions import MANY
from tfbert.report.metrics import OF_ONE_LABEL, OF_SEVERAL_LABELS
from tfbert.training.outputs import check_output_dir, is_default, results_paths
from tfbert.training.sizes import FOR_FINE_TUNING

MOST_STEPS = 10**9  # years on any machine
FEW = 10  # texts of a label to learn from
# settings of a loop over batches, which logistic regression has not, beside FOR_FINE_TUNING
OF_LEARNING = ("label_smoothing", "weight_decay", "warmup_ratio", "max_grad_norm", "attention_dropout",
               "layerwise_lr_decay", "gradient_accumulation_steps", "eval_steps", "save_steps", "logging_steps",
               "early_stopping_patience", "load_best_model_at_end", "metric_for_best_model")  # fmt: skip


def check_settings(settings):
    """Refuses settings that do not go together."""
    if settings.seed + settings.seeds + bool(settings.teacher) > 2**32:
        raise UserError(f"--seed {settings.seed} --seeds {settings.seeds}: seeds end at {2**32 - 1}")
    if settings.seeds > 1 and settings.resume_from_checkpoint not in (None, "last"):
        raise UserError("--resume_from_checkpoint with several seeds: give last, which finds the checkpoint of each")
    if settings.minutes and settings.method == "features":
        raise UserError("--minutes chooses epochs, which --method features has not: leave it out")
    if settings.minutes and settings.resume_from_checkpoint:
        raise UserError(
            "--minutes and --resume_from_checkpoint: give what the first run's Minutes line says in place of --minutes"
        )
    if settings.minutes and settings.teacher:
        raise UserError("--minutes does not know what asking a --teacher takes: give --num_train_epochs instead")
    if settings.average_seeds and settings.seeds == 1:
        raise UserError("--average_seeds averages several runs: add --seeds 3")
    if (settings.unsupervised or settings.unlabelled_file) and not settings.teacher:
        raise UserError("texts without labels are learnt from a --teacher alone: name one, or run pretrain.py on them")
    if settings.teacher and same_file(settings.teacher, settings.output_dir):
        raise UserError(f"--teacher {settings.teacher} is --output_dir too, and would be replaced: name another")
    for name in ("unlabelled_file", "example_file"):
        path = getattr(settings, name)
        if path and not os.path.isfile(os.path.expanduser(path)):
            raise UserError(f"--{name} {path}: no such file")
    if settings.teacher and settings.method == "features":
        raise UserError("--teacher is for fine-tuning: leave --method features out")
    if settings.unsupervised and settings.unlabelled_file:
        raise UserError("--unsupervised and --unlabelled_file: give one of them")
    if settings.from_scratch and settings.model_name_or_path:
        raise UserError("--from_scratch makes a new encoder: leave --model_name_or_path out")
    if settings.from_scratch and settings.head == "regression":
        raise UserError("--head regression: an encoder from scratch knows nothing; leave --from_scratch out")
    if settings.method == "features":
        if settings.from_scratch:
            raise UserError("--method features: an encoder from scratch knows nothing; leave --from_scratch out")
        if settings.pooling == "pooler":
            raise UserError("--method features takes the encoder's own vectors: --pooling first or --pooling mean")
        if settings.resume_from_checkpoint:
            raise UserError("--method features has no checkpoints to resume from")
        for name in changed(settings, (*FOR_FINE_TUNING, *OF_LEARNING)):
            raise UserError(f"--method features leaves the encoder as it is: leave --{name} out")
    if changed(settings, ["metric_for_best_model"]) and not settings.keeps_best:
        raise UserError("--metric_for_best_model: the last weights are kept; add --load_best_model_at_end")
    if settings.validation_samples and settings.validation_file:
        raise UserError(
            "--validation_samples is a part of train, and --validation_file stands for it: give one of them"
        )
    if changed(settings, ["head_share"]) and settings.truncation != "head+tail":
        raise UserError(
            f"--head_share is of --truncation head+tail: leave it or --truncation {settings.truncation} out"
        )


def check_places(settings):
    """Refuses, before anything else happens, places of results that cannot be written."""
    folder = Path(settings.output_dir)
    for path in sorted([*folder.glob("model.safetensors*"), *folder.glob("pytorch_model*")]):
        # transformers 4 would choose it instead of tf_model.h5
        raise UserError(f"--output_dir {folder} holds {path.name}, which train.py did not write: choose another")
    later = set() if is_default(settings.output_dir) else {"plots", "training_report.md"}
    check_output_dir(settings, OUTPUT_FILES, "metrics.json", "tf_model.h5", later)
    plots, report = results_paths(settings.output_dir)
    for path, is_wrong in ((plots, plots.is_file()), (report, report.is_dir())):
        if is_wrong:
            raise UserError(f"{path} is in the way: move it, or choose another --output_dir")


def check_team(settings, team):
    """Refuses what does not work on several devices or machines, or with Keras's other backends."""
    import keras

    if settings.gradient_accumulation_steps > 1 and team.size > 1:
        raise UserError("--gradient_accumulation_steps works on one device: leave it out, or CUDA_VISIBLE_DEVICES=0")
    if settings.early_stopping_patience and len(team.cluster.workers) > 1:
        raise UserError("--early_stopping_patience works on one machine: --load_best_model_at_end works on several")
    if settings.head == "regression" and team.size > 1:
        raise UserError("--head regression uses one device: set CUDA_VISIBLE_DEVICES=0")
    if settings.adversarial and keras.backend.backend() != "tensorflow":
        raise UserError("--adversarial needs Keras's TensorFlow backend: unset KERAS_BACKEND")
    if settings.minutes and (team.size > 1 or keras.backend.backend() != "tensorflow"):
        raise UserError("--minutes needs one device and TensorFlow: set CUDA_VISIBLE_DEVICES=0, unset KERAS_BACKEND")
    if settings.method == "features" and team.size > 1:
        raise UserError("--method features uses one device: set CUDA_VISIBLE_DEVICES=0")


def check_kind(settings, several, pairs):
    """Refuses what this kind of task has not. several: whether several labels may hold; pairs: of texts."""
    if several and settings.class_weights == "balanced":
        raise UserError("--class_weights balanced is for tasks with one label a text")
    if settings.example_file and (several or pairs):
        raise UserError("--example_file is for single texts with one label each: leave it out")
    name, known = settings.metric_for_best_model, OF_SEVERAL_LABELS if several else OF_ONE_LABEL
    if name not in ("loss", "metric", *known):
        kind = "several labels may hold" if several else "one label holds"
        raise UserError(f"--metric_for_best_model {name}: where {kind}, one of loss, metric, {', '.join(known)}")


def check_steps(settings, batches):
    """Refuses more steps than a run can have."""
    accumulated, steps = settings.gradient_accumulation_steps, batches.steps(settings.num_train_epochs)
    if accumulated > steps:
        raise UserError(f"--gradient_accumulation_steps {accumulated}: the run has {steps} steps in all: lower it")
    if steps > MOST_STEPS:
        raise UserError(f"--num_train_epochs {settings.num_train_epochs:g} are {steps:,} steps: lower it")


def check_memory(settings, shape, device, tokens, most_texts):
    """Refuses batches that a CPU's machine has no memory for, by the least that the layers' outputs take.

    shape: a ModelConfig; tokens: of the longest text; most_texts: in an evaluation.
    """
    if device.is_gpu or not hasattr(os, "sysconf"):  # a GPU says so itself; Windows does not tell
        return
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    length = int(min(tokens, settings.max_seq_length))
    of_layer = 24 * length * shape.hidden_size  # 12 vectors of 2 bytes for each token
    learnt = settings.per_device_train_batch_size or 0, of_layer * shape.num_hidden_layers
    sizes = {"per_device_train_batch_size": learnt}
    if hasattr(settings, "per_device_eval_batch_size"):
        sizes["per_device_eval_batch_size"] = min(settings.per_device_eval_batch_size, most_texts), of_layer
    for name, (texts, each) in sizes.items():
        if texts * each > there:
            raise UserError(
                f"--{name} {getattr(settings, name)}: {texts:,} texts of this length need {texts * each / 1e9:,.0f} GB "
                f"and more, the machine has {there / 1e9:,.0f}: lower it or --max_seq_length"
            )


def notes_on_labels(count, texts):
    """What is to be said of many labels with few texts, a list of at most one sentence."""
    if count <= MANY or texts >= FEW * count:
        return []
    return [
        f"{count} labels with {texts / count:.1f} texts each to learn from, on average: what single ones score is rough"
    ]
