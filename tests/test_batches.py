import numpy as np
import pytest
from conftest import FIXTURES, reviews
from datasets import Dataset

from tfbert.data.batches import Examples, TrainBatches, by_length, padded_length
from tfbert.data.tokenizing import TextEncoder
from tfbert.training.evaluating import predict
from tfbert.training.settings import TrainSettings


def encoder(length, truncation="head+tail"):
    return TextEncoder.from_folder(FIXTURES / "tiny_bert", length, truncation)


def examples(count=200, length=64, compiled=False):
    texts, labels = reviews(count, seed=5)
    data = Dataset.from_dict({"text": texts, "label": labels})
    return Examples.tokenized(data, encoder(length), "tokenizing", compiled)


@pytest.mark.parametrize(
    "truncation, kept", [("head", "1 2 3 4 5 6 7 8"), ("tail", "3 4 5 6 7 8 9 0"), ("head+tail", "1 2 5 6 7 8 9 0")]
)
def test_truncation_keeps_head_tail_or_both(truncation, kept):
    encode = encoder(10, truncation)
    [ids], [length], _ = encode(["1 2 3 4 5 6 7 8 9 0"])
    assert encode.tokenizer.decode(ids, skip_special_tokens=False) == f"[CLS] {kept} [SEP]"
    assert length == 12


def test_a_text_that_fits_is_not_cut():
    encode = encoder(10)
    ids, lengths, _ = encode(["good film", "1 2 3 4 5 6 7 8", ""])
    assert [encode.tokenizer.decode(each) for each in ids] == ["good film", "1 2 3 4 5 6 7 8", ""]
    assert lengths == [4, 10, 2]


def test_ids_equal_those_of_transformers():
    from transformers import AutoTokenizer

    text = "The plot was clumsy, but it's a lovely film! zxq"
    expected = AutoTokenizer.from_pretrained(FIXTURES / "tiny_bert")(text)["input_ids"]
    assert encoder(64)([text])[0] == [expected]


def test_examples_come_back_as_they_were_tokenized():
    texts, labels = reviews(2500, seed=5)  # more than one Arrow chunk
    data = Dataset.from_dict({"text": texts, "label": labels}).select(range(2499, -1, -1))
    stored = Examples.tokenized(data, encoder(64), "tokenizing")
    ids, full, _ = encoder(64)(texts[::-1])
    assert stored.labels.tolist() == labels[::-1]
    assert stored.full_lengths.tolist() == full
    assert all(stored.ids(row).tolist() == ids[row] for row in range(0, 2500, 7))


def test_every_epoch_is_full_batches_of_all_rows_in_a_new_order():
    batches = TrainBatches(examples(200), 16, 64, seed=1)
    assert batches.steps_per_epoch == 13
    first, second = batches.epoch(0), batches.epoch(1)
    assert first.shape == (13, 16) and set(first.ravel()) == set(range(200))
    assert len(np.unique(first, return_counts=True)[1][np.unique(first, return_counts=True)[1] > 1]) == 8
    assert not np.array_equal(first, second)
    assert np.array_equal(first, TrainBatches(batches.examples, 16, 64, seed=1).epoch(0))
    assert not np.array_equal(first, TrainBatches(batches.examples, 16, 64, seed=2).epoch(0))


def test_a_stream_can_be_taken_up_anywhere():
    batches = TrainBatches(examples(100), 16, 64, seed=1)
    whole = batches.stream()
    expected = [next(whole) for _ in range(20)][11:]
    for (inputs, labels), (wanted, wanted_labels) in zip(batches.stream(first_step=11), expected):
        np.testing.assert_array_equal(inputs["input_ids"], wanted["input_ids"])
        np.testing.assert_array_equal(labels, wanted_labels)


