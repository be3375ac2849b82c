"""The labels of a `datasets.Dataset`: their names, their numbers, their shares, and what is wrong with them."""

import re
import unicodedata
from collections import Counter, defaultdict

import numpy as np

from tfbert.common.errors import UserError, nearest
from tfbert.common.text import counted

FEW = 50  # texts
SHOWN = 10  # labels in a message
SCORES = 6  # different numbers with fractions that look like scores rather than names
NUMBER = re.compile(r"[+-]?\d*[.,]?\d+(e[+-]?\d+)?", re.IGNORECASE)
LACKS = {"nan", "na", "n/a", "null", "none", "<na>", "-", "?"}  # as programs write a cell that is empty
WRAPPED = re.compile(r"\w*[\[({].*[,:].*[\])}]", re.DOTALL)
CUT = "for classes, cut them first, as pandas.cut(scores, 3, labels=['low', 'middle', 'high']) does"


def looks_like_scores(labels):
    """Whether so many labels are numbers, some of them with a fraction."""
    broken = any("." in label or "," in label for label in labels)
    return len(labels) >= SCORES and broken and all(map(NUMBER.fullmatch, labels))


def doubts(labels, column):
    """Yields what is to be said of label names that may not be what their author meant."""
    alike = defaultdict(list)
    for label in sorted(labels):
        alike["".join(sign for sign in unicodedata.normalize("NFKC", label.casefold()) if sign.isalnum())
              or label].append(label)  # fmt: skip
    for several in [each for each in alike.values() if len(each) > 1 and not all(map(NUMBER.fullmatch, each))][:3]:
        yield (f"the labels {', '.join(map(ascii, several[:3]))} of {column} differ in case or signs only, "
               "and each is learnt as one of its own: write them alike if they are the same")  # fmt: skip
    lacks = sorted(label for label in labels if label.casefold() in LACKS)
    if lacks and len(labels) > len(lacks):
        yield f"{lacks[0]!r} is learnt as a label of {column}: where it means that there is none, leave the cell empty"
    if odd := sorted(label for label in labels if WRAPPED.fullmatch(label)):
        yield (f"{odd[0][:60]!r} is learnt as the name of one label of {column}: where it stands for several, write "
               "a list as JSON does, or the names with a sign between them, and --label_separator")  # fmt: skip
    for sign in ",;|":
        parts = Counter(part.strip() for label in labels for part in label.split(sign) if part.strip())
        joined = sorted(label for label in labels if any(parts[part.strip()] > 1 for part in label.split(sign)
                                                         if sign in label))  # fmt: skip
        if joined and not all(map(NUMBER.fullmatch, labels)) and not odd:
            yield (f"{joined[0][:60]!r} is learnt as one label of {column}: "
                   f"where it names several, --label_separator \"{sign}\" parts them")  # fmt: skip


