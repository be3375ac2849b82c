"""A task's rows as `datasets.Dataset`s: out of the user's files, the authors' files, or a data set's folder."""

from datetime import date
from itertools import islice
from numbers import Number
from pathlib import Path

from tfbert.errors import UserError, causes
from tfbert.reading import decoded, opened, read_published, read_rows, text_in, value_in, with_names

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
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    try:
        data = load_dataset(source.folder, verification_mode="no_checks")
    except Exception as error:  # the builders raise errors of many libraries
        raise UserError(f"cannot read the data set {source.name}: {str([*causes(error)][-1])[:300]}") from error
    if task.name != "own":
        return data
    wanted = [split for split in data if split in ("train", "validation", "test") or not task.label_columns]
    places = {split: f"data set {source.name}, {split}" for split in wanted}
    return {split: dataset_of(rows_of(data[split], task, places[split]), task, places[split]) for split in wanted}


def rows_of(dataset, task, place):
    """Yields (place, row) of a `datasets.Dataset`, with names in place of class numbers."""
    wanted = [*task.text_columns, *task.label_columns]
    if set(wanted) <= set(dataset.column_names):
        dataset = dataset.select_columns(wanted)
    names = {column: feature.names for column, feature in dataset.features.items() if hasattr(feature, "names")}
    for number, row in enumerate(dataset, 1):
        yield f"{place}, row {number}", with_names(row, names)


def published_rows(path, task):
    """Yields (place, row) of a file of --data_dir, or of a folder of texts, one a file, parted by label."""
    if not path.is_dir():
        yield from islice(read_published(path, task.header), task.first_rows)
        return
    for number, name in enumerate(task.label_names):
        files = sorted(Path(path, name).glob("*.txt"))
        if not files:
            raise UserError(f"--data_dir: {Path(path, name)} holds no .txt files")
        for text_path in files:
            with opened(text_path, "--data_dir") as file:
                yield str(text_path), {"text": "".join(line for _, line in decoded(file, text_path)), "label": number}


def dataset_of(rows, task, path):
    """A `datasets.Dataset` of (place, row)s with the task's columns. Raises UserError where one is missing."""
    from datasets import Dataset

    columns = {name: [] for name in (*task.text_columns, *task.label_columns)}
    missing, own = [], task.name == "own"
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
