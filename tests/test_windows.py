"""Long texts read whole, in windows."""

import json

import numpy as np
import pytest
from conftest import FIXTURES, reviews
from datasets import Dataset
from test_siblings import metrics_of, write

import infer
import train
from tfbert.data.batches import Examples
from tfbert.data.tokenizing import TextEncoder
from tfbert.data.windows import LAST, combined, places
from tfbert.inference.predicting import Predictor


@pytest.mark.parametrize("length", [1, 9, 10, 11, 17, 18, 100, 1001])
@pytest.mark.parametrize("overlap, step", [(0, 10), (0.25, 8), (0.5, 5)])
def test_windows_cover_a_text_evenly(length, overlap, step, room=10):
    starts = places(length, room, overlap)
    assert starts[0] == 0 and starts[-1] == max(0, length - room)
    steps = np.diff(starts)
    assert len(steps) == 0 or 0 < steps.max() <= step and steps.max() - steps.min() <= 1
    assert len(starts) == 1 + max(0, -(-(length - 10) // step))


def test_logits_are_averaged_and_the_last_window_counts_more():
    logits = np.array([[1, 2], [3, 6], [5, 10], [7, 0]], np.float32)
    expected = [[1, 2], [(3 + LAST * 5) / (1 + LAST), (6 + LAST * 10) / (1 + LAST)], [7, 0]]
    np.testing.assert_allclose(combined(logits, [0, 1, 1, 2]), expected, rtol=1e-6)
    assert combined(logits, np.arange(4)).tobytes() == logits.tobytes()  # short texts are as they were


def encoder(length=12, long_texts="windows"):
    return TextEncoder.from_folder(FIXTURES / "tiny_bert", length, long_texts=long_texts)


def test_every_token_of_a_text_is_in_a_window():
    text, _ = reviews(1, 5)
    text = " ".join([*text, *reviews(9, 6)[0]])
    (ids,), (length,), _ = encoder()([text])
    assert len(ids) == length > 40
    windows, owners = encoder().in_windows([ids[:12], ids, ids[:3]])
    assert owners == [0] + [1] * (len(windows) - 2) + [2] and windows[0] == ids[:12] and windows[-1] == ids[:3]
    assert all(len(each) == 12 and each[0] == ids[0] and each[-1] == ids[-1] for each in windows[1:-1])
    starts = places(length - 2, 10)
    rebuilt = [None] * (length - 2)
    for start, window in zip(starts, windows[1:-1], strict=True):
        rebuilt[start : start + 10] = window[1:-1]
    assert [ids[0], *rebuilt, ids[-1]] == ids


def test_examples_have_a_row_for_each_window_and_a_label_for_each_text():
    texts, labels = reviews(30, 5)
    texts[7] = " ".join(texts)
    dataset = Dataset.from_dict({"text": texts, "label": labels})
    cut, whole = (Examples.tokenized(dataset, encoder(16, kind), "tokenizing") for kind in ("cut", "windows"))
    assert len(cut) == len(whole) == 30 and cut.owners.tolist() == list(range(30))
    assert whole.labels.tolist() == cut.labels.tolist() == labels
    assert whole.full_lengths.tolist() == cut.full_lengths.tolist()
    counts = np.bincount(whole.owners)
    assert [len(places(length - 2, 14)) for length in whole.full_lengths] == counts.tolist() and counts[7] > 10
    assert whole.lengths.max() <= 16 and len(whole.lengths) == counts.sum()


@pytest.fixture(scope="module")
def long_reviews(tmp_path_factory):
    """A file of texts that begin with a review of the other label; four of their own follow."""
    texts, labels = map(np.array, reviews(400, 3))
    rng = np.random.default_rng(0)
    rows = [[" ".join([rng.choice(texts[labels != label]), *rng.choice(texts[labels == label], 4)]), name]
            for label, name in [(0, "blame"), (1, "praise")] * 100]  # fmt: skip
    return write(tmp_path_factory.mktemp("long") / "own.csv", ["text", "label"], rows)


@pytest.mark.usefixtures("no_pictures")
def test_a_model_answers_from_what_cutting_would_lose(untrained, long_reviews, tmp_path, capsys):
    output = tmp_path / "model"
    texts, labels = reviews(300, 4)
    short = write(tmp_path / "short.csv", ["text", "label"], zip(texts, [["blame", "praise"][each] for each in labels]))
    arguments = ["--train_file", short, "--test_file", long_reviews, "--model_name_or_path", str(untrained),
                 "--output_dir", str(output), "--max_seq_length", "32", "--learning_rate", "0.01",
                 "--num_train_epochs", "10", "--adversarial", "0", "--truncation", "head"]  # fmt: skip
    assert train.main(arguments) is None
    found, report = metrics_of(output), (output / "training_report.md").read_text()
    windows = found["windows"]
    assert windows["texts"] == 200 and 3 < windows["tokens_read"] < 6
    assert windows["right"] == found["accuracy"] > 0.8 > 0.3 > windows["right_cut"]
    assert f"cut (head) {windows['right_cut']:.2%} would be" in report
    capsys.readouterr()
    infer.main(["--model_dir", str(output), "--file", long_reviews, "--json"])
    printed = capsys.readouterr()
    assert "tokens" not in printed.err
    labels = [json.loads(line)["label"] for line in printed.out.splitlines()]
    truth = [line.rsplit(",", 1)[1] for line in open(long_reviews).read().splitlines()[1:]]
    assert np.mean([one == other for one, other in zip(labels, truth)]) == pytest.approx(found["accuracy"], abs=0.02)
    predictor = Predictor(output)
    answer = predictor([" ".join(["film"] * 100_000)])  # in batches, whatever the length
    assert 0.5 <= answer[0]["probability"] <= 1
    assert main_cut(arguments, tmp_path) == pytest.approx(windows["right_cut"], abs=0.005)


def main_cut(arguments, tmp_path):
    """The accuracy of the same training where long texts are cut."""
    output = tmp_path / "cut"
    arguments = [str(output) if word == str(tmp_path / "model") else word for word in arguments]
    assert train.main([*arguments, "--long_texts", "cut"]) is None
    found, report = metrics_of(output), (output / "training_report.md").read_text()
    assert "windows" not in found and "and were cut" in report
    return found["accuracy"]


def test_pairs_are_cut():
    texts, _ = reviews(9, 3)
    long = " ".join(texts)
    (ids,), (length,), _ = encoder(16)([long], [texts[0]])
    assert len(ids) == 16 < length and encoder(16).in_windows([ids]) == ([ids], [0])
