"""A task's rows as `datasets.Dataset`s: out of the user's files, the authors' files, or a data set's folder."""

import contextlib
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np

from tfbert.common.errors import UserError, causes
from tfbert.data.cells import class_number, is_blank, label_text, numbers_of, settled, truth
from tfbert.data.columns import PLACE
from tfbert.data.opening import decoded, kind_of, opened
from tfbert.data.parquet_rows import with_names
from tfbert.data.reading import TABLES, no_column, read_published, read_rows, text_in, value_in

LEFT_OUT = 10  # one row in so many may lack its text or label
EXAMPLES = 100  # that a report shows, at most
LABEL_NUMBER = "number of the label"  # a column where texts alone are read


class NoLabels(UserError):
    """No row of a split has a label."""


def read_splits(task, source, settings, notes, texts_only=False):
    """{split: `datasets.Dataset`} from the user's files, the authors' files, or the data set in the source's folder.

    notes: takes what was guessed; texts_only: the same rows without their labels, which need not be there.
    """
    if settings.train_file:
        files = {"train": settings.train_file, "validation": settings.validation_file, "test": settings.test_file}
        columns = task.columns
        tables = {
            split: (path, partial(read_rows, path, f"--{split}_file", columns, settings.quoting, notes))
            for split, path in files.items()
            if path
        }
    elif settings.data_dir:
        paths = {split: Path(source.folder, name) for split, name in task.files.items()}
        tables = {split: (path, partial(published_rows, path, task)) for split, path in paths.items()}
    elif task.is_own:
        tables = tables_of_folder(task, source, settings, notes)
        return labelled_splits(tables, task, notes, texts_only)
    else:
        return load_folder(source)
    return {split: read_split(rows, task, place, notes, texts_only) for split, (place, rows) in tables.items()}


def read_split(rows, task, place, notes, texts_only):
    """A `datasets.Dataset`. rows: a function that gives the (place, row)s."""
    try:
        return dataset_of(rows(), task, place, notes, texts_only)
    except NoLabels:
        if not texts_only:
            raise
        return dataset_of(rows(), replace(task, label_columns=()), place, notes, texts_only)


def labelled_splits(tables, task, notes, texts_only):
    """{split: `datasets.Dataset`}; a split to test on whose labels are kept secret is left aside."""
    if "train" not in tables:
        names = ", ".join(map(str, tables))
        raise UserError(f"--dataset_name has the splits {names}, but no train split")
    place, rows = tables["train"]
    bare = replace(task, label_columns=())
    try:
        found = {"train": dataset_of(rows(), task, place, notes, texts_only)}
    except NoLabels:
        if not texts_only:
            raise
        task, found = bare, {"train": dataset_of(rows(), bare, place, notes, texts_only)}
    for split in sorted({"validation", "test"} & set(tables)):
        place, rows = tables[split]
        try:
            part = dataset_of(rows(), task, place, notes, texts_only)
        except NoLabels:
            part = None
        if (
            part is None
            or not texts_only
            and names_in_column(part, task) == {"-1"} != names_in_column(found["train"], task)
        ):
            notes.append(f"the {split} split has no labels: it is left aside")
        else:
            found[split] = part
    if texts_only and "unsupervised" in tables:
        place, rows = tables["unsupervised"]
        found["unsupervised"] = dataset_of(rows(), bare, place, notes, texts_only)
    return found


def names_in_column(dataset, task):
    """The different labels of a split, where they are names or numbers in one column."""
    labels = dataset[task.label_columns[0]][:]
    return set(labels) if isinstance(labels[0], str) else set()


def tables_of_folder(task, source, settings, notes):
    """{split: (place, a function that gives its (place, row)s)} of a folder.

    `datasets` says which file is of which split. It reads those whose types are known; the others are read as
    --train_file is, as it takes NULL for a lack and 007 for 7.
    """
    from datasets import load_dataset_builder

    with trouble_named(source):
        builder = load_dataset_builder(source.folder)
    files = {str(split): list(map(str, paths)) for split, paths in (builder.config.data_files or {}).items()}
    kinds = {kind_of(path) for paths in files.values() for path in paths}
    if builder.info.features is None and kinds and kinds <= set(TABLES) - {".parquet"}:
        columns = task.columns

        def rows_of_files(paths):
            each = (read_rows(path, "--dataset_name", columns, settings.quoting, notes) for path in paths)
            return chain.from_iterable(each)

        return {split: (f"data set {source.name}, {split}", partial(rows_of_files, paths))
                for split, paths in files.items()}  # fmt: skip
    data = load_folder(source)
    places = {str(split): f"data set {source.name}, {split}" for split in data}
    return {split: (place, partial(rows_of, data[split], task, place)) for split, place in places.items()}


