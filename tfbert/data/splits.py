"""A task's texts and labels: read, checked, and parted into train, validation and test."""

import hashlib
from dataclasses import dataclass

import numpy as np

from tfbert.common.errors import UserError
from tfbert.data.columns import COLUMNS, check_columns, check_text, columns_of_texts, normalised, renamed
from tfbert.data.duplicates import Repeats, repeats
from tfbert.data.labels import check_labels, has_lists, names_of, numbered, shares_of_labels
from tfbert.data.tables import LABEL_NUMBER, read_splits, read_unsupervised
from tfbert.data.tasks import MULTI_LABEL, SINGLE_LABEL

SPARED = 10  # texts of a label, below which none is held out for the curves: all are needed to learn from


@dataclass
class Splits:
    """Three `datasets.Dataset`s, the labels' names, and what is to be said of how they came about.

    Columns: text, for pairs text_pair, label, a class number or, where several labels may hold, zeros and ones, and,
    where the task has one, group.
    """

    train: object
    validation: object
    test: object
    label_names: list[str]
    notes: list[str]
    repeats: Repeats  # of the texts to train on and those to test on
    undrawn: int = 0  # texts to train on that --max_train_samples leaves aside

    @property
    def problem_type(self):
        return MULTI_LABEL if np.ndim(self.train[0]["label"]) else SINGLE_LABEL


@dataclass
class Parts:
    """What a task's source has, read and checked, as `datasets.Dataset`s with the columns of Splits."""

    train: object
    test: object  # None where a part of train has to do
    held_out: object  # None without --validation_file
    label_names: list[str]
    notes: list[str]


def read_parts(task, source, settings):
    """The Parts of a task from `source`. Raises UserError where splits, columns or labels do not fit.

    settings: those called *_file, and of how files are read.
    """
    notes = []
    data = read_splits(task, source, settings, notes)
    test_name = name_of_test(task, data, settings)
    wanted = ["train", test_name] if test_name else ["train"]
    check_columns(data, wanted, task.columns, source)
    parts = {name: normalised(data[name], task, source) for name in wanted}
    if settings.validation_file:
        parts["held out"] = normalised(data["validation"], task, source)
    if test_name == "validation" and task.is_own:
        notes.append("tested on the validation split, as there is no test split")
    elif task.is_own and "validation" in data and not settings.validation_file:
        notes.append("the validation split is left aside: the curves are of texts held out of train")
    label_names = names_of(parts["train"], task, source, notes)
    files = {"train": source.name, test_name: settings.test_file, "held out": settings.validation_file}
    origins = {name: f"the {name} texts of {files[name] or source.name}" for name in parts}
    for name, part in parts.items():
        if has_lists(part) != has_lists(parts["train"]):
            raise UserError(f"{origins[name]} and {origins['train']}: in one labels are lists, in the other not")
    parts = {name: numbered(part, label_names, task, origins[name]) for name, part in parts.items()}
    for name in wanted:
        check_labels(parts[name], label_names, origins[name])
    return Parts(parts["train"], parts.get(test_name), parts.get("held out"), label_names, notes)


def load_splits(task, parts, settings):
    """The Splits of a task's Parts; validation is held out of train unless there is a file of it.

    A sample depends on its texts and the seed alone, not on the order of the rows: the same texts are drawn whichever
    source they come from. settings: those called *_samples and *_file, and the seed. Raises UserError where too little
    is left.
    """
    train, test, label_names, notes = parts.train, parts.test, parts.label_names, list(parts.notes)
    if test is None:
        notes.append(f"{task.test_share:.0%} of the {len(train):,} {task.unit}, drawn by --seed, are kept for testing")
        test, train = without_test_split(train, task, settings)
    there = len(train)
    train, held_out = hold_out(train, settings, parts.held_out, task.is_own)
    undrawn = there - len(train) - (0 if parts.held_out else len(held_out))
    test = test.select(drawn_order(test, settings.seed)[: settings.max_eval_samples])
    check_labels(train, label_names, "the texts drawn by --seed to train on")
    check_labels(test, label_names, "the texts drawn by --seed to test on")
    if unseen := [name for name, share in zip(label_names, shares_of_labels(train, label_names)) if not share]:
        notes.append(f"no text to train on has the label {', '.join(unseen)}: it cannot be learnt")
    if task.group_column and (shared := len(set(test["group"]) & set(train["group"]))):
        where = "--test_file" if settings.test_file else "the test split"
        notes.append(f"{shared:,} groups of {task.group_column} stand in train and in {where}")
    test_texts = list(keys_of(test))
    if parts.held_out and (both := len(set(keys_of(held_out)) & set(test_texts))):
        notes.append(
            f"{both:,} {task.unit} stand both in --validation_file and in test: what is chosen by them is tested "
            "on them"
        )
    others = [(list(keys_of(part)), part["label"][:]) for part in (held_out, test)]
    found = repeats(list(keys_of(train)), train["label"][:], test_texts, others)
    notes += found.in_words(task.unit)
    return Splits(train, held_out, test, label_names, list(dict.fromkeys(notes)), found, undrawn)