def names_of(dataset, task, source, notes):
    """Label names by class number, as users read them. notes: takes what is strange about them."""
    feature = dataset.features["label"]
    if len(task.label_columns) > 1:
        return list(task.label_columns)
    if hasattr(classes := getattr(feature, "feature", feature), "names"):
        return [task.label_names.get(name, name) for name in classes.names]
    if task.label_names:
        if "int" not in getattr(feature, "dtype", ""):
            raise UserError(f"data set {source.name}: the labels must be class numbers, 0, 1, ...; of your own data, "
                            "name the columns: --text_column text --label_column label")  # fmt: skip
        return list(task.label_names.values())
    found = {label for labels in labels_of(dataset) for label in labels}
    if len(found) > max(2, len(dataset) // 2):
        raise UserError(
            f"data set {source.name}: {len(found):,} different labels in {len(dataset):,} texts: "
            + f"is {task.label_columns[0]} the column of the labels?" * (len(dataset) >= FEW)
            + f"that is too little to learn from; some {FEW} texts are the least" * (len(dataset) < FEW)
            + f" They look like scores: {CUT}" * looks_like_scores(found)
        )
    if has_lists(dataset) and any("." in label for label in found) and all(map(NUMBER.fullmatch, found)):
        raise UserError(f"data set {source.name}: the lists of {task.label_columns[0]} hold numbers such as "
                        f"{max(found, key=len)}: shares are not learnt here; write 0 and 1 by place")  # fmt: skip
    if looks_like_scores(found):
        notes.append(f"the {len(found):,} labels of {task.label_columns[0]} look like scores, and each is learnt as a "
                     f"name, not as a number: {CUT}")  # fmt: skip
    notes += doubts(found, task.label_columns[0])
    numbers = all(label.isdecimal() and len(label) < 20 for label in found)
    return sorted(found, key=(lambda label: (int(label), label)) if numbers else str)


def labels_of(dataset):
    """The labels of each row as a list of str."""
    several = has_lists(dataset)
    return [[str(label) for label in row] if several else [str(row)] for row in dataset["label"][:]]


def has_lists(dataset):
    """Whether each text has a list of labels, not one."""
    return hasattr(dataset.features["label"], "feature")


def numbered(dataset, label_names, task, origin):
    """`dataset` with class numbers, int32, for labels, or a list of zeros and ones, float32, for lists of labels."""
    from datasets import List, Value

    feature = dataset.features["label"]
    if hasattr(feature, "names") or task.label_names or len(task.label_columns) > 1:
        return dataset
    names = getattr(getattr(feature, "feature", None), "names", None)
    if names and names != label_names:
        raise UserError(f"{origin} have {len(names)} labels by place, but the training texts {len(label_names)}")
    rows = labels_of(dataset)
    if names:
        rows = [[names[int(number)] for number in row] for row in rows]
    counts = Counter(label for row in rows for label in row)
    if strange := sorted(set(counts) - set(label_names)):
        more = f" (one of {len(strange)} such labels)" if len(strange) > 1 else ""
        known = counted(len(label_names), "labels")
        some = ", ".join(label_names[:SHOWN]) + (", ..." if len(label_names) > SHOWN else "")
        raise UserError(
            f"{counts[strange[0]]} of {origin} have the label {strange[0]!r}, which no training text has{more}: mend "
            f"it, leave these rows out, or add such texts to train. {known} are there: {some}"
            + nearest(strange[0], label_names)
        )
    number = {name: place for place, name in enumerate(label_names)}
    if has_lists(dataset):
        held = np.zeros((len(rows), len(label_names)), np.float32)
        for zeros, row in zip(held, rows):
            zeros[[number[name] for name in row]] = 1
        labels, kind = list(held), List(Value("float32"))
    else:
        labels, kind = [number[row[0]] for row in rows], Value("int32")
    return dataset.remove_columns("label").add_column("label", labels, feature=kind)


def check_labels(dataset, label_names, where):
    """Raises UserError where a label is out of range, or all texts have the same."""
    if has_lists(dataset):
        counts = np.asarray(dataset["label"][:]).sum(axis=0)
        if len(label_names) < 2:
            raise UserError(f"{where} have no label but {label_names}: with one, name it in one cell of each text")
        if np.isin(counts, (0, len(dataset))).all():
            raise UserError(f"{where} all have the same labels: nothing to learn or to test")
        return
    found = set(np.unique(dataset["label"][:]).tolist())
    if not found <= set(range(len(label_names))):
        strange = sorted(found - set(range(len(label_names))), key=str)[0]
        raise UserError(f"{where} have label {strange}, but the labels are 0 to {len(label_names) - 1}")
    if len(found) < 2:
        raise UserError(f"{where} are all {label_names[found.pop()]}: nothing to learn or to test")


def shares_of_labels(dataset, label_names):
    """The share of texts with each label, float (L,)."""
    return shares_of(np.asarray(dataset["label"][:]), len(label_names))


def shares_of(labels, count):
    """As shares_of_labels. labels: int (N,), or where several may hold (N, L); count: L."""
    return (labels if labels.ndim == 2 else labels[:, None] == np.arange(count)).mean(axis=0)


def balanced_weights(labels, count):
    """Factors of the loss under which all labels weigh the same, float32 (L,). labels: int (N,); count: L."""
    counts = np.bincount(labels, minlength=count)
    return (len(labels) / (count * np.maximum(counts, 1))).astype(np.float32)
