"""Feeds damaged files to the readers of data and models; anything but a result or a UserError is a finding.

usage: python tools/fuzz.py data --minutes 10      or models

Seeds are made here: small tables in every form, and the tiny BERT of tests/fixtures in every format. Bytes are flipped,
cut, doubled, zeroed. A reader has 10 seconds and 4 GB. Prints each finding with the seed that makes it again.
"""

import argparse
import gzip
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tfbert.common.errors import UserError  # noqa: E402

ROWS = [(f'film "{n}", a joy' if n % 3 else f"film {n}", "good" if n % 2 else "bad") for n in range(40)]
FIXTURE = ROOT / "tests/fixtures/tiny_bert"


def data_seeds(folder):
    """Writes a file of every form."""
    import pyarrow
    from pyarrow import parquet

    objects = [{"text": text, "label": label} for text, label in ROWS]
    quoted = "".join('"{}",{}\n'.format(text.replace('"', '""'), label) for text, label in ROWS)
    files = {
        "a.csv": "text,label\n" + quoted,
        "b.tsv": "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in ROWS),
        "c.jsonl": "\n".join(map(json.dumps, objects)),
        "d.json": json.dumps(objects, indent=1),
        "e.csv": "text,label\n" + "".join(f"""film {n},"['a', 'b{n % 2}']"\n""" for n in range(40)),
    }
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    (folder / "f.csv.gz").write_bytes(gzip.compress(files["a.csv"].encode()))
    (folder / "g.csv").write_bytes(files["a.csv"].encode("utf-16"))
    table = pyarrow.table({"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]})
    parquet.write_table(table, folder / "h.parquet")


def read_data(path):
    from tfbert.data.sources import find_dataset
    from tfbert.data.splits import load_splits
    from tfbert.data.tasks import chosen_task
    from tfbert.training.settings import TrainSettings

    settings = TrainSettings(train_file=str(path))
    task = chosen_task(settings)
    load_splits(task, find_dataset(task, settings), settings)


def model_seeds(folder):
    """Writes tiny BERTs, each with weights of one format."""
    for name in ("tiny_bert", "tiny_bert_h5", "tiny_roberta", "tiny_albert"):
        shutil.copytree(ROOT / "tests/fixtures" / name, folder / name, ignore=shutil.ignore_patterns("golden*"))


def read_model(path):
    import numpy as np

    from tfbert.data.tokenizing import TextEncoder
    from tfbert.model.configs import read_config
    from tfbert.model.folders import load_classifier
    from tfbert.model.vocabulary import fitted_config, load_tokenizer

    folder = path.parent
    config = read_config(folder)
    tokenizer = load_tokenizer(folder, 32, config)
    config = fitted_config(config, tokenizer, folder)
    ids = TextEncoder(tokenizer.backend_tokenizer, 32)(["the film was very good"])[0][0]
    model, _ = load_classifier(folder, config)
    model({"input_ids": np.array([ids], np.int32)})  # numbers that are not finite are refused by Predictor


def mutated(content, rng):
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        place = rng.randrange(len(content) + 1)
        size = rng.choice((1, 2, 4, 16, 256))
        way = rng.choice(("flip", "cut", "end", "double", "zero", "high"))
        if way == "flip" and place < len(content):
            content[place] ^= 1 << rng.randrange(8)
        elif way == "cut":
            del content[place : place + size]
        elif way == "end":
            del content[place:]
        elif way == "double":
            content[place:place] = content[place : place + size]
        else:
            content[place : place + size] = (b"\0" if way == "zero" else b"\xff") * len(content[place : place + size])
    return bytes(content)


def too_slow(*_):
    raise TimeoutError("10 seconds")


def tries(kind, seconds, first):
    """Damages and reads, from seed `first` on; returns the number of tries."""
    make, read = {"data": (data_seeds, read_data), "models": (model_seeds, read_model)}[kind]
    resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 4 << 30))
    signal.signal(signal.SIGALRM, too_slow)
    end, seed = time.time() + seconds, first
    with tempfile.TemporaryDirectory() as scratch:
        seeds, work = Path(scratch, "seeds"), Path(scratch, "work")
        seeds.mkdir()
        make(seeds)
        files = sorted(path for path in seeds.rglob("*") if path.is_file())
        while time.time() < end:
            rng = random.Random(seed)
            victim = rng.choice(files).relative_to(seeds)
            shutil.copytree(seeds, work)
            (work / victim).write_bytes(mutated((work / victim).read_bytes(), rng))
            signal.alarm(10)
            try:
                read(work / victim)
            except UserError:
                pass
            except Exception:
                print(f"seed {seed}, {victim}: {traceback.format_exc()[-700:]}", flush=True)
            finally:
                signal.alarm(0)
                shutil.rmtree(work)
            seed += 1
    return seed - first


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["data", "models"])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0, help="the first; one that was printed makes its finding again")
    arguments = parser.parse_args()
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    print(f"{tries(arguments.kind, 60 * arguments.minutes, arguments.seed):,} tries", flush=True)


if __name__ == "__main__":
    main()