def name_of_test(task, data, settings):
    """The split that a task is tested on; None where a part of train has to do."""
    if task.test_split in data or (task.dataset_name and not task.is_own):
        return task.test_split
    return "validation" if "validation" in data and not settings.validation_file else None


def without_test_split(train, task, settings):
    """Two parts of the only split that there is: the texts to test on, and the rest."""
    drawn, rest = parted(train, max(2, round(task.test_share * len(train))), settings.seed, evenly=task.is_own)
    return train.select(drawn), train.select(rest)


def load_texts(task, source, settings, notes):
    """What masked language modelling learns from, and what is held out: two `datasets.Dataset`s with a column text.

    The texts held out of train are those that load_splits holds out with the same settings. Of the unsupervised split,
    texts that stand there too or in test are left out; else test is not touched. notes: takes what was guessed.
    """
    from datasets import concatenate_datasets

    data = read_splits(task, source, settings, notes, texts_only=True)
    more = settings.unsupervised or settings.unlabelled_file
    wanted = ["train", "unsupervised"] if more else ["train"]
    if more and "unsupervised" not in data:
        data = {**data, **read_unsupervised(task, source, settings, notes)}
    check_columns(data, wanted, task.text_columns, source)
    names = columns_of_texts(task)
    parts = {split: renamed(part, {old: new for old, new in names.items() if old in part.column_names})
             for split, part in data.items() if set(task.text_columns) <= set(part.column_names)}  # fmt: skip
    train, test_name = with_label_numbers(parts["train"], data["train"]), name_of_test(task, data, settings)
    check_text(train, task.text_columns, source)
    test = parts.get(test_name)
    if not test_name:
        if task.is_own and len(task.label_columns) == 1 and LABEL_NUMBER not in data["train"].column_names:
            notes.append(
                f"no labels in {task.label_columns[0]}: if these texts have some, give --label_column as to train.py; "
                "which texts it tests on depends on their labels, and these must not be learnt here"
            )
        test, train = without_test_split(train, task, settings)
    given = parts["validation"] if settings.validation_file else None
    train, held_out = hold_out(train, settings, given, task.is_own)
    train, held_out = without_labels(train), without_labels(held_out)
    if more:
        more = without_texts_of(parts["unsupervised"], *(part for part in (held_out, test) if part))
        train = concatenate_datasets([train, drawn_to_fill_up(train, more, settings)])

    def one_column(dataset):
        """The two texts of pairs, one after the other."""
        columns = [column for column in COLUMNS if column in dataset.column_names]
        return concatenate_datasets([renamed(dataset, {column: "text"}) for column in columns])

    return one_column(train), one_column(held_out)


def with_label_numbers(texts, rows):
    """`texts` with a column label where its rows, in `rows`, have numbers of labels: what parts them looks at these."""
    return texts.add_column("label", rows[LABEL_NUMBER][:]) if LABEL_NUMBER in rows.column_names else texts


def without_labels(dataset):
    return dataset.remove_columns("label") if "label" in dataset.column_names else dataset


def load_unlabelled(task, source, settings, splits):
    """A `datasets.Dataset` of the texts that --unsupervised or --unlabelled_file names, with the columns of texts.

    Those that stand among the texts to learn from, held out or to test on are left out. UserError where none is left.
    """
    found, names = read_unsupervised(task, source, settings, splits.notes), columns_of_texts(task)
    if not found:
        found = read_splits(task, source, settings, splits.notes, texts_only=True)
    check_columns(found, ["unsupervised"], task.text_columns, source)
    texts = renamed(found["unsupervised"], {old: new for old, new in names.items() if new in COLUMNS})
    texts = without_texts_of(texts, splits.train, splits.validation, splits.test)
    if not len(texts):
        raise UserError("of the texts without labels, none is left that is not in the labelled ones too")
    return texts


def without_texts_of(dataset, *others):
    """`dataset` without the texts that stand in one of the others."""
    theirs = {key for other in others for key in keys_of(other)}
    return dataset.select([row for row, key in enumerate(keys_of(dataset)) if key not in theirs])


