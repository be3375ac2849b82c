"""Labels text with the model that train.py saved.

usage: python infer.py "a text" "another text"
       python infer.py --file texts.txt
       cat texts.txt | python infer.py
       python infer.py --explain "a text"
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy multiplies nothing here; its threads take 40 ms to start

import contextlib
import stat
import sys
from dataclasses import dataclass

from tfbert.common.console import note, say
from tfbert.common.errors import UserError, run
from tfbert.common.files import write_text
from tfbert.common.settings import changed, option, parse
from tfbert.common.systems import comes_within
from tfbert.common.text import counted, is_utf8
from tfbert.data.delimited import QUOTINGS
from tfbert.data.opening import kind_of
from tfbert.data.reading import read_lines, read_texts
from tfbert.inference.big_jobs import labelling_job, place_of
from tfbert.inference.chunks import Labeller, answers
from tfbert.inference.explaining import explanation
from tfbert.inference.labelled import KINDS, check_target
from tfbert.inference.predicting import Predictor
from tfbert.inference.showing import is_unsure, page_of, show_json, show_line, show_whole

BARE = 4  # words without blanks, from which on a text was probably not quoted
PATIENCE = 10  # seconds until a silent pipe is no input


@dataclass
class InferSettings:
    """Label text with the model that train.py saved. Without any text: an example."""

    EXAMPLES = (
        'python infer.py "One review." "Another one."',
        "python infer.py --model_dir mine --file reviews.csv --text_column review --json",
        'python infer.py --explain "The plot is dull, the music is not."',
    )

    model_dir: str = option("output", "the folder that train.py wrote")
    file: str | None = option(
        None, "texts in a .txt (one a line), .csv, .tsv, .jsonl, .json or .parquet file, also .gz; - for standard input"
    )
    text_column: str = option("text", "the column or key of --file that holds the texts")
    text_pair_column: str = option("text_pair", "for a model of pairs: the column of the second texts")
    quoting: str = option(
        "auto", "of --file in .csv or .tsv: as train.py --quoting, decided from the whole file", choices=QUOTINGS
    )
    threshold: float | None = option(
        None, "where several labels may hold: for all labels, in place of those that training fitted", above=0, below=1
    )
    batch_size: int = option(32, "texts in one batch", at_least=1, at_most=65536)
    quantize: bool = option(False, "compute in int8: faster, a little less exact")
    explain: bool = option(False, "show which words speak for the label, and which against it, in log-odds")
    html: str | None = option(None, "the same as a page, with the words in colours, in this file")
    output: str | None = option(
        None,
        "a .csv, .tsv, .jsonl or .parquet file: what --file has, with the columns label and probability; the same "
        "command continues a run that was killed",
    )
    shard: str | None = option(
        None, "such as 3/8: label the third of eight parts of --file, for several machines; --output names its own file"
    )
    json: bool = option(False, "print a JSON object a line, with every label's probability")


def main(argv=None):
    settings, texts = parse(InferSettings, argv, positional=("text", "texts to label; - for standard input"))
    if texts and settings.file:
        raise UserError("give texts as arguments or in --file, not both")
    explains = settings.explain or settings.html
    predictor = Predictor(settings.model_dir, settings.quantize, brief=bool(texts) and not explains)
    if settings.threshold and not predictor.multi_label:
        raise UserError(f"--threshold: the model in {settings.model_dir} gives one label to each text")
    if settings.threshold:
        predictor.thresholds[:] = settings.threshold
    if settings.output:
        check_target("--output", settings.output, KINDS, settings.file)
    if settings.html:
        check_target("--html", settings.html, (".html", ".htm"), settings.file, settings.output)
    if settings.shard and not (settings.output and settings.file not in (None, "-")):
        raise UserError("--shard is a part of --file, with --output for its own labels: give both")
    if settings.shard:
        place_of(settings.shard)
        if os.path.exists(settings.output):
            raise UserError(f"--output {settings.output} is there already, perhaps from another part: name another, or "
                            "delete it")  # fmt: skip
    if settings.output and (settings.explain or settings.json):
        raise UserError("--output writes labels alone: leave --explain and --json out")
    notes, explained = [], []
    rows, several = choose_input(texts, settings, predictor, notes)
    show = show_json if settings.json else show_line if several and not explains else show_whole
    label, add = Labeller(predictor, settings.batch_size, several), None
    texts_read = labelled = unsure = 0
    with contextlib.ExitStack() as stack:
        if settings.output:
            again = rows_of_file(settings, predictor, []) if settings.file not in (None, "-") else None
            rows, label, add = stack.enter_context(labelling_job(settings, rows, label, again))
        for place, parts, row, result in answers(rows, label, notes):
            if explains and result["probability"] is not None:
                result["explanation"] = explanation(predictor, parts, result)
                explained.append((parts, result))
            if add:
                add(place, row, parts, result)
            else:
                show(parts, result, predictor.multi_label)
                unsure += show is show_line and is_unsure(result, predictor.multi_label)
            texts_read += 1
            labelled += result["probability"] is not None
        if not texts_read and add:
            raise UserError(f"there are no texts: {settings.output} is not written")
    if not texts_read:
        note("there are no texts")
    if unsure:
        note(f"? marks what is unsure, {unsure:,} of {counted(texts_read, 'texts')}")
    if settings.output:
        of_all = f"{labelled:,} of " * (labelled < texts_read)
        say("Labelled", f"{of_all}{counted(texts_read, 'texts')}: {settings.output}")
    if settings.html:
        write_text(settings.html, page_of(explained))
        note(f"{settings.html} shows the words in colours")


def choose_input(texts, settings, predictor, notes):
    """The (place, texts, row)s to label, one text each or two, and whether they may be many. notes: takes guesses."""
    pair, parts = predictor.pair, 2 if predictor.pair else 1
    if "-" in texts and len(texts) > 1:
        raise UserError("- is standard input: give it alone, without other texts")
    if "-" in (settings.file, *texts) or not (texts or settings.file) and something_is_piped(settings):
        if sys.stdin is None:
            raise UserError("standard input is closed")
        must_be_table(settings, "standard input is one text a line: name a table in --file")
        return read_lines(sys.stdin.buffer, "standard input", parts, notes), True
    if settings.file:
        if kind_of(settings.file) == ".txt":
            must_be_table(settings, f"{settings.file} is one text a line, without columns: leave it out")
        if not pair and changed(settings, ["text_pair_column"]):
            raise UserError(f"--text_pair_column: the model in {settings.model_dir} labels single texts")
        return rows_of_file(settings, predictor, notes), True
    for number, text in enumerate(texts, 1):
        if not is_utf8(text):
            raise UserError(f"text {number} is not UTF-8 text")
    if pair and (not texts or len(texts) % 2):
        raise UserError("this model labels pairs of texts: give two arguments for each")
    for text in texts:
        if len(text) < 256 and os.path.isfile(text):
            raise UserError(f"{text} is a file: did you mean --file {text}?")
    if len(texts) >= BARE and not any(" " in text for text in texts):
        note(f"{len(texts)} texts of one word each: quotation marks hold a text together")
    texts = texts or [predictor.example]
    groups = [tuple(texts[start : start + parts]) for start in range(0, len(texts), parts)]
    return ((f"text {number}", group, {}) for number, group in enumerate(groups, 1)), len(groups) > 1


def must_be_table(settings, otherwise):
    """Refuses settings of tables where texts do not come in one."""
    for name in changed(settings, ("text_column", "text_pair_column", "quoting")):
        raise UserError(f"--{name}: {otherwise}")


def rows_of_file(settings, predictor, notes):
    pair_column = settings.text_pair_column if predictor.pair else None
    return read_texts(settings.file, settings.text_column, pair_column, settings.quoting, notes)


def something_is_piped(settings):
    """Whether standard input is a file or a pipe to read; a pipe has some seconds to show it.

    Raises UserError where a silent pipe would make a program read the example.
    """
    if sys.stdin is None or sys.stdin.closed:
        return False
    try:
        mode = os.fstat(0).st_mode
    except OSError:  # a shell in a window of Python's own
        return False
    if not stat.S_ISFIFO(mode):
        return stat.S_ISREG(mode)
    if not (comes_within(1) or waits_for(PATIENCE)):
        if settings.json:
            raise UserError(f"nothing came from standard input in {PATIENCE} s: give a text, or - to wait longer")
        note("nothing came, so here is the example; - would wait longer")
        return False
    if sys.stdin.buffer.peek(1) or settings.json:
        return True
    note("standard input is empty, so here is the example")
    return False


def waits_for(seconds):
    note(f"waiting {seconds} s for standard input; a text as an argument needs none")
    return comes_within(seconds)


if __name__ == "__main__":
    sys.exit(run(main))