@pytest.mark.parametrize(
    "compiled, longest, allowed", [(True, 60, {32, 60}), (False, 100, {*range(4, 65, 4), 96, 100})]
)
def test_batches_have_few_shapes_and_right_masks(compiled, longest, allowed):
    stored = examples(300, longest, compiled)
    batches = TrainBatches(stored, 16, longest, seed=1)
    stream, shapes = batches.stream(), set()
    for _ in range(batches.steps_per_epoch):
        inputs, _ = next(stream)
        shapes.add(inputs["input_ids"].shape[1])
        assert np.array_equal(inputs["attention_mask"], inputs["input_ids"] != 0)
    assert len(shapes) > 1 and shapes <= allowed
    lengths = stored.lengths[batches.epoch(0)].max(axis=1)
    padded = [padded_length(each, longest, stored.longest) for each in lengths]
    assert 0 < batches.padding_share() < 0.6
    assert batches.padding_share() == 1 - stored.lengths[batches.epoch(0)].sum() / (16 * sum(padded))


def test_similar_lengths_meet_in_a_batch():
    stored = examples(300)
    batches = TrainBatches(stored, 10, 64, seed=1)
    spread = np.ptp(stored.lengths[batches.epoch(0)], axis=1).mean()
    assert spread < np.ptp(stored.lengths) / 5


def test_padded_length():
    assert [padded_length(n, 100) for n in (1, 9, 64, 65, 100)] == [4, 12, 64, 96, 100]
    assert [padded_length(n, 512, longest=512) for n in (1, 256, 257, 512)] == [256, 256, 512, 512]
    assert [padded_length(n, 100, longest=100) for n in (1, 65, 100)] == [64, 100, 100]
    assert [padded_length(n, 512, longest=37) for n in (1, 32, 33, 37)] == [32, 32, 64, 64]
    assert padded_length(5, 6) == 6


def test_by_length_covers_all_rows_longest_first():
    groups = by_length([3, 9, 5, 7, 1], 2)
    assert [group.tolist() for group in groups] == [[1, 3], [2, 0], [4]]


@pytest.mark.parametrize("name, cls, sep", [("tiny_roberta", 0, 2), ("tiny_albert", 2, 3), ("tiny_mpnet", 2, 3)])
def test_every_kind_of_tokenizer_is_cut_at_head_and_tail(name, cls, sep):
    encoder = TextEncoder.from_folder(FIXTURES / name, 16)
    text = "the film was good and the cast was perfect but the ending was very dull"
    ((ids,), (full,), _), whole = encoder([text]), encoder.tokenizer.encode(text, add_special_tokens=False).ids
    assert full == len(whole) + 2 and len(ids) == 16
    assert ids == [cls, *whole[:3], *whole[-11:], sep]


def test_the_share_of_the_head_can_be_chosen():
    text = "the film was good and the cast was perfect but the ending was very dull"
    for share, head in ((0.5, 4), (0.0, 0), (1.0, 8)):
        encoder = TextEncoder.from_folder(FIXTURES / "tiny_bert", 10, head_share=share)
        whole = encoder.tokenizer.encode(text, add_special_tokens=False).ids
        ((ids,), _, _) = encoder([text])
        assert ids[1:-1] == whole[:head] + whole[len(whole) - 8 + head :]


def test_another_word_of_the_same_length_is_another_fingerprint():
    def fingerprint(word):
        data = Dataset.from_dict({"text": ["a good film", f"a {word} film"], "label": [1, 0]})
        return Examples.tokenized(data, encoder(16), "tokenizing").fingerprint()

    assert fingerprint("bad") == fingerprint("bad") != fingerprint("good")


@pytest.mark.parametrize("compiled, sizes", [(True, {16}), (False, {16, 10})])
def test_where_xla_compiles_the_batches_of_predict_have_two_shapes(compiled, sizes):
    stored, seen = examples(90, 60, compiled), []

    def forward(inputs):
        seen.append(inputs["input_ids"].shape)
        return inputs["input_ids"].sum(axis=1, keepdims=True).astype(np.float32)

    found = predict(forward, stored, TrainSettings(per_device_eval_batch_size=16, max_seq_length=60))
    assert found[:, 0].tolist() == [stored.ids(row).sum() for row in range(90)]
    assert {size for size, _ in seen} == sizes
    assert (len(set(seen)) <= 2) == compiled