@contextlib.contextmanager
def trouble_named(source):
    from datasets import disable_progress_bars

    disable_progress_bars()
    try:
        yield
    except Exception as error:  # the builders raise errors of many libraries
        raise UserError(f"cannot read the data set {source.name}: {str([*causes(error)][-1])[:300]}") from error


def load_folder(source, **settings):
    """What `datasets` makes of a source's folder. settings: as load_dataset's."""
    from datasets import load_dataset

    with trouble_named(source):
        return load_dataset(source.folder, verification_mode="no_checks", **settings)


def read_unsupervised(task, source, settings, notes):
    """The texts without labels that a folder holds beside its splits, as {"unsupervised": dataset}, or {}.

    `datasets` takes a file for a split by the names train, validation and test alone.
    """
    task = replace(task, label_columns=())
    if settings.unlabelled_file:
        task, path = replace(task, group_column=None), settings.unlabelled_file
        rows = read_rows(path, "--unlabelled_file", task.columns, settings.quoting, notes)
        return {"unsupervised": dataset_of(rows, task, path, notes)}
    if settings.train_file:
        return {}
    if settings.data_dir:
        folder = Path(source.folder, task.unsupervised)
        return {"unsupervised": dataset_of(texts_of(folder), task, folder, notes)} if task.unsupervised else {}
    files = [path.name for path in Path(source.folder).glob("unsupervised.*")]
    return load_folder(source, data_files={"unsupervised": files}) if files else {}


def read_examples(path, label_names, notes):
    """What --example_file holds, [(text, label)].

    Raises UserError where a label is not one of label_names, and where there is no text to show, or more than EXAMPLES.
    """
    found = []
    for place, row in read_rows(path, "--example_file", ["text", "label"], "auto", notes):
        text, label = text_in(row, "text", place), str(value_in(row, "label", place)).strip()
        if label not in label_names:
            raise UserError(f"{place}: the label {label!r} is not one of {', '.join(label_names)[:200]}")
        if text.strip():
            found.append((text, label))
        if len(found) > EXAMPLES:
            raise UserError(f"{place}: a report shows {EXAMPLES} texts at most: give --example_file fewer")
    if not found:
        raise UserError(f"--example_file {path} holds no text to show")
    return found


def rows_of(dataset, task, place):
    """Yields (place, row) of a `datasets.Dataset`, with names in place of class numbers."""
    if set(task.columns) <= set(dataset.column_names):
        dataset = dataset.select_columns(task.columns)
    classes = {column: getattr(feature, "feature", feature) for column, feature in dataset.features.items()}
    names = {column: feature.names for column, feature in classes.items() if hasattr(feature, "names")}
    for number, row in enumerate(dataset, 1):
        yield f"{place}, row {number}", with_names(row, names)


def published_rows(path, task):
    """Yields (place, row) of a file of --data_dir, or of a folder of texts, one a file, parted by label."""
    if not path.is_dir():
        yield from islice(read_published(path, task.header), task.first_rows)
        return
    for number, name in enumerate(task.label_names):
        for place, row in texts_of(Path(path, name)):
            yield place, row | {"label": number}


def texts_of(folder):
    """Yields (place, row) of a folder of texts, one a file."""
    paths = sorted(folder.glob("*.txt"))
    if not paths:
        raise UserError(f"--data_dir: {folder} holds no .txt files")
    for path in paths:
        with opened(path, "--data_dir") as file:
            yield str(path), {"text": "".join(line for _, line in decoded(file, path, []))}


