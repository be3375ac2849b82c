"""Settings that do not go together, and places that cannot be written: refused before the work begins."""

from pathlib import Path

from tfbert.common.errors import UserError
from tfbert.model.folders import OUTPUT_FILES
from tfbert.training.outputs import check_output_dir, results_paths
from tfbert.training.sizes import FOR_FINE_TUNING


def check_settings(settings):
    """Refuses settings that do not go together."""
    if settings.seed + settings.seeds > 2**32:
        raise UserError(f"--seed {settings.seed} --seeds {settings.seeds}: seeds end at {2**32 - 1}")
    if settings.seeds > 1 and settings.resume_from_checkpoint not in (None, "last"):
        raise UserError("--resume_from_checkpoint with several seeds: give last, which finds the checkpoint of each")
    if settings.average_seeds and settings.seeds == 1:
        raise UserError("--average_seeds averages several runs: add --seeds 3")
    if settings.from_scratch and settings.model_name_or_path:
        raise UserError("--from_scratch makes a new encoder: leave --model_name_or_path out")
    if settings.method == "features":
        if settings.from_scratch:
            raise UserError("--method features: an encoder from scratch knows nothing; leave --from_scratch out")
        if settings.pooling == "pooler":
            raise UserError("--method features takes the encoder's own vectors: --pooling first or --pooling mean")
        if settings.resume_from_checkpoint:
            raise UserError("--method features has no checkpoints to resume from")
        for name in FOR_FINE_TUNING:
            if getattr(settings, name) is not None:
                raise UserError(f"--method features leaves the encoder as it is: leave --{name} out")


def check_places(settings):
    """Refuses, before anything else happens, places of results that cannot be written."""
    folder = Path(settings.output_dir)
    for path in sorted([*folder.glob("model.safetensors*"), *folder.glob("pytorch_model*")]):
        # transformers 4 would choose it instead of tf_model.h5
        raise UserError(f"--output_dir {folder} holds {path.name}, which train.py did not write: choose another")
    later = set() if settings.output_dir == "output" else {"plots", "training_report.md"}
    check_output_dir(settings, OUTPUT_FILES, "metrics.json", "tf_model.h5", later)
    plots, report = results_paths(settings.output_dir)
    for path, is_wrong in ((plots, plots.is_file()), (report, report.is_dir())):
        if is_wrong:
            raise UserError(f"{path} is in the way: move it, or choose another --output_dir")


def check_team(settings, team):
    """Refuses what does not work on several devices or machines."""
    if settings.gradient_accumulation_steps > 1 and team.size > 1:
        raise UserError("--gradient_accumulation_steps works on one device: leave it out, or CUDA_VISIBLE_DEVICES=0")
    if settings.early_stopping_patience and len(team.cluster.workers) > 1:
        raise UserError("--early_stopping_patience works on one machine: --load_best_model_at_end works on several")
    if settings.method == "features" and team.size > 1:
        raise UserError("--method features uses one device: set CUDA_VISIBLE_DEVICES=0")
