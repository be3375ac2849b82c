import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import FIXTURES, reviews

import train
from tfbert.common.errors import UserError
from tfbert.common.timing import Countdown
from tfbert.data.batches import Examples
from tfbert.training import teaching
from tfbert.training.step import classifier_loss, share_of_decisions, share_right

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFBERT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "teachers"


def taught(trained, untrained, dataset_folder, output, *more):
    arguments = [
        "--model_name_or_path", untrained, "--dataset_name", dataset_folder, "--output_dir", output, "--teacher",
        trained, "--max_seq_length", 32, "--num_train_epochs", 3, "--learning_rate", 0.005, "--hidden_dropout", 0,
        "--per_device_train_batch_size", 16, "--precision", "float32", "--max_train_samples", 32,
        "--validation_samples", 40, "--max_eval_samples", 100, *more,
    ]  # fmt: skip
    return train.main([str(argument) for argument in arguments])


def test_teacher_and_student_stand_side_by_side(trained, untrained, dataset_folder, tmp_path, cache, monkeypatch):
    asked = []
    monkeypatch.setattr(teaching.Teacher, "logits", lambda self, examples, logits=teaching.Teacher.logits: (
        asked.append(len(examples)), logits(self, examples))[1])  # fmt: skip
    assert taught(trained, untrained, dataset_folder, tmp_path / "student") is None
    assert asked == [32, 100]
    metrics = json.loads((tmp_path / "student" / "metrics.json").read_text())
    teacher, student, alone = metrics["teaching"]
    assert teacher["accuracy"] == json.loads((trained / "metrics.json").read_text())["accuracy"]
    assert student["accuracy"] == metrics["accuracy"] and student["parameters"] == alone["parameters"]
    assert min(row["milliseconds"] for row in metrics["teaching"]) > 0
    report = (tmp_path / "student" / "training_report.md").read_text()
    assert "the student without the teacher" in report and f"{teacher['accuracy']:.2%}" in report
    assert not (tmp_path / "student" / "checkpoints").exists()

    asked.clear()  # the same texts once more: the teacher is asked for those of the test split alone
    taught(trained, untrained, dataset_folder, tmp_path / "again")
    assert asked == [100]
    again = json.loads((tmp_path / "again" / "metrics.json").read_text())
    assert again["accuracy"] == metrics["accuracy"] and again["log_loss"] == pytest.approx(metrics["log_loss"])


def test_texts_without_labels_are_learnt(trained, untrained, tmp_path, cache):
    texts, labels = reviews(400, 5)
    lines = [json.dumps({"text": text, "label": ("negative", "positive")[label]}) for text, label in zip(texts, labels)]
    (tmp_path / "train.jsonl").write_text("\n".join(lines[:40]))
    (tmp_path / "test.jsonl").write_text("\n".join(lines[40:140]))
    (tmp_path / "more.txt").write_text("no table")
    more = [json.dumps({"text": text}) for text in texts[30:]]  # some of them stand in train and test too
    (tmp_path / "more.jsonl").write_text("\n".join(more))
    arguments = [
        "--model_name_or_path", untrained, "--teacher", trained, "--train_file", tmp_path / "train.jsonl",
        "--test_file", tmp_path / "test.jsonl", "--output_dir", tmp_path / "out", "--unlabelled_file",
        tmp_path / "more.jsonl", "--learning_rate", 0.005, "--hidden_dropout", 0, "--num_train_epochs", 6,
        "--precision", "float32", "--max_seq_length", 64,
    ]  # fmt: skip
    assert train.main([str(argument) for argument in arguments]) is None
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    _, student, alone = metrics["teaching"]
    assert student["accuracy"] > alone["accuracy"] and student["accuracy"] > 0.9


def test_a_run_with_a_teacher_is_resumed(trained, untrained, dataset_folder, tmp_path, cache, monkeypatch):
    from tfbert.training.progress import Progress

    ends = []

    def stops_the_second_run(self, *arguments, save=Progress.save):
        save(self)
        ends.append(self.step)
        self.stop_asked = len(ends) == 3

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "save", stops_the_second_run)
        assert taught(trained, untrained, dataset_folder, tmp_path / "out", "--save_steps", 3) == 130
    assert len(list((tmp_path / "out" / "checkpoints").iterdir())) == 2
    again = ["--save_steps", 3, "--resume_from_checkpoint", "last"]
    assert taught(trained, untrained, dataset_folder, tmp_path / "out", *again) is None
    taught(trained, untrained, dataset_folder, tmp_path / "whole")
    stopped, whole = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("out", "whole"))
    for one, other in zip(stopped["teaching"], whole["teaching"]):
        assert one["accuracy"] == other["accuracy"]


