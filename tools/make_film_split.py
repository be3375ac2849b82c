"""Makes benchmarks/film_split.bin: which of IMDb's training reviews benchmarks/recipes.py holds out, by film.

usage: python tools/make_film_split.py ACLIMDB

ACLIMDB is the folder that Maas et al. (2011) publish. Its train/urls_neg.txt and urls_pos.txt name the film of each
review: line n is that of the file n_*.txt. Films are drawn until their reviews are 5,000; the file has a bit for each
review, in the order of the texts as strings, set where the review is held out. Of a text that stands under several
films the first in the alphabet counts.
"""

import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np

HELD_OUT = 5000

source = Path(sys.argv[1], "train")
reviews = []
for label in ("neg", "pos"):
    urls = (source / f"urls_{label}.txt").read_text().split()
    for path in (source / label).iterdir():
        film = urls[int(path.name.split("_")[0])].split("/")[-2]
        reviews.append((path.read_text(encoding="utf-8"), film))
reviews.sort()
film_of = {text: film for text, film in reversed(reviews)}
sizes = Counter(film_of[text] for text, _ in reviews)
films = sorted(sizes)
random.Random(0).shuffle(films)
drawn = set()
while sum(sizes[film] for film in drawn) < HELD_OUT:
    drawn.add(films.pop())
held_out = np.array([film_of[text] in drawn for text, _ in reviews])
shared = {film for text, film in reviews if film_of[text] in drawn} & {
    film for text, film in reviews if film_of[text] not in drawn
}
print(f"{len(reviews):,} reviews of {len(sizes):,} films; {held_out.sum():,} of {len(drawn):,} held out")
print(f"{len(shared)} films in both parts, by texts that stand under several films")
(Path(__file__).parent.parent / "benchmarks" / "film_split.bin").write_bytes(np.packbits(held_out).tobytes())
