"""The folder that a script is to write: refused before the work begins rather than after it."""

import os
import shutil
import tempfile
from pathlib import Path

from tfbert.errors import UserError


def check_output_dir(settings, owned, mark, model_file):
    """Raises UserError where settings.output_dir cannot be written, or holds what must not be lost.

    owned: the names of what the script writes; mark: the one that shows that what is there was written by it;
    model_file: the one that shows that it was finished.
    """
    folder = Path(settings.output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder.parent).close()
        tempfile.TemporaryFile(dir=folder).close()
        there = set(os.listdir(folder))
    except OSError as error:
        raise UserError(f"--output_dir {str(folder)[:200]}: cannot write there ({error.strerror})") from error
    if Path.cwd().is_relative_to(folder.resolve()):
        raise UserError(f"--output_dir {folder} holds the folder that you are in: name one inside it")
    if (folder / "checkpoints").is_file():
        raise UserError(f"{folder / 'checkpoints'} is in the way: move it, or choose another --output_dir")
    foreign = there & owned
    if foreign and not {mark, model_file} & there:
        raise UserError(f"--output_dir {folder} holds {min(foreign)}, which was not written here: choose another")
    unfinished = {path.parent.name for path in folder.glob("checkpoints/*/step-*")}
    first = f"seed-{settings.seed}"
    if settings.resume_from_checkpoint == "last" and first not in unfinished:
        others = f" of {first}, only of {', '.join(sorted(unfinished))}" if unfinished else ""
        raise UserError(f"--resume_from_checkpoint last: {folder} holds no checkpoint{others}")
    if settings.overwrite_output_dir:
        return
    if unfinished and not settings.resume_from_checkpoint:
        raise UserError(
            f"{folder}/ holds an unfinished run: go on with --resume_from_checkpoint last, "
            "or start again with --overwrite_output_dir"
        )
    if model_file in there and not unfinished:
        raise UserError(f"{folder}/ holds a model already: add --overwrite_output_dir, or another --output_dir")


def begin(settings, model, seeds=1):
    """Removes the checkpoints of an earlier run, unless they are to be resumed; refuses a disk that is too small.

    Room is needed for a checkpoint of each seed, a successor, and the saved model in its formats.
    """
    if not settings.resume_from_checkpoint:
        shutil.rmtree(Path(settings.output_dir, "checkpoints"), ignore_errors=True)
    needed = (3 * seeds + 6) * 4 * model.count_params()
    free = shutil.disk_usage(settings.output_dir).free
    if free < needed:
        raise UserError(
            f"--output_dir {settings.output_dir}: {free / 1e6:,.1f} MB free, but this run needs {needed / 1e6:,.1f} MB"
        )
