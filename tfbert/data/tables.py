"""A task's rows as `datasets.Dataset`s: out of the user's files, the authors' files, or a data set's folder."""

from datetime import date
from itertools import islice
from numbers import Number
from pathlib import Path

from tfbert.common.errors import UserError, causes
from tfbert.data.reading import decoded, opened, read_published, read_rows, text_in, value_in, with_names

TRUE, FALSE = {"1", "true", "1.0"}, {"0", "false", "0.0"}


def read_splits(task, source, settings):
    """{split: `datasets.Dataset`} from the user's files, the authors' files, or the data set in the source's folder."""
    if settings.train_file:
        files = {"train": settings.train_file, "validation": settings.validation_file, "test": settings.test_file}
        return {
            split: dataset_of(read_rows(Path(path).expanduser(), f"--{split}_file"), task, path)
            for split, path in files.items()
            if path
        }
    if settings.data_dir:
        paths = {split: Path(source.folder, name) for split, name in task.files.items()}
        return {split: dataset_of(published_rows(path, task), task, path) for split, path in paths.items()}
    data = load_folder(source)
    if not task.is_own:
        return data
    wanted = [split for split in data if split in ("train", "validation", "test") or not task.label_columns]
    places = {split: f"data set {source.name}, {split}" for split in wanted}
    return {split: dataset_of(rows_of(data[split], task, places[split]), task, places[split]) for split in wanted}


def load_folder(source, **settings):
    """What `datasets` makes of a source's folder. settings: as load_dataset's."""
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    try:
        return load_dataset(source.folder, verification_mode="no_checks", **settings)
    except Exception as error:  # the builders raise errors of many libraries
        raise UserError(f"cannot read the data set {source.name}: {str([*causes(error)][-1])[:300]}") from error


def read_unsupervised(task, source, settings):
    """The texts without labels that a folder holds beside its splits, as {"unsupervised": dataset}, or {}.

    `datasets` takes a file for a split by the names train, validation and test alone.
    """
    if settings.train_file:
        return {}
    if settings.data_dir:
        folder = Path(source.folder, task.unsupervised)
        return {"unsupervised": dataset_of(texts_of(folder), task, folder)} if task.unsupervised else {}
    files = [path.name for path in Path(source.folder).glob("unsupervised.*")]
    return load_folder(source, data_files={"unsupervised": files}) if files else {}


def rows_of(dataset, task, place):
    """Yields (place, row) of a `datasets.Dataset`, with names in place of class numbers."""
    wanted = [*task.text_columns, *task.label_columns]
    if set(wanted) <= set(dataset.column_names):
        dataset = dataset.select_columns(wanted)
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
            yield str(path), {"text": "".join(line for _, line in decoded(file, path))}


def dataset_of(rows, task, path):
    """A `datasets.Dataset` of (place, row)s with the task's columns. Raises UserError where one is missing."""
    from datasets import Dataset

    columns = {name: [] for name in (*task.text_columns, *task.label_columns)}
    missing, own = [], task.is_own
    *flags, label_flag = ("--text_column", "--text_pair_column", "--label_column") if own else (None, None, None)
    for place, row in rows:
        texts = [text_in(row, column, place, flag) for column, flag in zip(task.text_columns, flags)]
        labels = [label_in(row, column, place, task, label_flag) for column in task.label_columns]
        if None in labels or not all(text.strip() for text in texts):
            missing.append(place)
        for values, value in zip(columns.values(), texts + labels):
            values.append(value)
    if missing:
        raise UserError(f"{len(missing)} rows have no text or no label, first {missing[0]}: drop or fill them")
    if not any(columns.values()):
        raise UserError(f"{path} has no rows")
    try:
        return Dataset.from_dict(columns)
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: labels of different kinds in one column ({str(error)[:100]})") from error


def label_in(row, column, place, task, flag=None):
    """A label as text, or a class number where the task names the classes, or a list; None where it is missing."""
    value, several = value_in(row, column, place, flag), len(task.label_columns) > 1
    if isinstance(value, list) and not several:
        return [text for each in value if (text := label_text(each, column, place))]
    text = label_text(value, column, place)
    if task.label_separator:  # an empty cell has no labels, which is no lack of one
        return [part.strip() for part in (text or "").split(task.label_separator) if part.strip()]
    if not text:
        return None
    if several:
        if text.lower() not in TRUE | FALSE:
            raise UserError(f"{place}: {column} is {text[:40]!r}, but with several label columns each holds 0 or 1")
        return float(text.lower() in TRUE)
    if task.label_names:
        if not text.isdecimal() or int(text) >= len(task.label_names):
            raise UserError(f"{place}: the label is {text[:40]!r}, not one of 0 to {len(task.label_names) - 1}")
        return int(text)
    return text


def label_text(value, column, place):
    """A label as text, "" where it is blank, None where there is none."""
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if not isinstance(value, (str, Number, date)):
        raise UserError(f"{place}: {column} is {str(value)[:40]!r}, not a label")
    return str(value).strip()
