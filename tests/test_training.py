import os
import shutil
import signal

import keras
import numpy as np
import pytest
from conftest import FIXTURES, reviews
from datasets import Dataset

from tfbert.common.errors import UserError
from tfbert.data.batches import Examples, TrainBatches
from tfbert.data.labels import balanced_weights
from tfbert.data.tasks import MULTI_LABEL
from tfbert.data.tokenizing import TextEncoder
from tfbert.model.configs import read_config
from tfbert.model.folders import load_classifier
from tfbert.model.weights import get_weights
from tfbert.report.calibration import cross_entropies
from tfbert.training import evaluating, feeding
from tfbert.training.evaluating import predict
from tfbert.training.fitting import fit
from tfbert.training.outputs import checkpoints_in
from tfbert.training.progress import Progress
from tfbert.training.settings import TrainSettings
from tfbert.training.step import classifier_loss, compile_classifier

STEPS = 24
LENGTH = 32  # of texts: few lengths of batches, for each of which XLA compiles parts of a block
FACTS = {"seed": 3}


@pytest.fixture(scope="module")
def data(untrained):
    encode = TextEncoder.from_folder(FIXTURES / "tiny_bert", LENGTH)
    parts = [Dataset.from_dict(dict(zip(("text", "label"), reviews(n, seed)))) for n, seed in ((320, 8), (40, 9))]
    train.encoder = untrained
    return [Examples.tokenized(part, encode, "tokenizing") for part in parts]


def settings(folder, **changes):
    values = dict(
        learning_rate=0.01, max_seq_length=LENGTH, logging_steps=4, eval_steps=12, save_steps=10, output_dir=str(folder)
    )
    return TrainSettings(**(values | changes))


def train(data, folder, policy="float32", config=None, callback=None, total_steps=STEPS, xla=False, when_paced=None,
          **changes):  # fmt: skip
    """Trains the tiny BERT; callback(progress) runs after every step."""
    keras.utils.set_random_seed(3)
    model, _ = load_classifier(train.encoder, config, policy)
    chosen = settings(folder, **changes)
    compile_classifier(model, chosen, total_steps, xla)
    batches = TrainBatches(data[0], 16, LENGTH, seed=3)
    original = Progress.on_train_batch_end
    if callback:

        def on_train_batch_end(self, batch, logs=None):
            callback(self)
            original(self, batch, logs)

        Progress.on_train_batch_end = on_train_batch_end
    try:
        evaluate = evaluating.evaluation_of(data[1], chosen, "accuracy")
        return model, fit(model, batches, evaluate, chosen, total_steps, FACTS, when_paced=when_paced)
    finally:
        Progress.on_train_batch_end = original


def test_the_loss_falls_and_held_out_accuracy_rises(data, tmp_path):
    _, progress = train(data, tmp_path, total_steps=120)
    losses = [row["loss"] for row in progress.history if "loss" in row]
    held_out = [row for row in progress.history if "validation_loss" in row]
    assert losses[-1] < 0.3 * losses[0]
    assert held_out[-1]["validation_accuracy"] >= 0.95
    assert progress.step == 120 and progress.train_seconds > 0


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_learns_with_float32_weights(data, tmp_path, policy):
    model, progress = train(data, tmp_path, policy, total_steps=120)
    losses = [row["loss"] for row in progress.history if "loss" in row]
    assert losses[-1] < 0.5 * losses[0]
    assert {str(variable.dtype) for variable in model.trainable_variables} == {"float32"}
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")


@pytest.mark.parametrize("adversarial", [None, 0.2])
def test_xla_gives_the_same_losses(data, tmp_path, monkeypatch, adversarial):
    config = read_config(FIXTURES / "tiny_bert") | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config["classifier_dropout"] = 0.0
    for examples in data:
        monkeypatch.setattr(examples, "longest", examples.lengths.max())  # few lengths, as in a job with XLA
    plain, compiled = (
        train(data, tmp_path / str(xla), config=config, xla=xla, adversarial=adversarial)[1].history
        for xla in (False, True)
    )
    first = [[row["loss"] for row in history if "loss" in row] for history in (plain, compiled)]
    np.testing.assert_allclose(first[0], first[1], rtol=1e-3)


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(data, tmp_path):
    whole, progress = train(data, tmp_path / "whole")

    def stop_at_ten(progress):
        if progress.step == 9:
            os.kill(os.getpid(), signal.SIGINT)

    _, stopped = train(data, tmp_path / "parts", callback=stop_at_ten, save_steps=1000)
    assert stopped.interrupted and stopped.step == 10
    assert os.listdir(tmp_path / "parts/checkpoints/seed-3") == ["step-00000010"]
    resumed, continued = train(data, tmp_path / "parts", resume_from_checkpoint="last")
    assert continued.step == STEPS and not continued.interrupted
    ours, theirs = get_weights(resumed), get_weights(whole)
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-6, err_msg=name)
    assert continued.history[-1]["loss"] == pytest.approx(progress.history[-1]["loss"], abs=1e-5)


