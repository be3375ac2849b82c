import numpy as np
import pytest
from datasets import Dataset

from tfbert.common.errors import UserError
from tfbert.data.sources import Source
from tfbert.data.splits import drawn_order, load_splits, read_parts
from tfbert.data.tasks import find_task
from tfbert.training.settings import TrainSettings

IMDB = find_task("imdb")
GOOD = "text,label\n" + "".join(f"review {n},{n % 2}\n" for n in range(100))
NUMBERS = "label,text\n" + "1,2\n0,3\n" * 50


def load(folder, train=GOOD, test=GOOD, **changes):
    for name, content in (("train.csv", train), ("test.csv", test)):
        if content is not None:
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    settings = TrainSettings(**changes)
    return load_splits(IMDB, read_parts(IMDB, Source(str(folder), "mine", "mine"), settings), settings)


def test_train_and_validation_do_not_overlap(tmp_path):
    splits = load(tmp_path, max_train_samples=60, validation_samples=30, max_eval_samples=10)
    train, validation = set(splits.train["text"]), set(splits.validation["text"])
    assert (len(train), len(validation), len(splits.test)) == (60, 30, 10)
    assert not train & validation
    assert splits.label_names == ["negative", "positive"]


def test_a_sample_depends_on_seed_and_texts_but_not_on_their_order():
    texts = [f"review {n}" for n in range(50)]
    shuffled = list(np.random.default_rng(0).permutation(texts))
    drawn = [[rows[i] for i in drawn_order(Dataset.from_dict({"text": rows}), 42)] for rows in (texts, shuffled)]
    assert drawn[0] == drawn[1] != texts
    assert [texts[i] for i in drawn_order(Dataset.from_dict({"text": texts}), 43)] != drawn[0]


def test_few_texts_leave_most_for_training(tmp_path):
    splits = load(tmp_path)
    assert (len(splits.train), len(splits.validation)) == (80, 20)


@pytest.mark.parametrize(
    "train, test, message",
    [
        (GOOD, None, "but no test split"),
        (GOOD.replace("text", "body"), GOOD.replace("text", "body"), "no column text; the columns are body, label"),
        ("text,label\n" + "good,0\nbad,3\n" * 40, GOOD, "have label 3, but the labels are 0 to 1"),
        (GOOD.replace(",1", ",2"), GOOD, "have label 2, but the labels are 0 to 1"),
        (GOOD.replace(",1", ",0"), GOOD, "are all negative: nothing to learn"),
        (GOOD + ",1\n", GOOD, "1 of 101 rows have no text"),
        (GOOD, GOOD + "fine,\n", "1 of 101 rows have no label"),
        (NUMBERS, NUMBERS, "the column text does not hold text"),
        (GOOD.encode("utf-16"), GOOD, "cannot read the data set mine"),
        ("", GOOD, "cannot read the data set mine"),
    ],
)
def test_bad_data_is_one_clear_line(tmp_path, train, test, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, train, test)


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(UserError, match="did you mean imdb"):
        find_task("imbd")
