import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import BAD, ENCODERS, FIXTURES, GOOD, ROOT
from safetensors.numpy import load_file

import infer
import train
from tfbert.common.errors import UserError, run
from tfbert.data.tasks import TASKS
from tfbert.inference.predicting import Predictor
from tfbert.model.configs import read_config
from tfbert.model.folders import load_classifier
from tfbert.training import models
from tfbert.training.progress import Progress


def test_a_run_leaves_model_pictures_and_report(trained):
    names = {
        "tf_model.h5", "config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "pytorch", "onnx",
        "metrics.json", "README.md", "history.csv", "history.json", "plots", "training_report.md",
    }  # fmt: skip
    assert set(os.listdir(trained)) == names
    assert {"config.json", "model.safetensors", "tokenizer.json", "vocab.txt"} <= set(os.listdir(trained / "pytorch"))
    pictures = {"loss.png", "accuracy.png", "confusion_matrix.png", "roc.png"}  # 100 short reviews: not the others
    assert set(os.listdir(trained / "plots")) == pictures
    assert all((trained / "plots" / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_the_config_names_the_labels(trained):
    config = read_config(trained)
    assert config["id2label"] == {"0": "negative", "1": "positive"}
    assert config["label2id"] == {"negative": 0, "positive": 1}
    assert config["architectures"] == ["BertForSequenceClassification"]
    reading = {name: value for name, value in config["tfbert"].items() if name != "temperature"}
    assert reading == {"max_seq_length": 64, "truncation": "head+tail", "head_share": 0.25, "long_texts": "windows",
                       "pooling": "pooler", "example": TASKS["imdb"].example}  # fmt: skip
    assert 0.1 <= config["tfbert"]["temperature"] <= 10


def test_the_figures_are_those_of_the_saved_model(trained, dataset_folder):
    from datasets import load_dataset

    metrics = json.loads((trained / "metrics.json").read_text())
    keys = ("accuracy accuracy_low accuracy_high f1 roc_auc log_loss ece n_train n_test baseline_accuracy "
            "train_seconds model dataset")  # fmt: skip
    assert set(keys.split()) <= set(metrics)
    assert metrics["accuracy"] >= 0.95 and metrics["n_train"] == 280 and metrics["n_test"] == 100
    assert metrics["dataset"] == str(dataset_folder) and "untrained" in metrics["model"]
    test = load_dataset(str(dataset_folder), split="test")
    labels = [result["label"] for result in Predictor(trained)(test["text"])]
    right = np.mean([label == ["negative", "positive"][number] for label, number in zip(labels, test["label"])])
    assert metrics["accuracy"] == pytest.approx(right)
    assert sum(map(sum, metrics["confusion_matrix"])) == 100


def test_the_report_says_what_was_measured(trained):
    report, metrics = (trained / "training_report.md").read_text(), json.loads((trained / "metrics.json").read_text())
    for text in (f"{metrics['accuracy']:.2%} accuracy", f"{metrics['baseline_accuracy']:.2%}", "untrained",
                 "plots/confusion_matrix.png", "`--learning_rate` | `0.005`", "train.py --model_name_or_path"):  # fmt: skip
        assert text in report
    card = (trained / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: keras") and f"{metrics['accuracy']:.4f}" in card


def test_onnx_and_keras_agree(trained, tmp_path):
    texts = ["the film was very good.", "the plot was dull. " * 30, "!"]
    without_onnx = shutil.copytree(trained, tmp_path / "keras", ignore=shutil.ignore_patterns("onnx"))
    fast, slow = Predictor(trained), Predictor(without_onnx)
    ids = fast.encoder(texts)[0]
    np.testing.assert_allclose(fast.logits(ids), slow.logits(ids), atol=1e-4)


@pytest.mark.parametrize("name", ENCODERS)
def test_onnx_and_keras_agree_for_every_encoder(name, tmp_path):
    from tfbert.inference.onnx_export import export_onnx
    from tfbert.inference.runtimes import onnx_model

    with np.load(FIXTURES / name / "golden.npz") as file:
        batch = {key: file[key].astype(np.int32) for key in ("input_ids", "attention_mask")}
    model, _ = load_classifier(FIXTURES / name)
    types = model.config.type_vocab_size or 2  # those that have none leave them aside
    batch["token_type_ids"] = np.arange(batch["input_ids"].shape[1], dtype=np.int32) % types * batch["attention_mask"]
    model.compile(jit_compile=False)
    path = tmp_path / "onnx" / "model.onnx"
    path.parent.mkdir()
    export_onnx(model, path)
    expected = model.predict_on_batch(batch)
    for brief in (False, True):
        assert abs(onnx_model(tmp_path, brief=brief)(batch) - expected).max() < 1e-5
    assert 1e-5 < abs(onnx_model(tmp_path, quantize=True)(batch) - expected).max() < 0.2
    del batch["token_type_ids"]
    assert abs(onnx_model(tmp_path)(batch) - model.predict_on_batch(batch)).max() < 1e-5


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_a_head_without_a_pooler_is_exported_and_saved(pooling, tmp_path):
    from tfbert.inference.onnx_export import export_onnx
    from tfbert.inference.runtimes import onnx_model
    from tfbert.model.folders import save_classifier
    from tfbert.model.vocabulary import load_tokenizer
    from tfbert.model.weights import get_weights

    with np.load(FIXTURES / "tiny_bert" / "golden.npz") as file:
        batch = {key: file[key].astype(np.int32) for key in ("input_ids", "attention_mask")}
    config = read_config(FIXTURES / "tiny_bert") | {"tfbert": {"pooling": pooling}}
    model, line = load_classifier(FIXTURES / "tiny_bert", config)
    assert "left aside: bert" in line or "left aside: pooler" in line
    model.compile(jit_compile=False)
    path = tmp_path / "onnx" / "model.onnx"
    path.parent.mkdir()
    export_onnx(model, path)
    assert abs(onnx_model(tmp_path)(batch) - model.predict_on_batch(batch)).max() < 1e-5
    tokenizer = load_tokenizer(FIXTURES / "tiny_bert", 64, config)
    save_classifier(tmp_path, get_weights(model), config, tokenizer)
    again, _ = load_classifier(tmp_path)
    np.testing.assert_array_equal(np.asarray(again(batch)), np.asarray(model(batch)))


@pytest.mark.parametrize("name", ["tiny_roberta", "tiny_mpnet", "tiny_albert"])
@pytest.mark.usefixtures("no_pictures")
def test_other_encoders_are_trained_and_used(name, dataset_folder, tmp_path, capsys):
    output = tmp_path / "model"
    arguments = ["--model_name_or_path", FIXTURES / name, "--dataset_name", dataset_folder, "--output_dir", output,
                 "--max_seq_length", 64, "--max_train_samples", 64, "--max_eval_samples", 40]  # fmt: skip
    assert train.main([str(argument) for argument in arguments]) is None
    assert read_config(output)["architectures"] == read_config(FIXTURES / name)["architectures"]
    capsys.readouterr()
    assert infer.main(["--model_dir", str(output), "the film was good"]) is None
    assert "Label:  " in capsys.readouterr().out


@pytest.mark.usefixtures("no_pictures")
def test_several_seeds_are_reported_and_the_median_is_saved(untrained, dataset_folder, tmp_path):
    output = tmp_path / "model"
    arguments = ["--model_name_or_path", untrained, "--dataset_name", dataset_folder, "--output_dir", output,
                 "--max_seq_length", 32, "--learning_rate", 0.003, "--max_train_samples", 160, "--seeds", 3,
                 "--num_train_epochs", 2]  # fmt: skip
    assert train.main([str(argument) for argument in arguments]) is None
    metrics = json.loads((output / "metrics.json").read_text())
    assert [row["seed"] for row in metrics["seeds"]] == [42, 43, 44]
    held_out = sorted((row["validation_accuracy"], row["seed"]) for row in metrics["seeds"])
    middle = next(row for row in metrics["seeds"] if row["seed"] == metrics["seed"])
    assert middle["validation_accuracy"] == held_out[1][0] and middle["accuracy"] == metrics["accuracy"]
    report = (output / "training_report.md").read_text()
    mean = np.mean([row["accuracy"] for row in metrics["seeds"]])
    assert f"**{mean:.2%} +- " in report and "| 43 |" in report
    assert not (output / "checkpoints").exists()


@pytest.mark.usefixtures("no_pictures")
def test_the_average_of_several_seeds_is_saved(untrained, dataset_folder, tmp_path, monkeypatch, capsys):
    heads, runs, learn, new_model = [], [], train.learn, models.new_model

    def watched_model(job, seed):
        model = new_model(job, seed)
        heads.append(model.get_weights()[-2])
        return model

    monkeypatch.setattr(models, "new_model", watched_model)
    monkeypatch.setattr(train, "learn", lambda job: runs.extend(learn(job)) or runs)
    more = ["--seeds", 2, "--average_seeds", "--learning_rate", 0.003]
    assert train.main(started(tmp_path / "model", untrained, dataset_folder, *more)) is None
    assert heads[0].shape[1] == 2 and np.array_equal(*heads)
    first, second = (run.weights for run in runs)
    assert not np.array_equal(first[-2], second[-2])
    saved = load_classifier(tmp_path / "model", read_config(tmp_path / "model"))[0]
    for each, one, other in zip(saved.get_weights(), first, second, strict=True):
        np.testing.assert_allclose(each, (one + other) / 2, atol=1e-6)
    metrics = json.loads((tmp_path / "model/metrics.json").read_text())
    assert [row["seed"] for row in metrics["seeds"]] == [42, 43, "average"]
    assert metrics["seeds"][-1]["accuracy"] == metrics["accuracy"]
    assert metrics["train_seconds"] == sum(row["train_seconds"] for row in metrics["seeds"][:2])
    mean = np.mean([row["accuracy"] for row in metrics["seeds"][:2]])
    report = (tmp_path / "model/training_report.md").read_text()
    assert f"**{mean:.2%} +- " in report and "is the average of their weights. The curves are those of seed 4" in report
    assert "| average |" in report and "saved is the average of their" in capsys.readouterr().out


def started(folder, untrained, dataset_folder, *more):
    """What `train.main` is given in the tests below."""
    values = ["--model_name_or_path", untrained, "--dataset_name", dataset_folder, "--output_dir", folder,
              "--max_seq_length", 32, "--max_train_samples", 64, "--max_eval_samples", 40, *more]  # fmt: skip
    return [str(value) for value in values]


@pytest.mark.usefixtures("no_pictures")
def test_an_interrupted_job_of_several_seeds_ends_as_one_that_was_not(untrained, dataset_folder, tmp_path, monkeypatch):
    more = ["--seeds", 2, "--average_seeds", "--num_train_epochs", 1]
    assert train.main(started(tmp_path / "whole", untrained, dataset_folder, *more)) is None
    begin = Progress.on_train_batch_begin

    def stopped_in_the_second_seed(self, batch, logs=None):
        self.stop_asked = self.checkpoints.name == "seed-43" and self.step == 1
        begin(self, batch, logs)

    interrupted = started(tmp_path / "interrupted", untrained, dataset_folder, *more)
    with monkeypatch.context() as patched:
        patched.setattr(Progress, "on_train_batch_begin", stopped_in_the_second_seed)
        assert train.main(interrupted) == 130
    with pytest.raises(UserError, match="run with average_seeds True, not False"):
        train.main([*(each for each in interrupted if each != "--average_seeds"), "--resume_from_checkpoint", "last"])
    assert train.main([*interrupted, "--resume_from_checkpoint", "last"]) is None
    whole, resumed = (load_file(tmp_path / name / "pytorch/model.safetensors") for name in ("whole", "interrupted"))
    for name in whole:
        np.testing.assert_allclose(resumed[name], whole[name], atol=1e-6)
    for name, begun in {"whole": "| started | ", "interrupted": "| resumed | "}.items():
        assert begun in (tmp_path / name / "training_report.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("no_pictures")
def test_an_interrupted_run_leaves_a_finished_model_alone(
    trained, untrained, dataset_folder, tmp_path, monkeypatch, capsys
):
    folder = shutil.copytree(trained, tmp_path / "model")
    before = {name: (folder / name).read_bytes() for name in ("tf_model.h5", "metrics.json", "onnx/model.onnx.data")}
    arguments = started(folder, untrained, dataset_folder, "--overwrite_output_dir")
    begin = Progress.on_train_batch_begin

    def stopped_at_once(self, batch, logs=None):
        self.stop_asked = True
        begin(self, batch, logs)

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "on_train_batch_begin", stopped_at_once)
        assert train.main(arguments) == 130
    assert "still holds the model of an earlier run" in " ".join(capsys.readouterr().out.split())
    assert all((folder / name).read_bytes() == content for name, content in before.items())
    assert train.main([*arguments, "--resume_from_checkpoint", "last"]) is None
    assert (folder / "tf_model.h5").read_bytes() != before["tf_model.h5"]


@pytest.mark.usefixtures("no_pictures")
def test_starting_again_removes_the_checkpoints_of_before(untrained, dataset_folder, tmp_path):
    old = tmp_path / "model/checkpoints/seed-43/step-00000003"
    old.mkdir(parents=True)
    arguments = started(tmp_path / "model", untrained, dataset_folder, "--overwrite_output_dir", "--seeds", 2)
    assert train.main(arguments) is None
    assert len(json.loads((tmp_path / "model/metrics.json").read_text())["seeds"]) == 2


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--resume_from_checkpoint", "last", "--seed", "7"], "no checkpoint of seed-7, only of seed-42"),
        (["--seed", str(2**32 - 1), "--seeds", "2"], "seeds end at 4294967295"),
        (["--resume_from_checkpoint", "somewhere", "--seeds", "2"], "with several seeds: give last"),
        (["--average_seeds"], "averages several runs: add --seeds 3"),
    ],
)
def test_seeds_that_cannot_be_are_refused_at_once(arguments, message, untrained, dataset_folder, tmp_path):
    checkpoint = tmp_path / "model/checkpoints/seed-42/step-00000003"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text("{}")
    with pytest.raises(UserError, match=message):
        train.main(started(tmp_path / "model", untrained, dataset_folder, *arguments))
    assert checkpoint.exists()


@pytest.mark.usefixtures("no_pictures")
def test_only_what_train_py_wrote_is_removed(untrained, dataset_folder, tmp_path):
    mine = tmp_path / "model/checkpoints/mine/epoch3"
    old = tmp_path / "model/checkpoints/seed-7/step-00000003"
    mine.mkdir(parents=True), old.mkdir(parents=True)
    assert train.main(started(tmp_path / "model", untrained, dataset_folder, "--overwrite_output_dir")) is None
    assert mine.exists() and not old.exists() and not (tmp_path / "model/checkpoints/seed-42").exists()


def test_another_run_is_not_lost_to_a_checkpoint_from_elsewhere(untrained, dataset_folder, tmp_path):
    step = tmp_path / "model/checkpoints/seed-42/step-00000003"
    step.mkdir(parents=True)
    (step / "state.json").write_text("{}")
    elsewhere = ["--resume_from_checkpoint", tmp_path / "other/checkpoints/seed-42/step-00000005"]
    with pytest.raises(UserError, match="holds an unfinished run"):
        train.main(started(tmp_path / "model", untrained, dataset_folder, *elsewhere))
    assert step.exists()


def test_a_damaged_pretraining_json_is_said_before_the_work(untrained, dataset_folder, tmp_path):
    encoder = shutil.copytree(untrained, tmp_path / "encoder")
    for text in ("{bad", "{}", "[]"):
        (encoder / "pretraining.json").write_text(text)
        with pytest.raises(UserError, match="pretraining.json is damaged"):
            train.main(started(tmp_path / "model", encoder, dataset_folder))


def test_the_saved_temperature_is_what_infer_divides_by(trained):
    temperature = read_config(trained)["tfbert"]["temperature"]
    predictor = Predictor(trained)
    ids, _, _ = predictor.encoder(["the film was good", "a dull story"])
    logits = predictor.logits(ids) / temperature
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = [list(result["probabilities"].values()) for result in predictor.label(ids)]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_saved_folders_hold_the_same_weights(trained):
    ids = {"input_ids": np.arange(5, 37).reshape(2, 16)}
    first, second = (np.asarray(load_classifier(folder)[0](ids)) for folder in (trained, trained / "pytorch"))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "files, message",
    [
        (["README.md"], "holds README.md, which was not written here"),
        (["metrics.json", "README.md"], "holds .*, which was not written here"),
        (["training_report.md"], "holds training_report.md, which was not written here"),
        (["plots/roc.png"], "holds plots, which was not written here"),
        (["tf_model.h5", "model.safetensors"], "holds model.safetensors, which train.py did not write"),
        (
            ["checkpoints/seed-42/step-00000003/state.json"],
            "holds an unfinished run: go on with --resume_from_checkpoint last",
        ),
    ],
)
def test_what_stands_in_the_output_folder_is_not_lost(files, message, tmp_path):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("mine")
    with pytest.raises(UserError, match=message):
        train.main(["--output_dir", str(tmp_path)])
    assert all((tmp_path / file).read_text() == "mine" for file in files)