def test_ctrl_c_in_the_last_validation_is_not_lost(data, tmp_path, monkeypatch):
    def evaluate(forward):
        os.kill(os.getpid(), signal.SIGINT)
        return {"loss": 1.0, "accuracy": 0.5}

    monkeypatch.setattr(evaluating, "evaluation_of", lambda *_: evaluate)
    _, progress = train(data, tmp_path, eval_steps=1000)
    assert progress.step == STEPS and progress.interrupted
    assert max(os.listdir(tmp_path / "checkpoints/seed-3")) == f"step-{STEPS:08d}"


def test_checkpoints_are_written_on_time_and_the_last_two_are_kept(data, tmp_path):
    seen = set()
    train(data, tmp_path, callback=lambda progress: seen.update(os.listdir(tmp_path / "checkpoints/seed-3"))
          if (tmp_path / "checkpoints/seed-3").exists() else None)  # fmt: skip
    assert seen == {"step-00000010", "step-00000020"}
    assert sorted(os.listdir(tmp_path / "checkpoints/seed-3")) == ["step-00000020", "step-00000024"]


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """The output folder of a run, with its last checkpoint."""
    folder = tmp_path_factory.mktemp("finished") / "output"
    train(data, folder)
    return folder


@pytest.fixture
def checkpoint(finished, tmp_path):
    """A checkpoint to be damaged at will, in tmp_path."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path / "checkpoints/seed-3/step-00000024"


def test_a_checkpoint_of_another_run_is_refused(data, tmp_path, checkpoint, monkeypatch):
    monkeypatch.setitem(FACTS, "seed", 4)
    with pytest.raises(UserError, match="is of a run with seed 3, not 4"):
        train(data, tmp_path, resume_from_checkpoint=str(checkpoint))


def test_a_missing_checkpoint_is_a_clear_error(data, tmp_path):
    with pytest.raises(UserError, match="--resume_from_checkpoint"):
        train(data, tmp_path, resume_from_checkpoint="nowhere")


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def emptied(path):
    path.write_bytes(bytes(path.stat().st_size))


DAMAGES = {
    "cut": lambda folder: os.truncate(folder / "variables.npz", 5000),
    "flipped": lambda folder: flipped(folder / "variables.npz"),
    "zeros": lambda folder: emptied(folder / "variables.npz"),
    "another state": lambda folder: (folder / "state.json").write_text('{"step": 24, "best": "x"}'),
    "a state that is a number": lambda folder: (folder / "state.json").write_text("7"),
    "no sums": lambda folder: (folder / "sha256.json").unlink(),
    "sums of nothing": lambda folder: (folder / "sha256.json").write_text("{}"),
    "sums that are no table": lambda folder: (folder / "sha256.json").write_text("[3]"),
    "deep sums": lambda folder: (folder / "sha256.json").write_text("[" * 100_000),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_from_a_damaged_checkpoint_the_one_before_is_taken(data, tmp_path, checkpoint, damage, capsys):
    DAMAGES[damage](checkpoint)
    _, progress = train(data, tmp_path, resume_from_checkpoint="last")
    said = " ".join(capsys.readouterr().out.split())
    assert "step-00000024 is damaged" in said and "going on from the one before" in said
    assert "Resumed at step 20" in said and progress.step == STEPS


def test_where_all_checkpoints_are_damaged_the_error_says_what_to_do(data, tmp_path, checkpoint):
    for folder in (checkpoint, checkpoint.with_name("step-00000020")):
        DAMAGES["cut"](folder)
    with pytest.raises(UserError, match="step-00000020 is damaged.*variables.npz is not.*--overwrite_output_dir"):
        train(data, tmp_path, resume_from_checkpoint="last")


def test_what_is_only_named_like_a_checkpoint_does_not_count(data, tmp_path, checkpoint):
    folder = checkpoint.parent
    (folder / "step-99999999").write_text("a file")
    (folder / "step-old").mkdir()
    (folder / "step-99999998").symlink_to(checkpoint)
    (folder / ".step-00000024.saving").write_text("in the way")
    assert [path.name for path in checkpoints_in(folder)] == ["step-00000024", "step-00000020"]
    shutil.rmtree(checkpoint)
    _, progress = train(data, tmp_path, resume_from_checkpoint="last")
    assert progress.step == STEPS and checkpoints_in(folder)[0] == checkpoint
    assert (folder / "step-old").is_dir()


def test_a_loss_that_is_no_number_ends_the_run(data, tmp_path):
    with pytest.raises(UserError, match="lower --learning_rate"):
        train(data, tmp_path, learning_rate=1e30, max_grad_norm=1e30)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="elsewhere Keras's own step is the only one")
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_the_step_is_that_of_keras(data, tmp_path, policy):
    def after_three_steps(visible):
        keras.utils.set_random_seed(3)
        model, _ = load_classifier(train.encoder, policy=policy)
        compile_classifier(model, settings(tmp_path), 10, False)
        if not visible:
            del model.train_step
        rows = np.arange(48).reshape(3, 16)
        logs = [model.train_on_batch(data[0].batch(each, LENGTH), data[0].labels[each], return_dict=True)
                for each in rows]  # fmt: skip
        return logs, get_weights(model)

    (ours, weights), (theirs, expected) = map(after_three_steps, (True, False))
    assert [set(each) for each in ours] == [{"loss", "accuracy"}] * 3
    for one, other in zip(ours, theirs):
        assert one == pytest.approx(other, abs=1e-6)
    for name, value in expected.items():
        np.testing.assert_allclose(weights[name], value, atol=1e-6, err_msg=name)


def test_biases_and_layer_norms_do_not_decay(data, tmp_path):
    model, _ = load_classifier(FIXTURES / "tiny_bert")
    compile_classifier(model, settings(tmp_path), 10, False)
    model.optimizer.build(model.trainable_variables)
    decaying = {v.path for v in model.trainable_variables if model.optimizer._use_weight_decay(v)}
    fixed = {v.path for v in model.trainable_variables} - decaying
    assert {path.split("/")[-1] for path in fixed} == {"bias", "gamma", "beta"}
    assert {path.split("/")[-1] for path in decaying} == {"kernel", "word", "position", "token_type"}


def test_several_labels_a_text_are_learnt(data, tmp_path):
    labels = np.stack([data[0].labels, 1 - data[0].labels, data[0].labels], axis=1).astype(np.float32)
    held_out = np.stack([data[1].labels, 1 - data[1].labels, data[1].labels], axis=1).astype(np.float32)
    config = read_config(FIXTURES / "tiny_bert") | {
        "problem_type": MULTI_LABEL,
        "id2label": {"0": "praise", "1": "blame", "2": "joy"},
    }
    before = data[0].labels, data[1].labels
    data[0].labels, data[1].labels = labels, held_out
    try:
        _, progress = train(data, tmp_path, config=config, total_steps=120)
    finally:
        data[0].labels, data[1].labels = before
    assert progress.history[-1]["validation_accuracy"] > 0.9


def test_cross_entropies_equal_keras():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(20, 3)) * 5, rng.integers(0, 3, 20)
    one = float(keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits))
    assert cross_entropies(logits, labels).mean() == pytest.approx(one, abs=1e-5)
    several = rng.integers(0, 2, (20, 3)).astype(float)
    many = float(keras.losses.BinaryCrossentropy(from_logits=True)(several, logits))
    assert cross_entropies(logits, several).mean() == pytest.approx(many, abs=1e-5)


def one_step(tmp_path, data, rows, steps=1, **changes):
    """The tiny BERT's weights before and after one update with all of `rows`, and Adam's momentums.

    The rows come in as many parts as there are `steps`.
    """
    keras.utils.set_random_seed(3)
    config = read_config(FIXTURES / "tiny_bert") | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model, _ = load_classifier(train.encoder, config | {"classifier_dropout": 0.0})
    before = get_weights(model)
    chosen = settings(tmp_path, warmup_ratio=0.0, gradient_accumulation_steps=steps, **changes)
    compile_classifier(model, chosen, 10_000, False)
    for part in np.split(rows, steps):
        model.train_on_batch(data[0].batch(part, LENGTH), data[0].labels[part])
    return before, get_weights(model), [np.asarray(each) for each in model.optimizer._momentums]


def test_accumulated_gradients_equal_those_of_the_whole_batch(data, tmp_path):
    rows = np.arange(32)
    (before, whole, momentums), (_, parts, others) = (
        one_step(tmp_path, data, rows, steps, max_grad_norm=1e9) for steps in (1, 4)
    )
    for name in whole:
        np.testing.assert_allclose(parts[name], whole[name], atol=2e-5, err_msg=name)
    for one, other in zip(momentums, others):  # Adam's first update is the same for any multiple of the gradient
        np.testing.assert_allclose(other, one, atol=1e-5 * np.abs(one).max() + 1e-9)
    assert np.abs(whole["classifier.weight"] - before["classifier.weight"]).max() > 1e-3


def test_lower_layers_learn_more_slowly(data, tmp_path):
    before, after, _ = one_step(tmp_path, data, np.arange(32), layerwise_lr_decay=0.5, weight_decay=0.0)
    # AdamW's first update is the learning rate itself, whatever the gradient
    moved = {name: np.abs(after[name] - before[name]).max() for name in after}
    assert moved["classifier.weight"] == pytest.approx(0.01, rel=0.01)
    assert moved["bert.encoder.layer.1.output.dense.weight"] == pytest.approx(0.005, rel=0.01)
    assert moved["bert.encoder.layer.0.output.dense.weight"] == pytest.approx(0.0025, rel=0.01)
    assert moved["bert.embeddings.word_embeddings.weight"] == pytest.approx(0.00125, rel=0.01)


def test_the_loss_with_smoothing_and_class_weights():
    logits, labels = np.array([[2.0, 0.0], [0.0, 1.0]], np.float32), np.array([0, 0], np.int32)
    log_shares = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    plain = np.asarray(classifier_loss(2)(labels, logits))
    np.testing.assert_allclose(plain, -log_shares[:, 0], atol=1e-6)
    smooth = np.asarray(classifier_loss(2, smoothing=0.2)(labels, logits))
    np.testing.assert_allclose(smooth, -0.9 * log_shares[:, 0] - 0.1 * log_shares[:, 1], atol=1e-6)
    weighed = np.asarray(classifier_loss(2, class_weights=np.float32([3.0, 1.0]))(labels, logits))
    np.testing.assert_allclose(weighed, 3 * plain, atol=1e-6)


def test_balanced_weights_of_labels():
    np.testing.assert_allclose(balanced_weights(np.array([0, 0, 0, 2]), 4), [1 / 3, 1, 1, 1])


def test_steps_are_whole_updates(data):
    batches = TrainBatches(data[0], 16, LENGTH, seed=3)
    assert (batches.steps(1), batches.steps(1, 8), batches.steps(0.1, 4)) == (20, 24, 4)


def losses_in_turn(monkeypatch, losses):
    """Makes validation give these losses, one after the other."""
    values = iter(losses)
    monkeypatch.setattr(evaluating, "evaluation_of", lambda *_: lambda forward: {"loss": next(values), "accuracy": 0.5})


def test_the_best_weights_come_back_and_training_ends_early(data, tmp_path, monkeypatch):
    losses_in_turn(monkeypatch, [0.9, 0.5, 0.7, 0.6, 0.1])
    seen = {}

    def remember(progress):
        seen[progress.step] = get_weights(progress.model)

    model, progress = train(data, tmp_path, callback=remember, total_steps=40, eval_steps=4, early_stopping_patience=2)
    assert progress.ended_early and not progress.interrupted and progress.step == 16
    assert progress.best["step"] == 8
    after_eight = seen[8 - 1]  # the callback runs before the step is counted
    for name, value in get_weights(model).items():
        np.testing.assert_array_equal(value, after_eight[name], err_msg=name)


@pytest.mark.parametrize("name, best", [("f1_macro", 8), ("ece", 4), ("metric", 12), ("loss", 12), ("accuracy", 8)])
def test_the_figure_that_is_named_says_which_validation_is_best(name, best, data, tmp_path, monkeypatch):
    rows = [{"loss": 0.9, "accuracy": 0.1, "f1_macro": 0.2, "exact_match": 0.1, "ece": 0.1, "f1_micro": 0.3},
            {"loss": 0.8, "accuracy": 0.1, "f1_macro": 0.5, "exact_match": 0.3, "ece": 0.3, "f1_micro": 0.4},
            {"loss": 0.1, "accuracy": 0.1, "f1_macro": 0.4, "exact_match": 0.2, "ece": 0.2, "f1_micro": 0.9}]  # fmt: skip
    values = iter(rows)
    monkeypatch.setattr(evaluating, "evaluation_of", lambda *_: lambda forward: next(values))
    _, progress = train(data, tmp_path, total_steps=12, eval_steps=4, load_best_model_at_end=True,
                        metric_for_best_model=name)  # fmt: skip
    assert progress.best["step"] == best


def test_validation_measures_the_figure_that_is_named(data, tmp_path, capsys):
    _, progress = train(data, tmp_path, total_steps=4, load_best_model_at_end=True, metric_for_best_model="f1_macro")
    assert 0 <= progress.history[-1]["validation_f1_macro"] <= 1 and "  f1_macro 0." in capsys.readouterr().out


def test_a_resumed_run_knows_the_best_weights_so_far(data, tmp_path, monkeypatch):
    losses_in_turn(monkeypatch, [0.5, 0.7])

    def stop_at_eight(progress):
        if progress.step == 7:
            os.kill(os.getpid(), signal.SIGINT)

    _, stopped = train(data, tmp_path, callback=stop_at_eight, eval_steps=4, load_best_model_at_end=True)
    assert stopped.interrupted and stopped.best["step"] == 4
    losses_in_turn(monkeypatch, [0.8, 0.8, 0.8, 0.8])
    resumed, progress = train(data, tmp_path, eval_steps=4, load_best_model_at_end=True, resume_from_checkpoint="last")
    assert progress.step == STEPS and progress.best["step"] == 4
    for value, best in zip(resumed.weights, stopped.best["weights"], strict=True):
        np.testing.assert_array_equal(np.asarray(value), best)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="elsewhere a generator feeds")
def test_the_feed_resumes_at_a_step_and_leaves_no_thread_for_fit_to_wait_for(data):
    batches = TrainBatches(data[0], 16, LENGTH, seed=3)
    feed = feeding.feed(batches, 5)
    assert not feed.options().autotune.enabled
    for (inputs, labels), (wanted, wanted_labels), _ in zip(feed, batches.stream(5), range(3)):
        np.testing.assert_array_equal(inputs["input_ids"], wanted["input_ids"])
        np.testing.assert_array_equal(labels, wanted_labels)


def test_too_little_memory_for_evaluation_names_its_batch_size(data):
    def forward(inputs):
        raise RuntimeError("RESOURCE_EXHAUSTED: out of memory while trying to allocate 4 bytes")

    with pytest.raises(UserError, match="64 texts of 32 tokens: lower --per_device_eval_batch_size"):
        predict(forward, data[1], settings("."))


@pytest.mark.parametrize("steps, lines", [(60, 6), (24, 3)])
def test_the_pace_is_told_once_without_the_first_step(data, tmp_path, monkeypatch, steps, lines):
    now, paces = [1.0], []
    monkeypatch.setattr("tfbert.training.progress.time.perf_counter", lambda: now[0])

    def pass_time(progress):
        now[0] += 3.0 if progress.step else 100.0  # before the first step ends, and the others

    changes = dict(when_paced=paces.append, logging_steps=None, eval_steps=100)
    _, progress = train(data, tmp_path, callback=pass_time, total_steps=steps, **changes)
    assert len([row for row in progress.history if "loss" in row]) == lines
    assert (progress.first_step_seconds, progress.train_seconds) == (100, 100 + 3 * (steps - 1))
    batches = TrainBatches(data[0], 16, LENGTH, seed=3)
    assert paces == [30 / batches.padded_tokens(10, 10)]  # of steps 11 to 20
    assert progress.history[0]["texts_per_second"] == pytest.approx(16 / 3)
