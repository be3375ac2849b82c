"""Checkpoints of a training run: everything that a resumed run needs to go on as if never stopped."""

import json
import shutil
from pathlib import Path

import numpy as np
from keras import ops

from tfbert.common.console import say
from tfbert.common.errors import UserError
from tfbert.common.files import replaced_folder, sum_of, write_json
from tfbert.training.outputs import STATE, checkpoints_in

KEPT = 2  # the newest, and the one before, should the newest be damaged
SUMS = "sha256.json"  # of the other files


class Damaged(UserError):
    """A checkpoint whose files are not those that were written."""


def folder_of_seed(output_dir, seed):
    """Where the checkpoints of one seed are."""
    return Path(output_dir, "checkpoints", f"seed-{seed}")


def write_checkpoint(folder, model, state, best_weights=None):
    """Writes step-N into the folder of a seed and removes all but the one before it.

    state: what JSON can hold, with the number of the step; best_weights: a list of arrays, or None.
    """
    with replaced_folder(folder / f"step-{state['step']:08d}") as staged:
        np.savez(staged / "variables.npz", *[ops.convert_to_numpy(v) for v in all_variables(model)])
        if best_weights:
            np.savez(staged / "best.npz", *best_weights)
        write_json(staged / STATE, state)
        write_json(staged / SUMS, {path.name: sum_of(path) for path in sorted(staged.iterdir())})
    for older in checkpoints_in(folder)[KEPT:]:
        shutil.rmtree(older, ignore_errors=True)  # what is left goes with the next


def read_newest(paths, model, run_facts):
    """The first of these checkpoints that is whole, and its state, as read_checkpoint gives it.

    Raises UserError where none is, or it is of another run.
    """
    for path, older in zip(paths, [*paths[1:], None]):
        try:
            return path, read_checkpoint(path, model, run_facts)
        except Damaged as error:
            if not older:
                raise UserError(f"{error}; start again with --overwrite_output_dir, or name another") from error
            say("Note", f"{error}; going on from the one before")


def read_checkpoint(path, model, run_facts):
    """Sets the model's variables; returns the state, in which `best` has its weights.

    Raises Damaged where a file is not as it was written; UserError where it is of another run than `run_facts` say, or
    of another model.
    """
    check_sums(path)
    state = json.loads((path / STATE).read_text(encoding="utf-8"))
    for name, value in run_facts.items():
        before = state["run"].get(name)
        if before != value:
            raise UserError(f"{path} is of a run with {name} {before}, not {value}")
    values = read_arrays(path / "variables.npz")
    if [value.shape for value in values] != [tuple(variable.shape) for variable in all_variables(model)]:
        raise UserError(f"--resume_from_checkpoint {path}: not a checkpoint of this model")
    state["best"] = state["best"] and state["best"] | {"weights": read_arrays(path / "best.npz")}
    set_variables(model, values)
    return state


def check_sums(path):
    """Raises Damaged where a checkpoint's files are not those that write_checkpoint left."""
    try:
        sums = json.loads((path / SUMS).read_text(encoding="utf-8"))
        wrong = [name for name in ("variables.npz", STATE, *sums) if sum_of(path / name) != sums.get(name)]
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        reason = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else f"{SUMS} cannot be read"
        raise Damaged(damage(path, reason)) from error
    if wrong:
        raise Damaged(damage(path, f"{wrong[0]} is not as it was written"))


def damage(path, reason):
    return f"--resume_from_checkpoint: {path} is damaged, or not a checkpoint ({reason})"


def read_arrays(path):
    with np.load(path) as stored:
        return [stored[name] for name in stored.files]


def all_variables(model):
    """Weights, dropout seeds, and the optimizer's state."""
    return [*model.variables, *model.optimizer.variables]


def set_variables(model, values):
    for variable, value in zip(all_variables(model), values, strict=True):
        variable.assign(value)