@pytest.mark.parametrize("more", [[], ["--resume_from_checkpoint", "elsewhere/checkpoints/seed-42/step-00000003"]])
def test_a_model_is_not_overwritten_unasked(more, trained):
    before = (trained / "tf_model.h5").read_bytes()
    with pytest.raises(UserError, match="--overwrite_output_dir"):
        train.main(["--output_dir", str(trained), *more])
    assert (trained / "tf_model.h5").read_bytes() == before


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--model_name_or_path", "./nowhere"], "there is no such folder"),
        (["--model_name_or_path", "someone/something"], "HF_HUB_OFFLINE is set"),
        (["--model_name_or_path", str(ROOT / "train.py")], "is a file"),
        (["--model_name_or_path", str(ROOT / "tests")], "holds no config.json"),
        (["--dataset_name", "./nowhere"], "there is no such folder"),
        (["--dataset_name", str(FIXTURES / "tiny_bert")], "cannot read the data set|has the splits"),
        (["--max_seq_length", "1000000"], "reads at most 64 tokens"),
        (["--max_seq_length", "65"], "reads at most 64 tokens"),
        (["--output_dir", "/proc/nowhere"], "--output_dir /proc/nowhere: cannot write there"),
        (["--output_dir", str(ROOT / "train.py")], "cannot write there"),
        (["--task_name", "imbd"], "did you mean imdb"),
        (["--validation_samples", "200"], "more than half"),
        (["--max_eval_samples", "1"], "at least 2"),
        (["--output_dir", "."], "holds the folder that you are in"),
        (["--output_dir", ""], "must be text"),
        (["--resume_from_checkpoint", "last"], "holds no checkpoint"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_model(arguments, message, dataset_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    known = ["--model_name_or_path", str(FIXTURES / "tiny_bert"), "--dataset_name", str(dataset_folder)]
    sizes = ["--max_seq_length", "64", "--validation_samples", "40", "--output_dir", str(tmp_path / "new")]
    assert run(lambda: train.main(known + sizes + arguments)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and __import__("re").search(message, error)
    assert not list(tmp_path.rglob("tf_model.h5"))


def test_ctrl_c_saves_what_was_learnt(dataset_folder, tmp_path):
    command = [
        sys.executable, "train.py", "--model_name_or_path", FIXTURES / "tiny_bert", "--dataset_name", dataset_folder,
        "--output_dir", tmp_path / "model", "--max_seq_length", "64", "--validation_samples", "40",
        "--num_train_epochs", "100000", "--logging_steps", "1",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("step     3/"):
            process.send_signal(2)
            break
    output, error = process.communicate(timeout=120)
    assert process.returncode == 130, error
    assert "--resume_from_checkpoint last" in output and "Traceback" not in error
    assert Predictor(tmp_path / "model")(["a good film"])[0]["label"] in ("negative", "positive")
    assert len(list((tmp_path / "model" / "checkpoints").glob("seed-42/step-*"))) == 1


# infer.py


def lines(capsys):
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def model(trained):
    return ["--model_dir", str(trained)]


def test_the_example_is_labelled_without_arguments(model, capsys, monkeypatch):
    monkeypatch.setattr(infer, "something_is_piped", lambda settings: False)
    infer.main(model)
    review, label = lines(capsys)
    assert review == "Text:   This movie is absolutely wonderful and inspiring."
    assert label.startswith("Label:  positive (")


def test_the_example_is_one_of_the_task(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(infer, "something_is_piped", lambda settings: False)
    folder = shutil.copytree(trained, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    assert config["tfbert"]["example"] == TASKS["imdb"].example
    config["tfbert"]["example"] = "the film was good."
    (folder / "config.json").write_text(json.dumps(config))
    infer.main(["--model_dir", str(folder)])
    assert lines(capsys)[0] == "Text:   the film was good."


def test_texts_are_labelled_in_their_order(model, capsys):
    texts = [
        f"the {thing} was really {word}." for thing in ("film", "music") for pair in zip(GOOD, BAD) for word in pair
    ]
    infer.main([*model, *texts])
    assert [line.split()[0] for line in lines(capsys)] == ["positive", "negative"] * (len(texts) // 2)


def test_escapes_in_texts_and_labels_do_not_reach_the_terminal(trained, tmp_path, capsys):
    folder = tmp_path / "model"
    shutil.copytree(trained, folder)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {number: f"\x1b[31m{name}" for number, name in config["id2label"].items()}
    (folder / "config.json").write_text(json.dumps(config))
    for texts in (["good \x1b]0;title\x07"], ["good \x1b]0;title\x07", "bad"]):
        infer.main(["--model_dir", str(folder), *texts])
        shown = capsys.readouterr().out
        assert "\x1b" not in shown and "\\x1b[31m" in shown and "good \\x1b]0;title\\x07" in shown
    infer.main(["--model_dir", str(folder), "--json", "good \x1b]0;title\x07"])
    assert json.loads(capsys.readouterr().out)["text"] == "good \x1b]0;title\x07"


def test_json_has_every_probability(model, capsys):
    infer.main([*model, "--json", "a good film"])
    result = json.loads(lines(capsys)[0])
    assert result["text"] == "a good film" and result["label"] == "positive"
    assert sum(result["probabilities"].values()) == pytest.approx(1.0, abs=1e-6)
    assert result["probability"] == max(result["probabilities"].values())


@pytest.mark.parametrize(
    "name, text, extra",
    [
        ("r.txt", "a good film\na dull film\n", []),
        ("r.csv", 'id,text\n1,"a good,\ngood film"\n2,a dull film\n', []),
        ("r.tsv", "review\tid\na good film\t1\na dull film\t2\n", ["--text_column", "review"]),
        ("r.jsonl", '{"text": "a good film"}\n"a dull film"\n', []),
        ("r.json", '[{"text": "a good film"},\n {"text": "a dull film"}]', []),
        ("r.tsv", 'text\tlabel\n"a good film\tx\na dull film"\tx\n', []),
    ],
)
def test_files_are_labelled(model, capsys, tmp_path, name, text, extra):
    (tmp_path / name).write_text("\ufeff" + text, encoding="utf-8")
    infer.main([*model, "--file", str(tmp_path / name), *extra])
    assert [line.split()[0] for line in lines(capsys)] == ["positive", "negative"]


def test_a_long_review_is_read_at_head_and_tail(model, tmp_path, capsys):
    folder = tmp_path / "model"
    shutil.copytree(model[1], folder)
    config = json.loads((folder / "config.json").read_text())
    config["tfbert"]["long_texts"] = "cut"
    (folder / "config.json").write_text(json.dumps(config))
    infer.main(["--model_dir", str(folder), "good " * 200 + "film " * 10_000 + "good " * 200])
    captured = capsys.readouterr()
    assert "10,402 tokens; the model reads the first 15 and the last 47" in captured.err
    assert "positive" in captured.out


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("r.txt", b"a good film\0\n", "line 1: a NUL byte"),
        ("r.txt", b"\x89PNG\xff\xfe\n", "line 1: not UTF-8 text"),
        ("r.csv", b"a,b\n1,2\n", "no column 'text', but a, b"),
        ("r.csv", b"", "r.csv is empty"),
        ("r.jsonl", b'{"text": 3}\n', "line 1: text is '3', not text"),
        ("r.jsonl", b"{\n", "line 1: not JSON"),
        ("r.jsonl", b'{"body": "x"}\n', "no column 'text', but body"),
        ("r.pdf", b"x", "must end in .txt"),
        ("r.txt", None, "No such file"),
        ("", None, "is a folder"),
    ],
)
def test_a_bad_file_is_one_line(model, capsys, tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert run(lambda: infer.main([*model, "--file", str(path)])) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and message in error[0]


def test_of_many_texts_one_without_words_gets_no_label(model, capsys, tmp_path):
    (tmp_path / "r.csv").write_text("text\na good film\n \n😀 🎉\na dull film\n", encoding="utf-8")
    infer.main([*model, "--file", str(tmp_path / "r.csv"), "--json"])
    captured = capsys.readouterr()
    labels = [json.loads(line)["label"] for line in captured.out.splitlines()]
    assert labels == ["positive", None, None, "negative"]
    assert "line 3 is empty: no label" in captured.err and "line 4 has no word" in captured.err
    (tmp_path / "r.txt").write_text("a good film\n\n😀 🎉\na dull film\n", encoding="utf-8")
    infer.main([*model, "--file", str(tmp_path / "r.txt"), "--json"])  # one label for each line, also for an empty one
    assert [json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()] == labels
    infer.main([*model, "--file", str(tmp_path / "r.csv")])
    assert lines(capsys)[1:3] == ["(no label)  ", "(no label)  😀 🎉"]


def test_the_good_lines_before_a_bad_one_are_labelled(model, capsys, tmp_path):
    (tmp_path / "r.txt").write_bytes(b"a good film\na dull film\n\xff\na good film\n")
    assert run(lambda: infer.main([*model, "--file", str(tmp_path / "r.txt")])) == 2
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()] == ["positive", "negative"]
    assert "line 3: not UTF-8 text" in captured.err


def test_a_table_is_read_as_for_training_and_the_guess_is_said(model, capsys, tmp_path):
    (tmp_path / "r.tsv").write_text('text\tlabel\n"a good film\tx\na dull film"\tx\n')
    for more, texts in (([], 2), (["--quoting", "none"], 2), (["--quoting", "minimal"], 1)):
        infer.main([*model, "--file", str(tmp_path / "r.tsv"), "--json", *more])
        captured = capsys.readouterr()
        assert len(captured.out.splitlines()) == texts and ("note: " in captured.err) == (more == [])


def test_a_text_that_begins_with_a_dash_stands_after_two(model, capsys):
    assert run(lambda: infer.main([*model, "-boring"])) == 2
    assert "a text that begins with - stands after --" in capsys.readouterr().err
    infer.main([*model, "a dull film", "--json", "--", "-a good film", "--json"])
    assert [json.loads(line)["text"] for line in lines(capsys)] == ["a dull film", "-a good film", "--json"]


def test_flags_may_stand_between_texts(model, capsys):
    infer.main([*model, "a good film", "--json", "a dull film"])
    assert [json.loads(line)["label"] for line in lines(capsys)] == ["positive", "negative"]


def test_json_keeps_every_sign_whatever_the_terminal_has(model):
    command = [sys.executable, "infer.py", *model, "--json", "a good film 🎉"]
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    output = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True).stdout
    assert json.loads(output.decode("utf-8"))["text"] == "a good film 🎉"


@pytest.mark.parametrize("text, message", [("", "text 1 is empty"), ("😀 🎉", "text 1 has no word")])
def test_a_review_without_words_is_one_line(model, capsys, text, message):
    assert run(lambda: infer.main([*model, text])) == 2
    assert message in capsys.readouterr().err


def test_standard_input_goes_with_no_other_text(model, capsys):
    assert run(lambda: infer.main([*model, "a good film", "-"])) == 2
    assert "give it alone" in capsys.readouterr().err


def test_without_a_model_train_py_is_named(capsys, tmp_path):
    assert run(lambda: infer.main(["--model_dir", str(tmp_path)])) == 2
    assert "run python train.py first" in capsys.readouterr().err


def test_a_damaged_onnx_model_is_one_line(trained, tmp_path, capsys):
    broken = shutil.copytree(trained, tmp_path / "broken")
    (broken / "onnx/model.onnx").write_bytes((broken / "onnx/model.onnx").read_bytes()[:5000])
    assert run(lambda: infer.main(["--model_dir", str(broken), "good"])) == 2
    assert "cannot read" in capsys.readouterr().err


def test_inference_imports_nothing_heavy(trained):
    program = (
        "import sys, infer; infer.main(['--model_dir', sys.argv[1], 'a good film'])\n"
        "heavy = {'tensorflow', 'keras', 'transformers', 'datasets', 'sklearn', 'matplotlib', 'pandas'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program, trained], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "positive" in result.stdout


@pytest.mark.parametrize(
    "words, message",
    [
        (["-", "--text_column", "review"], "--text_column: standard input is one text a line"),
        (["--file", "some.txt", "--quoting", "none"], "--quoting: some.txt is one text a line"),
        (["--file", "some.csv", "--text_pair_column", "answer"], "--text_pair_column: .* labels single texts"),
    ],
)
def test_flags_of_tables_where_there_is_none_are_refused(model, words, message):
    with pytest.raises(UserError, match=message):
        infer.main([*words, *model])


def test_standard_input_is_read(trained):
    command = [sys.executable, "infer.py", "--model_dir", trained]
    for extra in ([], ["-"], ["--file", "-"]):
        result = subprocess.run(
            command + extra, cwd=ROOT, input="a good film\na dull film\n", capture_output=True, text=True
        )
        assert [line.split()[0] for line in result.stdout.splitlines()] == ["positive", "negative"], result.stderr


def test_a_slow_pipe_is_waited_for_and_an_empty_one_labels_nothing(trained):
    command = [sys.executable, "infer.py", "--model_dir", trained, "--json"]
    slow = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    time.sleep(3)
    output, _ = slow.communicate("a dull film\n")
    assert json.loads(output)["label"] == "negative"
    empty = subprocess.run(command, cwd=ROOT, input="", capture_output=True, text=True)
    assert empty.stdout == "" and "there are no texts" in empty.stderr


def test_a_silent_pipe_is_no_text_to_a_program(model, capsys, monkeypatch):
    read, write = os.pipe()
    saved = os.dup(0)
    os.dup2(read, 0)
    monkeypatch.setattr(infer, "PATIENCE", 0.1)
    monkeypatch.setattr(sys, "stdin", open(read))
    try:
        assert run(lambda: infer.main([*model, "--json"])) == 2
        assert "or - to wait longer" in capsys.readouterr().err
        assert run(lambda: infer.main(model)) == 0
        assert "absolutely wonderful" in capsys.readouterr().out
    finally:
        os.dup2(saved, 0)
        os.close(write)


def test_an_onnx_model_of_other_labels_is_one_line(trained, tmp_path, capsys):
    broken = shutil.copytree(trained, tmp_path / "broken")
    labels = {"id2label": {0: "a", 1: "b", 2: "c"}}
    (broken / "config.json").write_text(json.dumps(read_config(broken) | labels))
    assert run(lambda: infer.main(["--model_dir", str(broken), "good"])) == 2
    assert "has 2 labels, but config.json 3" in capsys.readouterr().err


@pytest.mark.parametrize("texts, others", [("one text", None), (["a"], ["b"])])
def test_a_predictor_refuses_what_it_would_misread(texts, others, trained):
    with pytest.raises(UserError, match="in a list|one list of texts"):
        Predictor(trained)(texts, others)


def test_quantized_the_model_gives_the_same_labels(trained, dataset_folder, tmp_path, capsys):
    from datasets import load_dataset

    folder = shutil.copytree(trained, tmp_path / "model")
    texts = load_dataset(str(dataset_folder), split="test")["text"]
    exact, rough = Predictor(folder), Predictor(folder, quantize=True)
    assert "Writing" in capsys.readouterr().err
    first, second = (predictor.logits(predictor.encoder(texts)[0]) for predictor in (exact, rough))
    assert (first.argmax(1) == second.argmax(1)).mean() >= 0.98
    assert 1e-6 < np.abs(first - second).max() < 0.2 * np.ptp(first)
    written = (folder / "onnx" / "model_quantized.onnx").stat().st_mtime_ns
    assert infer.main(["--quantize", "--model_dir", str(folder), "a wonderful film"]) is None
    assert "positive" in capsys.readouterr().out
    assert (folder / "onnx" / "model_quantized.onnx").stat().st_mtime_ns == written


def test_another_model_with_an_older_date_is_quantized_anew(tmp_path, monkeypatch, capsys):
    """As rsync and cp -a leave it."""
    from tfbert.inference import quantizing, runtimes

    made = []
    monkeypatch.setattr(quantizing, "quantize", lambda source, target: (made.append(1), target.write_bytes(b"int8")))
    path = tmp_path / "model.onnx"
    for number, (graph, weights) in enumerate([(b"a", b"1"), (b"a", b"1"), (b"a", b"2"), (b"b", b"2")]):
        path.write_bytes(graph)
        path.with_name("model.onnx.data").write_bytes(weights)
        os.utime(path, (number, number))
        assert runtimes.quantized(path).read_bytes() == b"int8"
    assert len(made) == 3


def test_what_cannot_be_quantized_is_said(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "model")
    (folder / "onnx" / "model.onnx").write_bytes(b"no model")
    with pytest.raises(UserError, match="cannot make"):
        Predictor(folder, quantize=True)
    assert set(os.listdir(folder / "onnx")) == {"model.onnx", "model.onnx.data"}
    shutil.rmtree(folder / "onnx")
    with pytest.raises(UserError, match="--quantize needs"):
        Predictor(folder, quantize=True)