def test_the_order_of_the_labels_is_that_of_the_job(trained, dataset_folder, cache):
    from datasets import load_dataset

    dataset = load_dataset(str(dataset_folder), split="test")

    def job(names):
        return SimpleNamespace(
            settings=SimpleNamespace(teacher=str(trained), per_device_eval_batch_size=64, max_seq_length=64),
            splits=SimpleNamespace(label_names=names, train=dataset), several=False,
            device=SimpleNamespace(policy="float32", xla=False),
        )  # fmt: skip

    one, other = (teaching.Teacher(job(names)).probabilities(dataset)
                  for names in (["negative", "positive"], ["positive", "negative"]))  # fmt: skip
    np.testing.assert_allclose(one, other[:, ::-1], atol=1e-6)
    assert (one.argmax(axis=1) == np.array(dataset["label"])).mean() > 0.9
    with pytest.raises(UserError, match="knows the labels negative, positive; the texts have bad, good"):
        teaching.Teacher(job(["bad", "good"]))


@pytest.mark.parametrize("flags, message", [
    (["--teacher", "nowhere"], "--teacher nowhere: no config.json in it"),
    (["--teacher", "x", "--unlabelled_file", "nowhere.csv"], "nowhere.csv: no such file"),
    (["--unlabelled_file", "more.csv"], "learnt from a --teacher alone"),
    (["--unsupervised"], "learnt from a --teacher alone"),
    (["--teacher", "x", "--method", "features"], "leave --method features out"),
])  # fmt: skip
def test_what_does_not_go_is_refused(flags, message, untrained, dataset_folder, tmp_path):
    arguments = ["--model_name_or_path", untrained, "--dataset_name", dataset_folder, "--output_dir", tmp_path / "out"]
    with pytest.raises(UserError, match=message):
        train.main([str(argument) for argument in [*arguments, *flags]])


def test_an_encoder_is_no_teacher(untrained, dataset_folder, tmp_path, cache):
    folder = shutil.copytree(FIXTURES / "tiny_bert", tmp_path / "encoder")
    shutil.copy(FIXTURES / "tiny_bert_mlm" / "model.safetensors", folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"id2label": {"0": "negative", "1": "positive"}, "label2id": {"negative": 0, "positive": 1}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="holds an encoder, but no classifier"):
        taught(folder, untrained, dataset_folder, tmp_path / "out")


def test_probabilities_are_learnt_as_labels_are():
    logits, labels = np.float32([[2, 0], [0, 1]]), np.int32([0, 1])
    loss = classifier_loss(2)
    np.testing.assert_allclose(loss(np.eye(2, dtype=np.float32)[labels], logits), loss(labels, logits), atol=1e-6)
    halves = np.full((2, 2), 0.5, np.float32)
    np.testing.assert_allclose(loss(halves, logits), (loss(labels, logits) + loss(1 - labels, logits)) / 2, atol=1e-6)
    weighed = classifier_loss(2, class_weights=np.float32([3, 1]))
    np.testing.assert_allclose(weighed(halves, logits), 2 * np.asarray(loss(halves, logits)), atol=1e-6)
    np.testing.assert_allclose(share_right(np.float32([[0.6, 0.4], [0.6, 0.4]]), logits), [1, 0])
    np.testing.assert_allclose(share_right(labels[:, None], logits), [1, 1])
    np.testing.assert_allclose(share_of_decisions(np.float32([[0.6, 0.6], [0.4, 0.4]]), logits - 1), [0.5, 1])


def test_examples_are_joined(dataset_folder):
    from datasets import load_dataset

    from tfbert.data.tokenizing import TextEncoder

    encoder = TextEncoder.from_folder(FIXTURES / "tiny_bert", 32)
    train, test = (Examples.tokenized(load_dataset(str(dataset_folder), split=split), encoder, split)
                   for split in ("train", "test"))  # fmt: skip
    targets = np.full((len(train), 2), 0.25), np.full((len(test), 2), 0.75)
    both = train.taught(targets[0]).followed_by(test.taught(targets[1]))
    assert len(both) == 420 and both.targets[319:321].tolist() == [[0.25, 0.25], [0.75, 0.75]]
    np.testing.assert_array_equal(both.ids(319), train.ids(319))
    np.testing.assert_array_equal(both.ids(320), test.ids(0))
    assert train.fingerprint() != train.taught(targets[0]).fingerprint() and train.targets is None


def test_long_work_says_how_far_it_is(capsys, monkeypatch):
    monkeypatch.setattr(Countdown, "EVERY", -1)
    countdown = Countdown(4)
    countdown.done(1)
    countdown.done(3)
    assert capsys.readouterr().out.split()[0] == "25%"