def drawn_to_fill_up(train, more, settings):
    """All of `more`, or as many as --max_train_samples leaves room for beside `train`; UserError where that is none."""
    if not settings.max_train_samples:
        return more
    room = settings.max_train_samples - len(train)
    if room <= 0:
        raise UserError(
            f"--max_train_samples {settings.max_train_samples} leaves no room for the unsupervised split beside "
            f"{len(train):,} training texts: raise it, or leave --unsupervised out"
        )
    return more.select(drawn_order(more, settings.seed)[:room])


def hold_out(train, settings, given=None, evenly=False):
    """The texts to learn from, and those held out: `given`, or else a part of the training split. evenly: as parted."""
    if given is not None:
        return train.select(drawn_order(train, settings.seed)[: settings.max_train_samples]), given
    if len(train) < 10:
        raise UserError(f"{len(train)} texts are there to train on: at least 10 are needed")
    held_out = size_of_held_out(settings, len(train))
    if held_out > len(train) // 2:
        raise UserError(f"--validation_samples {held_out} is more than half of the {len(train)} training texts")
    drawn, rest = parted(train, held_out, settings.seed, SPARED, evenly)
    return train.select(rest[: settings.max_train_samples]), train.select(drawn)


def size_of_held_out(settings, texts):
    """How many of so many training texts are held out for the curves."""
    wanted = min(settings.max_train_samples or texts, texts)
    return settings.validation_samples or max(wanted // 25, min(50, texts // 5))


def parted(dataset, count, seed, spared=0, evenly=False):
    """Row numbers of about `count` rows drawn by the seed, and of the others in random order: two int64 (N,).

    All rows of a group are on one side. Where there are no groups, and each text has one label, labels with fewer than
    `spared` texts are not drawn, if there are others, and evenly: of every label the same share. Raises UserError
    where the groups are too large.
    """
    order = drawn_order(dataset, seed)
    if "group" not in dataset.column_names:
        labels = np.asarray(dataset["label"][:]) if "label" in dataset.column_names else np.zeros(len(order), int)
        candidates = order
        if spared and labels.ndim == 1:
            is_rare = (np.bincount(labels)[labels] < spared)[order]
            candidates = order[~is_rare] if (~is_rare).sum() >= count else order
        if evenly and labels.ndim == 1:
            candidates = evened(candidates, labels)
        drawn = candidates[:count]
        return drawn, order[~np.isin(order, drawn)]
    groups, drawn, rest = np.array(dataset["group"][:])[order], [], []
    for rows in np.split(order, np.flatnonzero(groups[1:] != groups[:-1]) + 1):
        fits = len(drawn) < count and len(drawn) + len(rows) <= 1.5 * count
        (drawn if fits else rest).extend(rows)
    if len(drawn) < count / 2:
        raise UserError(
            f"--group_column: {len(set(groups.tolist()))} groups of {len(dataset):,} rows are too large for {count:,} "
            "rows to be set aside without cutting one: name another column, or a --test_file and a --validation_file"
        )
    return np.array(drawn), np.array(rest)


def evened(order, labels):
    """Rows in such an order that its beginning, wherever it ends, has about the same share of each label.

    order: row numbers, int64 (N,); labels: int (M,), of all rows.
    """
    place, of_rows = np.empty(len(order)), labels[order]
    for label in np.unique(of_rows):
        (rows,) = np.nonzero(of_rows == label)
        place[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return order[np.argsort(place, kind="stable")]


def drawn_order(dataset, seed):
    """Row numbers, int64 (N,), in the order of a keyed hash of their texts: random, yet the same from any source.

    Where there are groups, they stand in the order of a hash of their names, and the rows of each in that of its texts.
    """
    key = str(seed).encode()

    def hashes(texts):
        numbers = (int.from_bytes(hashlib.blake2b(each.encode(), key=key, digest_size=8).digest(), "big")
                   for each in texts)  # fmt: skip
        return np.fromiter(numbers, np.uint64, len(dataset))

    orders = [hashes(keys_of(dataset))]
    if "group" in dataset.column_names:
        orders.append(hashes(dataset["group"][:]))
    return np.lexsort(orders)


def keys_of(dataset):
    """Yields each row's text; of pairs, both."""
    columns = [name for name in COLUMNS if name in dataset.column_names]
    for batch in dataset.select_columns(columns).iter(batch_size=1000):
        for texts in zip(*(batch[name] for name in columns)):
            yield "\t".join(text or "" for text in texts)
