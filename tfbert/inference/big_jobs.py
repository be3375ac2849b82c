"""A file of any size labelled into another one: in flat memory, gone on with after a kill, whole or one part of it."""

import contextlib
import re
from itertools import islice

from tfbert import __version__
from tfbert.common.console import note
from tfbert.common.errors import UserError
from tfbert.common.locks import sole_run
from tfbert.common.timing import Progress
from tfbert.data.opening import kind_of
from tfbert.data.parquet_rows import types_in
from tfbert.data.reading import sign_in
from tfbert.inference.chunks import chunks_of, is_full, signs_of
from tfbert.inference.journal import hash_of_model, journal_of
from tfbert.inference.labelled import labelled_file, named
from tfbert.inference.parquet_file import ColumnTypes


@contextlib.contextmanager
def labelling_job(settings, rows, label, again=None):
    """Yields what chunks.answers takes, rows and a function that labels them, and then what labelled_file yields.

    settings: those of infer.py; label: a Labeller; again: rows anew, where they can be read twice. Then all are read
    before the first is labelled: a row that cannot be read, or a column that others lack, is known at the beginning,
    not after hours. Raises UserError where another process writes the same output.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(sole_run(settings.output, note, "--output"))
        count, columns = None, dict.fromkeys(named(["", ""] if label.predictor.pair else [""]), "string")
        if again is not None:
            count, columns = survey(again, settings)
            rows = of_number(rows, count, settings.file)
        if settings.shard:
            start, end = bounds(settings.shard, count)
            rows, count = islice(rows, start, end), end - start
        answered = label
        if not settings.html:  # which needs more than the journal keeps
            journal = stack.enter_context(journal_of(settings.output, lambda: what_answers_depend_on(settings, label)))
            answered = remembered(label, journal, stack.enter_context(Progress("labelling", count)))
        sign = sign_in(settings.file, [settings.text_column]) if again is not None else ","
        yield rows, answered, stack.enter_context(labelled_file(settings.output, columns, sign))


def survey(rows, settings):
    """How many (place, texts, row)s there are, and {column: type} of all; types where --output is Parquet."""
    count, typed = 0, kind_of(settings.output) == ".parquet"
    types = ColumnTypes(types_in(settings.file) if typed and kind_of(settings.file) == ".parquet" else {})
    with Progress("reading") as progress:
        for chunk in chunks_of(rows):
            chunk = [row or named(texts) for _, texts, row in chunk]
            if typed:
                types.see(chunk)
            else:
                types.found.update(dict.fromkeys(name for row in chunk for name in row))
            count += len(chunk)
            progress.done(len(chunk))
    if typed and (texts := [name for name, kind in types.found.items() if kind is None]):
        note(f"{settings.file}: values of several kinds in {', '.join(texts)[:200]}: JSON text in {settings.output}")
    return count, types.found


def of_number(rows, count, path):
    """`rows`, and UserError at their end where they are not as many as at the first reading."""
    there = 0
    for row in rows:
        there += 1
        yield row
    if there != count:
        raise UserError(f"{path} had {count:,} rows at the first reading, and then {there:,}: leave it as it is until "
                        "it is labelled")  # fmt: skip


def remembered(label, journal, progress):
    """The function `label`, but for chunks that the journal knows; it takes in the others, and progress counts all."""

    def answered(places, texts):
        results = journal.recall(places, texts)
        if results is not None:
            progress.skip(len(texts))
            return results
        results = label(places, texts)
        if is_full(len(texts), sum(map(signs_of, texts))):  # else it is the last, or ends at a row that is to be mended
            journal.add(texts, results)
        progress.done(len(texts))
        return results

    return answered


def what_answers_depend_on(settings, label):
    return {
        "model": hash_of_model(settings.model_dir),
        "version of tfbert": __version__,
        "--quantize": settings.quantize,
        "--batch_size": settings.batch_size,  # the last digits of probabilities
        "--threshold": label.predictor.thresholds.tolist(),
    }


def place_of(shard):
    """(2, 8) of "3/8". Raises UserError where it is no part of a whole."""
    found = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", shard)
    if not found or int(found[1]) > int(found[2]):
        raise UserError(f"--shard {shard}: give the part and how many there are, such as 3/8 for the third of eight")
    return int(found[1]) - 1, int(found[2])


def bounds(shard, count):
    """The first row of a part, and the one after its last: parts follow one another, and differ by one row at most."""
    place, parts = place_of(shard)
    start, end = count * place // parts, count * (place + 1) // parts
    if start == end:
        raise UserError(f"--shard {shard}: the file has {count} rows, too few for so many parts")
    return start, end
