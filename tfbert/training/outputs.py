"""The folder that a script is to write: refused before the work begins rather than after it."""

import contextlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

from tfbert.common.errors import UserError
from tfbert.common.files import finish_replacement, same_file
from tfbert.common.systems import WINDOWS

STATE = "state.json"  # of a checkpoint, what it was at


def check_output_dir(settings, owned, mark, model_file, later=frozenset()):
    """Raises UserError where settings.output_dir cannot be written, or holds what must not be lost.

    owned: the names of what the script writes; mark: the file of figures that shows, by what stands in it, that the
    folder was written by it; model_file: the one that shows that it was finished; later: names of what it puts there
    when the model stands.
    """
    folder = Path(settings.output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder.resolve().parent).close()
        tempfile.TemporaryFile(dir=folder).close()
        finish_replacement(folder, owned)
        there = set(os.listdir(folder))
    except OSError as error:
        raise UserError(f"--output_dir {str(folder)[:200]}: cannot write there ({error.strerror})") from error
    if Path.cwd().is_relative_to(folder.resolve()):
        raise UserError(f"--output_dir {folder} holds the folder that you are in: name one inside it")
    if (folder / "checkpoints").is_file():
        raise UserError(f"{folder / 'checkpoints'} is in the way: move it, or choose another --output_dir")
    foreign = there & (owned | later)
    if foreign and not (is_of_a_run(folder / mark) or model_file != mark and model_file in there):
        raise UserError(f"--output_dir {folder} holds {min(foreign)}, which was not written here: choose another")
    check_runs(settings, folder, there, model_file)
    if WINDOWS:
        must_be_free(folder / name for name in there & owned)


def must_be_free(paths):
    """Raises UserError where another program, as Excel does, keeps a file from being replaced: Windows lets it."""
    for path in paths:
        try:
            if path.is_file():
                open(path, "r+b").close()
        except PermissionError as error:
            raise UserError(f"{path} is open in another program ({error.strerror}): close it there") from None


def is_of_a_run(path):
    """Whether a file of figures is one that train.py or pretrain.py wrote."""
    try:
        return "model_source" in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def check_runs(settings, folder, there, model_file):
    """Raises UserError where a run that `folder` holds would be lost, or one that is to be resumed is not there."""
    unfinished = {each.name for each in folder.glob("checkpoints/seed-*") if checkpoints_in(each)}
    first, wanted = f"seed-{settings.seed}", settings.resume_from_checkpoint
    if wanted == "last" and first not in unfinished:
        others = f" of {first}, only of {', '.join(sorted(unfinished))}" if unfinished else ""
        raise UserError(f"--resume_from_checkpoint last: {folder} holds no checkpoint{others}")
    if settings.overwrite_output_dir:
        return
    goes_on = wanted and (wanted == "last" or Path(wanted).resolve().is_relative_to(folder.resolve()))
    if unfinished and not goes_on:
        raise UserError(
            f"{folder}/ holds an unfinished run: go on with --resume_from_checkpoint last, "
            "or start again with --overwrite_output_dir"
        )
    if model_file in there and not unfinished:
        raise UserError(f"{folder}/ holds a model already: add --overwrite_output_dir, or another --output_dir")


def checkpoints_in(folder):
    """The checkpoints in the folder of a seed, the newest first: step-00000016 and the like, which training wrote."""
    named = [path for path in folder.glob("step-*") if re.fullmatch(r"step-\d{8}", path.name)]
    return sorted((path for path in named if (path / STATE).is_file() and not path.is_symlink()), reverse=True)


def holds_finished_model(output_dir):
    """Whether train.py ended well there: an interrupted run leaves no figures, and this repository holds no weights."""
    return all(Path(output_dir, name).exists() for name in ("tf_model.h5", "metrics.json"))


def remove_checkpoints(output_dir):
    """Removes what training left for resuming; what else stands beside it is the user's."""
    folder = Path(output_dir, "checkpoints")
    for path in [*folder.glob("seed-*/step-*"), *folder.glob("seed-*/.step-*")]:
        shutil.rmtree(path, ignore_errors=True)
    for path in [*folder.glob("seed-*"), folder]:
        with contextlib.suppress(OSError):  # not empty, or not there
            path.rmdir()


def begin(settings, model, seeds=1):
    """Removes the checkpoints of an earlier run, unless they are to be resumed; refuses a disk that is too small.

    Room is needed for two checkpoints of each seed, a successor, and the saved model in its formats.
    """
    if not settings.resume_from_checkpoint:
        remove_checkpoints(settings.output_dir)
    needed = (6 * seeds + 6) * 4 * model.count_params()
    free = shutil.disk_usage(settings.output_dir).free
    if free < needed:
        raise UserError(
            f"--output_dir {settings.output_dir}: {free / 1e6:,.1f} MB free, but this run needs {needed / 1e6:,.1f} MB"
        )


def results_paths(output_dir):
    """Where plots and report go: beside output/, or into an output folder of another name."""
    home = Path(".") if is_default(output_dir) else Path(output_dir)
    return home / "plots", home / "training_report.md"


def is_default(output_dir):
    return same_file(output_dir, "output")
