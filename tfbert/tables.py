"""A task's rows as `datasets.Dataset`s: out of the user's files, the authors' files, or a data set's folder."""

from itertools import islice
from pathlib import Path

from tfbert.errors import UserError, causes
from tfbert.reading import decoded, opened, read_published, read_rows, text_in

TRUE, FALSE = {"1", "true", "1.0"}, {"0", "false", "0.0"}


def read_splits(task, source, settings):
    """{split: `datasets.Dataset`} from the user's files, the authors' files, or the data set in the source's folder."""
    if settings.train_file:
        files = {"train": settings.train_file, "validation": settings.validation_file, "test": settings.test_file}
        return {
            split: dataset_of(read_rows(path, f"--{split}_file"), task, path) for split, path in files.items() if path
        }
    if settings.data_dir:
        paths = {split: Path(source.folder, name) for split, name in task.files.items()}
        return {split: dataset_of(published_rows(path, task), task, path) for split, path in paths.items()}
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    try:
        return load_dataset(source.folder, verification_mode="no_checks")
    except Exception as error:  # the builders raise errors of many libraries
        raise UserError(f"cannot read the data set {source.name}: {str([*causes(error)][-1])[:300]}") from error


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
    missing = []
    for place, row in rows:
        texts = [text_in(row, column, place) for column in task.text_columns]
        labels = [label_in(row, column, place, task) for column in task.label_columns]
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


def label_in(row, column, place, task):
    """A label as text, or a class number where the task names the classes, or a list; None where it is missing."""
    if column not in row:
        raise UserError(f"{place}: no column {column!r}, but {', '.join(map(str, row))}; see --label_column")
    value = row[column]
    if isinstance(value, list):
        return [str(each) for each in value]
    if task.label_separator and isinstance(value, str):
        return [part.strip() for part in value.split(task.label_separator) if part.strip()]
    if value is None or value == "":
        return None
    text = str(value).strip()
    if len(task.label_columns) > 1:
        if text.lower() not in TRUE | FALSE:
            raise UserError(f"{place}: {column} is {text[:40]!r}, but with several label columns each holds 0 or 1")
        return float(text.lower() in TRUE)
    return int(text) if task.label_names and text.isdigit() else text
