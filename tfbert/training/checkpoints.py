"""Checkpoints of a training run: everything that a resumed run needs to go on as if never stopped."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
from keras import ops

from tfbert.common.errors import UserError
from tfbert.common.files import replaced_folder, write_json


def folder_of_seed(output_dir, seed):
    """Where the checkpoints of one seed are."""
    return Path(output_dir, "checkpoints", f"seed-{seed}")


def newest(folder):
    """The checkpoint of the last step in the folder of a seed, or None."""
    return max(folder.glob("step-*"), default=None)


def write_checkpoint(folder, model, state, best_weights=None):
    """Writes step-N into the folder of a seed and removes those before it.

    state: what JSON can hold, with the number of the step; best_weights: a list of arrays, or None.
    """
    path = folder / f"step-{state['step']:08d}"
    with replaced_folder(path) as staged:
        np.savez(staged / "variables.npz", *[ops.convert_to_numpy(v) for v in all_variables(model)])
        if best_weights:
            np.savez(staged / "best.npz", *best_weights)
        write_json(staged / "state.json", state)
    for older in folder.glob("step-*"):
        if older != path:
            shutil.rmtree(older)


def read_checkpoint(path, model, run_facts):
    """Sets the model's variables; returns the state, in which `best` has its weights.

    Raises UserError where it is damaged, or of another run than `run_facts` say, or of another model.
    """
    try:
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        before = {name: state["run"].get(name) for name in run_facts}
        values = read_arrays(path / "variables.npz")
        state["best"] = state["best"] and state["best"] | {"weights": read_arrays(path / "best.npz")}
        state = {name: state[name] for name in ("step", "history", "train_seconds", "best", "ended_early")}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"--resume_from_checkpoint {path}: not a checkpoint ({error!r})") from error
    for name, value in run_facts.items():
        if before[name] != value:
            raise UserError(f"{path} is of a run with {name} {before[name]}, not {value}")
    if [value.shape for value in values] != [tuple(variable.shape) for variable in all_variables(model)]:
        raise UserError(f"--resume_from_checkpoint {path}: not a checkpoint of this model")
    set_variables(model, values)
    return state


def read_arrays(path):
    with np.load(path) as stored:
        return [stored[name] for name in stored.files]


def all_variables(model):
    """Weights, dropout seeds, and the optimizer's state."""
    return [*model.variables, *model.optimizer.variables]


def set_variables(model, values):
    for variable, value in zip(all_variables(model), values, strict=True):
        variable.assign(value)
