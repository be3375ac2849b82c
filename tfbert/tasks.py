"""What is learnt: data set, columns, labels, problem type, metric."""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from tfbert.errors import UserError, causes
from tfbert.settings import nearest


@dataclass(frozen=True)
class Task:
    """One row of the table below."""

    name: str
    title: str
    dataset_name: str
    text_column: str = "text"
    label_column: str = "label"
    label_names: dict = field(default_factory=dict)  # the data's names -> the names that users read
    problem_type: str = "single_label_classification"
    metric: str = "accuracy"
    published: tuple = ()  # what others reached: (model and recipe, accuracy, source)


TASKS = {
    "imdb": Task(
        name="imdb",
        title="sentiment of movie reviews",
        dataset_name="stanfordnlp/imdb",
        label_names={"neg": "negative", "pos": "positive"},
        published=(
            ("bert-base-uncased, 512 tokens, head+tail", 0.9458, "Sun et al. 2019, arXiv:1905.05583, table 2"),
            ("the same after masked language modelling on IMDb", 0.9563, "Sun et al. 2019, BERT-ITPT-FiT"),
            ("distilbert-base-uncased", 0.9282, "Sanh et al. 2019, arXiv:1910.01108, table 2"),
        ),
    ),
}


def find_task(name):
    """The Task of that name. Raises UserError with the nearest name where there is none."""
    if name not in TASKS:
        raise UserError(f"--task_name {name}: must be one of {', '.join(TASKS)}{nearest(name, TASKS)}")
    return TASKS[name]


@dataclass
class Splits:
    """Three `datasets.Dataset`s with the columns text (str) and label (int), and the labels' names."""

    train: object
    validation: object
    test: object
    label_names: list[str]


def load_splits(task, source, settings):
    """The task's splits from the folder of `source`; validation is held out of train.

    A sample depends on its texts and the seed alone, not on the order of the rows: the same reviews are drawn
    whichever source they come from. settings: those called *_samples, and the seed. Raises UserError where splits,
    columns or labels do not fit.
    """
    data = read_splits(source)
    check_columns(data, ["train", "test"], [task.text_column, task.label_column], source)
    train = normalised(data["train"], task, source)
    test = normalised(data["test"], task, source)
    label_names = names_of(train, task, source)
    check_labels(train, label_names, f"the training texts of {source.name}")
    check_labels(test, label_names, f"the test texts of {source.name}")

    drawn, held_out = hold_out(train, settings)
    splits = Splits(
        train=drawn,
        validation=held_out,
        test=test.select(drawn_order(test, settings.seed)[: settings.max_eval_samples]),
        label_names=label_names,
    )
    check_labels(splits.train, label_names, "--max_train_samples: the training texts drawn")
    check_labels(splits.test, label_names, "--max_eval_samples: the test texts drawn")
    return splits


def load_texts(task, source, settings):
    """What masked language modelling learns from, and what is held out: two `datasets.Dataset`s with a column text.

    The reviews held out of train are those that load_splits holds out with the same settings; test is not touched.
    """
    from datasets import concatenate_datasets

    data = read_splits(source)
    wanted = ["train", "unsupervised"] if settings.unsupervised else ["train"]
    check_columns(data, wanted, [task.text_column], source)
    train, *more = [renamed(data[split], {task.text_column: "text"}) for split in wanted]
    check_text(train, task, source)
    train, held_out = hold_out(train, settings)
    return concatenate_datasets([train, *more]), held_out


def read_splits(source):
    """The `datasets.DatasetDict` in the folder of `source`."""
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    try:
        return load_dataset(source.folder, verification_mode="no_checks")
    except Exception as error:  # the builders raise errors of many libraries
        raise UserError(f"cannot read the data set {source.name}: {str([*causes(error)][-1])[:300]}") from error


def check_columns(data, splits, columns, source):
    """Raises UserError where the `datasets.DatasetDict` lacks a split, or a split a column."""
    for split in splits:
        if split not in data:
            raise UserError(f"data set {source.name} has the splits {', '.join(data)}, but no {split} split")
        for column in columns:
            if column not in data[split].column_names:
                known = ", ".join(data[split].column_names)
                raise UserError(f"data set {source.name}: no column {column}; the columns are {known}")


def check_text(dataset, task, source):
    if getattr(dataset.features["text"], "dtype", None) not in ("string", "large_string"):
        raise UserError(f"data set {source.name}: the column {task.text_column} does not hold text")


def renamed(dataset, names):
    """`dataset` with the columns {old name: new name} only."""
    dataset = dataset.select_columns(list(names))
    return dataset.rename_columns({old: new for old, new in names.items() if old != new})


def hold_out(train, settings):
    """Two parts of the training split: the texts to learn from, and those held out."""
    if len(train) < 10:
        raise UserError(f"the training split has {len(train)} texts: at least 10 are needed")
    wanted = min(settings.max_train_samples or len(train), len(train))
    held_out = settings.validation_samples or max(wanted // 25, min(50, len(train) // 5))
    if held_out > len(train) // 2:
        raise UserError(f"--validation_samples {held_out} is more than half of the {len(train)} training texts")
    order = drawn_order(train, settings.seed)
    return train.select(order[held_out : held_out + wanted]), train.select(order[:held_out])


def normalised(dataset, task, source):
    """`dataset` with its two columns named text and label."""
    dataset = renamed(dataset, {task.text_column: "text", task.label_column: "label"})
    check_text(dataset, task, source)
    for column, name in (("text", task.text_column), ("label", task.label_column)):
        if missing := dataset.data.column(column).null_count:
            raise UserError(
                f"data set {source.name}: {missing} of {len(dataset)} rows have no {name}: drop or fill them"
            )
    return dataset


def names_of(dataset, task, source):
    """Label names by class number, as users read them."""
    feature = dataset.features["label"]
    if hasattr(feature, "names"):
        return [task.label_names.get(name, name) for name in feature.names]
    if "int" not in getattr(feature, "dtype", ""):
        raise UserError(f"data set {source.name}: the labels must be class numbers, 0, 1, ...")
    return list(task.label_names.values())


def check_labels(dataset, label_names, where):
    found = set(dataset.unique("label"))
    if not found <= set(range(len(label_names))):
        strange = sorted(found - set(range(len(label_names))), key=str)[0]
        raise UserError(f"{where} have label {strange}, but the labels are 0 to {len(label_names) - 1}")
    if len(found) < 2:
        raise UserError(f"{where} are all {label_names[found.pop()]}: nothing to learn or to test")


def drawn_order(dataset, seed):
    """Row numbers, int64 (N,), in the order of a keyed hash of their texts: random, yet the same from any source."""
    key = str(seed).encode()
    hashes = (
        int.from_bytes(hashlib.blake2b((text or "").encode(), key=key, digest_size=8).digest(), "big")
        for batch in dataset.select_columns("text").iter(batch_size=1000)
        for text in batch["text"]
    )
    return np.argsort(np.fromiter(hashes, np.uint64, len(dataset)), kind="stable")
