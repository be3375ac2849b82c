"""The columns of a data set under our names: text, text_pair, label, group."""

from pathlib import Path

import numpy as np

from tfbert.common.errors import UserError

COLUMNS = ("text", "text_pair")
PLACE = "place of the row"  # file and line


def places_of(dataset):
    """File and line of each row, without folders, a list of str; None where they are not known."""
    return [Path(each).name for each in dataset[PLACE][:]] if PLACE in dataset.column_names else None


def check_columns(data, splits, columns, source):
    """Raises UserError where the data lack a split, or a split a column."""
    for split in splits:
        if split not in data:
            raise UserError(f"data set {source.name} has the splits {', '.join(data)}, but no {split} split")
        for column in columns:
            if column not in data[split].column_names:
                known = ", ".join(data[split].column_names)
                raise UserError(f"data set {source.name}: no column {column}; the columns are {known}")


def check_text(dataset, names, source):
    for column, name in zip(COLUMNS, names):
        if getattr(dataset.features[column], "dtype", None) not in ("string", "large_string"):
            raise UserError(f"data set {source.name}: the column {name} does not hold text")


def columns_of_texts(task):
    """{the task's name: ours} of the columns of texts, and of that of groups, if any."""
    return dict(zip(task.text_columns, COLUMNS)) | ({task.group_column: "group"} if task.group_column else {})


def renamed(dataset, names):
    """`dataset` with the columns {old name: new name} only."""
    dataset = dataset.select_columns(list(names))
    return dataset.rename_columns({old: new for old, new in names.items() if old != new})


def normalised(dataset, task, source):
    """`dataset` with its columns named text, text_pair and label; several label columns become one, of lists."""
    texts = ({PLACE: PLACE} if PLACE in dataset.column_names else {}) | columns_of_texts(task)
    several = len(task.label_columns) > 1
    for name in (*task.text_columns, *task.label_columns):
        if missing := dataset.data.column(name).null_count:
            raise UserError(
                f"data set {source.name}: {missing} of {len(dataset)} rows have no {name}: drop or fill them"
            )
    if several:
        table = np.stack([np.asarray(dataset[name], np.float32) for name in task.label_columns], axis=1)
        dataset = renamed(dataset, texts).add_column("label", list(table))
    else:
        dataset = renamed(dataset, texts | {task.label_columns[0]: "label"})
    check_text(dataset, task.text_columns, source)
    return dataset
