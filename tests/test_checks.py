"""What is refused once texts and encoder are known, before the work begins."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from tfbert.common.errors import UserError
from tfbert.training.checks import check_kind, check_memory, check_settings, check_steps, notes_on_labels
from tfbert.training.fitting import run_facts
from tfbert.training.settings import PretrainSettings, TrainSettings

SHAPE = SimpleNamespace(hidden_size=384, num_hidden_layers=6)
CPU, GPU = SimpleNamespace(is_gpu=False), SimpleNamespace(is_gpu=True)


def test_a_metric_of_the_other_kind_of_task_is_refused_with_the_list():
    for name, several in (("jaccard", False), ("f1_micro", False), ("matthews_correlation", True), ("f1", True)):
        with pytest.raises(UserError, match=f"--metric_for_best_model {name}: where .* one of loss, metric, accuracy"):
            check_kind(TrainSettings(metric_for_best_model=name), several, False)
        check_kind(TrainSettings(metric_for_best_model=name), not several, False)
    for name in ("loss", "metric", "f1_macro", "roc_auc"):
        check_kind(TrainSettings(metric_for_best_model=name), True, False)
        check_kind(TrainSettings(metric_for_best_model=name), False, False)


def test_what_is_for_one_label_a_text_is_refused_for_other_tasks():
    for flags in ({"class_weights": "balanced"}, {"example_file": "some.csv"}):
        check_kind(TrainSettings(**flags), several=False, pairs=False)
        with pytest.raises(UserError, match=next(iter(flags))):
            check_kind(TrainSettings(**flags), several=True, pairs=False)
    with pytest.raises(UserError, match="--example_file is for single texts"):
        check_kind(TrainSettings(example_file="some.csv"), several=False, pairs=True)


@pytest.mark.parametrize(
    "flags, wanted",
    [
        ({"metric_for_best_model": "f1_macro"}, "--metric_for_best_model: the last weights are kept"),
        ({"validation_samples": 50, "validation_file": "some.csv"}, "--validation_samples is a part of train"),
        ({"head_share": 0.5, "truncation": "tail"}, "--head_share is of --truncation head.tail"),
    ],
)
def test_what_would_do_nothing_is_refused(flags, wanted):
    with pytest.raises(UserError, match=wanted):
        check_settings(TrainSettings(**flags))
    for name in flags:
        check_settings(TrainSettings(**{name: flags[name]}, load_best_model_at_end=True))


@pytest.mark.parametrize("flags, counts", [({}, False), ({"load_best_model_at_end": True}, True),
                                           ({"early_stopping_patience": 2}, True)])  # fmt: skip
def test_a_run_that_keeps_its_best_weights_goes_on_with_the_same_validations(flags, counts):
    named = SimpleNamespace(name="some")
    texts = SimpleNamespace(fingerprint=lambda: "1")
    learnt = type("Texts", (), {"__len__": lambda self: 9, "fingerprint": lambda self: "1"})()
    batches = SimpleNamespace(examples=learnt, batch_size=8)
    first, second = (
        run_facts(TrainSettings(eval_steps=steps, **flags), 42, named, named, batches, texts) for steps in (5, 10)
    )
    assert (first != second) == counts


@pytest.mark.parametrize("name, value", [("label_smoothing", 0.1), ("eval_steps", 5), ("load_best_model_at_end", True)])
def test_what_logistic_regression_has_not_is_refused(name, value):
    check_settings(TrainSettings(method="features"))
    with pytest.raises(UserError, match=f"--method features leaves the encoder as it is: leave --{name} out"):
        check_settings(TrainSettings(method="features", **{name: value}))


def test_steps_without_an_update_and_steps_without_end_are_refused():
    batches = SimpleNamespace(steps=lambda epochs: math.ceil(epochs * 20))
    check_steps(TrainSettings(num_train_epochs=2.0, gradient_accumulation_steps=40), batches)
    with pytest.raises(UserError, match="--gradient_accumulation_steps 41: the run has 40 steps"):
        check_steps(TrainSettings(num_train_epochs=2.0, gradient_accumulation_steps=41), batches)
    with pytest.raises(UserError, match="--num_train_epochs 1e.09 are 20,000,000,000 steps: lower it"):
        check_steps(TrainSettings(num_train_epochs=1e9), batches)


def test_batches_beyond_the_memory_of_the_machine_are_refused(monkeypatch):
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 4 * 10**6}.get, raising=False)
    longest = np.int32(200)  # as lengths are
    usual = TrainSettings(per_device_train_batch_size=32, max_seq_length=256)
    check_memory(usual, SHAPE, CPU, longest, 25_000)
    large = TrainSettings(per_device_train_batch_size=65536, max_seq_length=256)
    with pytest.raises(
        UserError, match="--per_device_train_batch_size 65536: .* need 725 GB and more, the machine has 16"
    ):
        check_memory(large, SHAPE, CPU, longest, 25_000)
    with pytest.raises(UserError, match="--per_device_train_batch_size"):
        check_memory(PretrainSettings(per_device_train_batch_size=65536, max_seq_length=256), SHAPE, CPU, longest, 9)
    check_memory(large, SHAPE, GPU, longest, 25_000)
    evaluating = TrainSettings(per_device_eval_batch_size=65536, max_seq_length=256)
    with pytest.raises(UserError, match="--per_device_eval_batch_size 65536: 25,000 texts"):
        check_memory(evaluating, SHAPE, CPU, longest, 25_000)
    check_memory(evaluating, SHAPE, CPU, longest, 1000)  # as many as there are


def test_many_labels_with_few_texts_are_noted():
    assert notes_on_labels(20, 100) == notes_on_labels(77, 9000) == []
    assert notes_on_labels(77, 616)[0].startswith("77 labels with 8.0 texts each to learn from")