def dataset_of(rows, task, path, notes, texts_only=False):
    """A `datasets.Dataset` of (place, row)s with the task's columns; a few rows without text or label are left out.

    Raises NoLabels where no row has a label, UserError where a column is missing or many rows lack something.
    """
    from datasets import Dataset, Features, Value

    places, texts, cells, groups = [], [], [], []
    *flags, label_flag = ("--text_column", "--text_pair_column", "--label_column") if task.is_own else (None,) * 3
    for place, row in rows:
        texts.append([text_in(row, column, place, flag) for column, flag in zip(task.text_columns, flags)])
        if not places and task.label_columns and not set(task.label_columns) & set(row):
            raise NoLabels(no_column(row, task.label_columns[0], place, label_flag))
        cells.append([row.get(name) if texts_only else value_in(row, name, place, label_flag)
                      for name in task.label_columns])  # fmt: skip
        if task.group_column:
            value = value_in(row, task.group_column, place, "--group_column")
            groups.append(label_text(value, task.group_column, place) or place)  # without a value: a group of its own
        places.append(place)
    if not places:
        raise UserError(f"{path} has no rows")
    lacking = [any(map(is_blank, row)) and not task.label_separator for row in cells]
    if all(lacking) and task.label_columns:
        raise NoLabels(f"{path}: no row has a label in {', '.join(task.label_columns)}")
    if texts_only and sum(lacking) * LEFT_OUT > len(places):
        lacking = [False] * len(places)
    kept = without_gaps(texts, lacking, places, path, notes)
    places = [places[row] for row in kept]
    columns = dict(zip(task.text_columns, zip(*(texts[row] for row in kept))))
    columns = {name: (list(column), Value("string")) for name, column in columns.items()}
    if texts_only and task.label_columns:
        columns[LABEL_NUMBER] = numbers_of_labels([cells[row] for row in kept], places, task), Value("int64")
    elif not texts_only:
        table = zip(*(cells[row] for row in kept))
        columns |= {name: labels_of(column, places, name, task, notes)
                    for name, column in zip(task.label_columns, table)}  # fmt: skip
        columns.setdefault(PLACE, (places, Value("string")))  # a user's column of that name comes first
    if groups:
        columns[task.group_column] = [groups[row] for row in kept], Value("string")
    features = Features({name: kind for name, (_, kind) in columns.items()})
    return Dataset.from_dict({name: column for name, (column, _) in columns.items()}, features)


def numbers_of_labels(cells, places, task):
    """A number for each row, the same for the same label, where each has one, else zeros: for what parts the texts."""
    try:
        found, _ = labels_of([cell for (cell,) in cells], places, task.label_columns[0], task, [])
    except (UserError, ValueError):  # ValueError: several columns
        return [0] * len(cells)
    one_each = not isinstance(found[0], (list, tuple))
    return np.unique(list(map(str, found)), return_inverse=True)[1].tolist() if one_each else [0] * len(cells)


def without_gaps(texts, lacking, places, path, notes):
    """The numbers of the rows that have texts and labels; UserError where more than one in LEFT_OUT has not."""
    gaps = {row for row, each in enumerate(texts) if lacking[row] or not all(text.strip() for text in each)}
    first = "; ".join(str(places[row]).removeprefix(f"{path}, ") for row in sorted(gaps)[:3])
    if len(gaps) * LEFT_OUT > len(places):
        raise UserError(f"{path}: {len(gaps):,} of {len(places):,} rows have no text or no label, first {first}: "
                        "drop or fill them")  # fmt: skip
    if gaps:
        notes.append(f"{path}: {len(gaps):,} of {len(places):,} rows have no text or no label and are left out: {first}"
                     + " and so on" * (len(gaps) > 3))  # fmt: skip
    return [row for row in range(len(places)) if row not in gaps]


def labels_of(cells, places, column, task, notes):
    """(the labels of a column, their type) as `datasets` takes them."""
    from datasets import ClassLabel, List, Value

    if len(task.label_columns) > 1:
        return [truth(value, column, place) for value, place in zip(cells, places)], Value("float64")
    if task.label_names:
        count = len(task.label_names)
        return [class_number(value, column, place, count) for value, place in zip(cells, places)], Value("int64")
    labels = settled(cells, places, column, task.label_separator, notes)
    several = isinstance(labels[0], list)
    if numbers := numbers_of(labels, column, task.place_names, notes):
        labels, names = numbers
        return labels, List(ClassLabel(names=names)) if several else ClassLabel(names=names)
    return labels, List(Value("string")) if several else Value("string")
