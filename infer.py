"""Labels text with the model that train.py saved.

usage: python infer.py "a review" "another review"
       python infer.py --file reviews.txt
       cat reviews.txt | python infer.py
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy multiplies nothing here; its threads take 40 ms to start

import json
import select
import shutil
import stat
import sys
from dataclasses import dataclass
from itertools import islice

from tfbert.errors import UserError, run
from tfbert.predicting import Predictor
from tfbert.reading import read_file, read_lines
from tfbert.settings import option, parse

EXAMPLE = "This movie is absolutely wonderful and inspiring."
CHUNK = 1024  # reviews in memory at a time


@dataclass
class InferSettings:
    """Label text with the model that train.py saved. Without any text: an example."""

    model_dir: str = option("output", "the folder that train.py wrote")
    file: str | None = option(None, "reviews in a .txt (one a line), .csv, .tsv or .jsonl file; - for standard input")
    text_column: str = option("text", "the column or key of a .csv, .tsv or .jsonl file that holds the reviews")
    batch_size: int = option(32, "reviews in one batch", at_least=1, at_most=65536)
    quantize: bool = option(False, "compute in int8: faster, a little less exact")
    json: bool = option(False, "print a JSON object a line, with every label's probability")


def main(argv=None):
    settings, texts = parse(InferSettings, argv, positional=("review", "reviews to label; - for standard input"))
    if texts and settings.file:
        raise UserError("give reviews as arguments or in --file, not both")
    predictor = Predictor(settings.model_dir, settings.quantize)
    reviews, several = choose_input(texts, settings)
    show = show_json if settings.json else show_line if several else show_pair
    while chunk := list(islice(reviews, CHUNK)):
        places, texts = zip(*chunk)
        token_ids, lengths = predictor.encoder(texts)
        for place, text, ids, length in zip(places, texts, token_ids, lengths):
            check(place, text, ids, length, predictor.encoder)
        for text, result in zip(texts, predictor.label(token_ids, settings.batch_size)):
            show(text, result)


def choose_input(texts, settings):
    """The (place, text) pairs to label, and whether they may be many."""
    if "-" in (settings.file, *texts) or not (texts or settings.file) and something_is_piped():
        if sys.stdin is None:
            raise UserError("standard input is closed")
        return read_lines(sys.stdin.buffer, "standard input"), True
    if settings.file:
        return read_file(settings.file, settings.text_column), True
    for number, text in enumerate(texts, 1):
        if text != text.encode(errors="replace").decode():
            raise UserError(f"review {number} is not UTF-8 text")
    texts = texts or [EXAMPLE]
    return ((f"review {number}", text) for number, text in enumerate(texts, 1)), len(texts) > 1


def something_is_piped():
    """True where standard input is a file or pipe with something in it; a pipe gets a second to show it."""
    if sys.stdin is None or sys.stdin.closed:
        return False
    mode = os.fstat(0).st_mode
    if stat.S_ISFIFO(mode):
        if select.select([0], [], [], 1.0)[0] and sys.stdin.buffer.peek(1):
            return True
        print("note: nothing comes from standard input, so here is the example; - would wait for it", file=sys.stderr)
    return stat.S_ISREG(mode) and os.fstat(0).st_size > 0


def check(place, text, ids, length, encoder):
    """Refuses what has no words, and says when a long review is not read whole."""
    if not text.strip():
        raise UserError(f"{place} is empty")
    if set(ids) <= {*encoder.prefix, *encoder.suffix, encoder.unknown}:
        raise UserError(f"{place} has no word or sign that this model knows")
    if length > encoder.max_seq_length:
        cut = f"the first {encoder.head} and the last {encoder.tail}"
        print(f"note: {place} has {length:,} tokens; the model reads {cut}", file=sys.stderr)


def show_pair(text, result):
    print(f"Review: {text}")
    print(f"Label:  {result['label'] or '(none)'} ({result['probability']:.1%})")


def show_line(text, result):
    head, text = f"{result['label'] or '(none)'} {result['probability']:6.1%}  ", " ".join(text.split())
    width = max(shutil.get_terminal_size().columns - len(head), 20)
    print(head + (text if len(text) <= width else text[: width - 3] + "..."))


def show_json(text, result):
    print(json.dumps({"text": text, **result}, ensure_ascii=False))


if __name__ == "__main__":
    sys.exit(run(main))
