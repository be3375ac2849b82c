"""train.py and infer.py beyond IMDb: own files, several labels, pairs, features, from scratch."""

import csv
import json
import os

import numpy as np
import pytest
from conftest import BAD, FIXTURES, GOOD, made_once, reviews

import infer
import pretrain
import train
from tfbert.common.errors import UserError
from tfbert.inference.predicting import Predictor
from tfbert.model.configs import read_config

TOPICS = ["sports", "music", "politics"]


def write(path, columns, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return str(path)


def fit(encoder, output, *more, epochs=6):
    arguments = ["--output_dir", output, "--max_seq_length", 32, "--precision", "float32", *more]
    if "features" not in more:
        arguments += ["--learning_rate", 0.005, "--num_train_epochs", epochs]
    if encoder:
        arguments += ["--model_name_or_path", encoder]
    assert train.main([str(argument) for argument in arguments]) is None
    return metrics_of(output)


def metrics_of(output):
    return json.loads((output / "metrics.json").read_text())


@pytest.fixture(scope="module")
def several(untrained, tmp_path_factory):
    """A model of three labels that may hold together: praise, blame, and long."""

    def make(folder):
        texts, labels = reviews(400, 5)
        columns = ["tweet", "praise", "blame", "long"]
        rows = [[text, label, 1 - label, int(len(text.split()) > 20)] for text, label in zip(texts, labels)]
        path = write(folder.with_suffix(".csv"), columns, rows)
        fit(untrained, folder, "--train_file", path, "--text_column", "tweet",
            "--label_column", "praise,blame,long", "--max_seq_length", 64, epochs=8)  # fmt: skip

    output = made_once(tmp_path_factory, "several", make)
    return output, metrics_of(output)


def test_several_labels_are_learnt_and_reported(several):
    output, metrics = several
    assert metrics["f1_micro"] > 0.9 and metrics["metric"] == "f1_micro"
    assert set(metrics["per_class"]) == {"praise", "blame", "long"}
    config = read_config(output)
    assert config["problem_type"] == "multi_label_classification" and len(config["tfbert"]["thresholds"]) == 3
    report = (output / "training_report.md").read_text()
    for text in (f"{metrics['f1_micro']:.3f} micro-F1", "| praise |", "plots/labels.png", "ROC AUC",
                 f"{metrics['f1_micro_at_half']:.3f}", f"{metrics['baseline_f1_micro']:.3f}"):  # fmt: skip
        assert text in report
    pictures = set(os.listdir(output / "plots"))
    assert pictures == {"loss.png", "accuracy.png", "f1_micro.png", "labels.png"}  # 80 short texts: not the others


def test_infer_prints_all_labels_above_their_thresholds(several, capsys):
    output, _ = several
    infer.main(["--model_dir", str(output), "the film was very good."])
    first, labels, *scores = capsys.readouterr().out.splitlines()
    assert first == "Text:   the film was very good." and len(scores) == 3
    held = labels.removeprefix("Labels: ").split(", ")
    assert ("praise" in held) != ("blame" in held)
    shares = [float(line.split("%")[0]) for line in scores]
    assert shares == sorted(shares, reverse=True)
    infer.main(["--model_dir", str(output), "--threshold", "1e-30", "--json", "the film was very good."])
    result = json.loads(capsys.readouterr().out)
    assert sorted(result["label"].split(", ")) == ["blame", "long", "praise"]
    assert result["label"].split(", ")[0] == max(result["probabilities"], key=result["probabilities"].get)


def test_a_threshold_is_refused_where_one_label_holds(trained):
    with pytest.raises(UserError, match="--threshold: the model in .* gives one label"):
        infer.main(["--model_dir", str(trained), "--threshold", "0.3", "good"])


@pytest.fixture(scope="module")
def pairs(untrained, tmp_path_factory):
    """A model that says whether two sentences agree."""
    rng, rows = np.random.default_rng(0), []
    for _ in range(600):
        first, second = rng.integers(0, 2, 2)
        sides = [
            f"the {thing} was {rng.choice((GOOD, BAD)[side][:3])}"
            for thing, side in (("film", first), ("plot", second))
        ]
        rows.append([*sides, "agree" if first == second else "differ"])

    def make(folder):
        path = write(folder.with_suffix(".csv"), ["one", "two", "label"], rows)
        columns = ["--text_column", "one", "--text_pair_column", "two", "--per_device_train_batch_size", 16]
        fit(untrained, folder, "--train_file", path, *columns, epochs=20)

    output = made_once(tmp_path_factory, "pairs", make)
    return output, metrics_of(output)


def test_pairs_of_texts_are_learnt(pairs):
    output, metrics = pairs
    assert metrics["accuracy"] > 0.9 > metrics["baseline_accuracy"]
    assert read_config(output)["tfbert"]["pair"] is True
    assert (output / "onnx/model.onnx").exists()  # it gives Keras's logits, for the second texts' types too


@pytest.mark.parametrize("name", ["tiny_distilbert", "tiny_mpnet"])
@pytest.mark.usefixtures("no_pictures")
def test_pairs_for_encoders_without_types(name, tmp_path, capsys):
    texts = reviews(80, 9)[0]
    path = write(tmp_path / "pairs.csv", ["one", "two", "label"],
                 [[*pair, "xy"[n % 2]] for n, pair in enumerate(zip(texts[:40], texts[40:]))])  # fmt: skip
    output = tmp_path / "model"
    fit(FIXTURES / name, output, "--train_file", path, "--text_column", "one", "--text_pair_column", "two", epochs=1)
    assert (output / "onnx/model.onnx").exists()
    command = f'python infer.py --model_dir {output} "One of your texts." "One of your texts."'
    assert command in " ".join(capsys.readouterr().out.split()) and command in (output / "README.md").read_text()
    assert Predictor(output)(["a film"], ["a plot"])[0]["label"] in ("x", "y")


def test_pairs_are_labelled_from_arguments_and_files(pairs, tmp_path, capsys):
    output, _ = pairs
    one, other = "the film was good", f"the plot was {BAD[0]}"
    infer.main(["--model_dir", str(output), one, other])
    assert capsys.readouterr().out.splitlines()[-1].startswith("Label:  differ")
    path = write(tmp_path / "new.csv", ["a", "b"], [[one, other], [one, f"the plot was {GOOD[1]}"]])
    infer.main(["--model_dir", str(output), "--file", path, "--text_column", "a", "--text_pair_column", "b"])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["differ", "agree"]
    (tmp_path / "new.txt").write_text(f"{one}\t{other}\n")
    infer.main(["--model_dir", str(output), "--file", str(tmp_path / "new.txt")])
    assert capsys.readouterr().out.startswith("differ")
    for arguments, message in (([one], "give two arguments for each"), ([], "give two arguments for each"),
                               (["--file", write(tmp_path / "one.csv", ["text"], [["x"]])], "no column 'text_pair', but text; see --text_pair_column")):  # fmt: skip
        with pytest.raises(UserError, match=message):
            infer.main(["--model_dir", str(output), *arguments])


def test_files_of_every_kind_say_the_same(several, pairs, tmp_path):
    from pyarrow import parquet

    some = write(tmp_path / "some.csv", ["tweet"], [["the film was very good."], [""], ["a dull plot. " * 9]])
    few = write(tmp_path / "few.csv", ["one", "two"], [["the film was good", f"the plot was {BAD[0]}"], ["", "a"]])
    for model, path, flags, texts in (
        (several[0], some, ["--threshold", "0.3", "--text_column", "tweet"], ["tweet"]),
        (pairs[0], few, ["--text_column", "one", "--text_pair_column", "two"], ["one", "two"]),
    ):
        for kind in ("csv", "jsonl", "parquet"):
            target = str(tmp_path / f"labels.{kind}")
            infer.main(["--model_dir", str(model), "--file", path, "--output", target, *flags])
        lines = [json.loads(line) for line in open(tmp_path / "labels.jsonl", encoding="utf-8")]
        assert list(lines[0]) == [*texts, "label", "probability"]
        assert lines[1]["label"] is lines[1]["probability"] is None and 0 < lines[0]["probability"] <= 1
        assert parquet.read_table(tmp_path / "labels.parquet").to_pylist() == lines
        in_csv = list(csv.DictReader(open(tmp_path / "labels.csv", newline="", encoding="utf-8")))
        assert in_csv == [{name: "" if value is None else str(value) for name, value in row.items()} for row in lines]
    infer.main(["--model_dir", str(several[0]), "--file", some, "--output", target, "--threshold", "1e-30",
                "--text_column", "tweet"])  # fmt: skip
    assert sorted(parquet.read_table(target)["label"][0].as_py().split(", ")) == ["blame", "long", "praise"]


@pytest.mark.parametrize("pooling", ["first", "mean"])
@pytest.mark.usefixtures("no_pictures")
def test_features_are_logistic_regression_on_the_frozen_encoder(pooling, untrained, dataset_folder, tmp_path):
    from tfbert.model.weight_files import read_weights

    output = tmp_path / "model"
    metrics = fit(untrained, output, "--dataset_name", dataset_folder, "--method", "features", "--pooling", pooling)
    assert metrics["accuracy"] > 0.75
    before, after = read_weights(untrained)[0], read_weights(output)[0]
    encoder = [name for name in after if name.startswith("bert.encoder") or name.startswith("bert.embeddings")]
    assert encoder and all(np.array_equal(after[name], before[name]) for name in encoder)
    report = (output / "training_report.md").read_text()
    assert "Regularization chosen by cross-validation" in report and "plots/loss.png" not in report
    assert metrics["settings"]["num_train_epochs"] is None and "num_train_epochs" not in report.split("<details>")[0]
    assert Predictor(output)([f"the film was {GOOD[0]}."])[0]["label"] == "positive"


@pytest.mark.usefixtures("no_pictures")
def test_the_head_may_start_from_regression(untrained, dataset_folder, tmp_path):
    still = ["--dataset_name", dataset_folder, "--pooling", "mean", "--max_seq_length", 32, "--precision", "float32",
             "--model_name_or_path", untrained, "--learning_rate", 1e-9, "--num_train_epochs", 1]  # fmt: skip
    accuracies = {}
    for head in ("regression", "random"):
        output = tmp_path / head
        assert train.main([str(each) for each in [*still, "--head", head, "--output_dir", output]]) is None
        accuracies[head] = metrics_of(output)["accuracy"]
    assert metrics_of(tmp_path / "regression")["settings"]["adversarial"] == 0.2
    frozen = fit(untrained, tmp_path / "frozen", "--dataset_name", dataset_folder, "--method", "features",
                 "--pooling", "mean")["accuracy"]  # fmt: skip
    assert accuracies["regression"] == pytest.approx(frozen, abs=0.01) and frozen > 0.75 > accuracies["random"]


@pytest.mark.usefixtures("no_pictures")
def test_texts_are_not_moved_where_the_encoder_says_nothing_of_their_labels(untrained, tmp_path, capsys, monkeypatch):
    from tfbert.training import features

    rng = np.random.default_rng(0)
    rows = [[f"the film was {word} and {other}.", rng.choice(["this", "that"])] for word in GOOD for other in BAD * 9]
    with open(tmp_path / "rows.csv", "w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows[:200]])
    own = ["--train_file", tmp_path / "rows.csv", "--text_column", "text", "--label_column", "label",
           "--model_name_or_path", untrained, "--pooling", "mean", "--head", "regression", "--num_train_epochs", 1,
           "--max_seq_length", 32, "--precision", "float32"]  # fmt: skip
    for few, flags, expected in ((features.FEW, [], 0.2), (10, [], 0.0), (10, ["--adversarial", 0.1], 0.1)):
        monkeypatch.setattr(features, "FEW", few)
        output = tmp_path / f"model{expected}"
        assert train.main([str(each) for each in [*own, *flags, "--output_dir", output]]) is None
        assert metrics_of(output)["settings"]["adversarial"] == expected
        said = "--adversarial 0, as the encoder's vectors say little of these labels yet"
        there = [
            " ".join(text.split()) for text in (capsys.readouterr().out, (output / "training_report.md").read_text())
        ]
        assert [said in text for text in there] == [expected == 0] * 2


@pytest.mark.parametrize("several", [False, True])
def test_what_is_left_of_the_labels_entropy(several):
    from tfbert.training.features import as_logits, share_left

    labels = np.arange(90) % 3
    truth = (labels[:, None] == np.arange(3)).astype(np.float32)
    given, even = (truth if several else labels), np.full((90, 3), 1 / 3)
    assert share_left(as_logits(even, given), given) == pytest.approx(1)
    assert share_left(as_logits(0.9 * truth + 0.1 * even, given), given) < 0.2
    assert share_left(as_logits(0.9 * np.roll(truth, 1, 1) + 0.1 * even, given), given) > 2


def test_a_dimension_that_hardly_varies_gets_no_weight():
    from tfbert.training.features import fit as fit_regression

    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 4)).astype(np.float32)
    labels = (features[:, 0] > 0).astype(int)
    features[:, 3] = 2 + 1e-6 * features[:, 1]
    kernel, bias, *_ = fit_regression(features, labels, 2, seed=1)
    assert np.abs(kernel[3]).max() < np.abs(kernel[0]).max()
    features[:, 3] += 1e-3  # as another machine rounds
    assert ((features @ kernel + bias).argmax(axis=1) == labels).mean() > 0.97


@pytest.mark.parametrize("count", [2, 3])
def test_the_folded_regression_gives_sklearns_probabilities(count):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    from tfbert.report.calibration import softmax
    from tfbert.training.features import fit as fit_regression

    rng = np.random.default_rng(0)
    features = rng.normal(3, 5, (300, 6)).astype(np.float32)
    labels = (features @ rng.normal(size=(6, count))).argmax(axis=1)
    kernel, bias, strengths, held_out = fit_regression(features, labels, count, seed=1)
    scaled = StandardScaler().fit_transform(features)
    reference = LogisticRegression(C=strengths[0], solver="newton-cg").fit(scaled, labels)
    np.testing.assert_allclose(softmax(features @ kernel + bias), reference.predict_proba(scaled), atol=2e-3)
    assert held_out.shape == (300, count) and 0.7 < (held_out.argmax(axis=1) == labels).mean() < 1


@pytest.mark.parametrize("several", [False, True])
def test_a_head_is_scaled_until_it_is_as_unsure_as_held_out_folds(several):
    from tfbert.report.calibration import cross_entropies, sigmoid, softmax
    from tfbert.training.features import as_logits, humility

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    truth = (labels[:, None] == np.arange(3)).astype(np.float32)
    sure = 9 * (2 * truth - 1) + rng.normal(size=(90, 3))  # knows all texts
    unsure = 2 * truth - 1 + rng.normal(size=(90, 3))
    given = truth if several else labels
    held_out = as_logits((sigmoid if several else softmax)(unsure), given)
    scale = humility(sure, held_out, given)
    assert 0.01 < scale < 0.3
    assert cross_entropies(sure * scale, given).mean() == pytest.approx(cross_entropies(unsure, given).mean(), rel=1e-4)
    assert humility(unsure / 9, held_out, given) == 1  # never surer than it was


def test_labels_that_no_text_has_get_no_weights():
    from tfbert.training.features import fit as fit_regression

    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 4)).astype(np.float32)
    labels = np.where(features[:, 0] > 0, 3, 1)
    kernel, bias, _, _ = fit_regression(features, labels, 5, seed=1)
    assert ((features @ kernel + bias).argmax(axis=1) == labels).mean() > 0.95 and not kernel[:, [0, 2, 4]].any()
    several = np.stack([labels == 3, labels > 0, labels == 9], axis=1).astype(np.float32)
    kernel, bias, strengths, _ = fit_regression(features, several, 3, seed=1)
    assert (((features @ kernel + bias) > 0) == several).mean() > 0.95 and len(strengths) == 1


def test_c_is_that_of_the_lowest_cross_entropy_on_folds(monkeypatch):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    from tfbert.training.features import STRENGTHS, regression

    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 20)).astype(np.float32)
    labels = (features @ rng.normal(size=(20, 4)) + 2 * rng.gumbel(size=(400, 4))).argmax(axis=1)
    folds = StratifiedKFold(5, shuffle=True, random_state=1)
    scores = [
        -cross_val_score(
            LogisticRegression(C=c, max_iter=1000), features, labels, cv=folds, scoring="neg_log_loss"
        ).mean()
        for c in STRENGTHS
    ]
    fitted, seen = LogisticRegression.fit, []
    monkeypatch.setattr(LogisticRegression, "fit", lambda self, *data: seen.append(self.C) or fitted(self, *data))
    chosen = regression(features, labels, 1, balanced=False)[0].C
    assert scores[list(STRENGTHS).index(chosen)] < 1.02 * min(scores) and 1e-4 < chosen < 1
    assert max(seen) < 10  # what comes after a worse one is not tried


def test_labels_that_can_be_parted_at_once_give_no_warning(recwarn):
    from tfbert.training.features import regression

    labels = np.arange(60) % 2
    features = (labels[:, None] + np.random.default_rng(0).normal(0, 1e-3, (60, 3))).astype(np.float32)
    assert (regression(features, labels, 1, balanced=False)[0].predict(features) == labels).all()
    assert not recwarn.list


@pytest.mark.usefixtures("no_pictures")
def test_features_weigh_labels_alike_where_asked(untrained, tmp_path):
    texts, labels = reviews(400, 6)
    rows = [[text, "praise" if label else "blame"] for n, (text, label) in enumerate(zip(texts, labels))
            if not label or n % 20 == 1]  # fmt: skip
    rows = [[" ".join(text.split()[:4]), label] for text, label in rows]
    path = write(tmp_path / "rare.csv", ["text", "label"], rows)
    recalls = []
    for weights in ("none", "balanced"):
        metrics = fit(untrained, tmp_path / weights, "--train_file", path, "--method", "features",
                      "--class_weights", weights)  # fmt: skip
        recalls.append(metrics["per_class"]["praise"]["recall"])
    assert recalls[1] > recalls[0]


@pytest.mark.usefixtures("no_pictures")
def test_features_of_several_labels(untrained, tmp_path):
    texts, labels = reviews(200, 6)
    rows = [[text, 1 - label, label] for text, label in zip(texts, labels)]
    path = write(tmp_path / "tweets.csv", ["text", "blame", "praise"], rows)
    metrics = fit(untrained, tmp_path / "model", "--train_file", path, "--label_column", "blame,praise",
                  "--method", "features")  # fmt: skip
    assert metrics["f1_micro"] > 0.8


@pytest.mark.usefixtures("no_pictures")
def test_a_bert_from_scratch_learns_its_own_vocabulary(dataset_folder, tmp_path, monkeypatch):
    from tfbert.model import scratch

    monkeypatch.setitem(scratch.SCRATCH, "small", {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2,
                                                   "intermediate_size": 64})  # fmt: skip
    assert scratch.new_config("small")["hidden_size"] == 32
    metrics = fit(None, tmp_path / "model", "--dataset_name", dataset_folder, "--from_scratch", epochs=12)
    assert metrics["accuracy"] > 0.9 and metrics["model"] == "bert-from-scratch-small"
    vocabulary = (tmp_path / "model/vocab.txt").read_text().split()
    assert vocabulary[:5] == scratch.SPECIAL and {"superb", "charming", "ending"} <= set(vocabulary)
    assert Predictor(tmp_path / "model")([f"the film was {BAD[0]}."])[0]["label"] == "negative"


def test_features_name_a_label_that_cannot_be_learnt(untrained, tmp_path):
    columns = ["text", "blame", "praise"]
    rows = [[text, 0, label] for text, label in zip(*reviews(60, 6))]
    path = write(tmp_path / "tweets.csv", columns, rows)
    with pytest.raises(UserError, match="no training text, or every one, has the label blame"):
        fit(untrained, tmp_path / "model", "--train_file", path, "--label_column", "blame,praise",
            "--method", "features")  # fmt: skip


def test_labels_of_any_signs_and_many_of_them_are_drawn(untrained, tmp_path):
    labels = ["$5_$9", "$50-$100", "line\nbreak <b> | x", "長" * 100, *(f"class {n}" for n in range(16))]
    rows = [[text, labels[n % 20]] for n, text in enumerate(reviews(400, 7)[0])]
    path = write(tmp_path / "prices.csv", ["text", "label"], rows)
    fit(untrained, tmp_path / "model", "--train_file", path, "--max_train_samples", 100, epochs=1)
    assert "| line break &lt;b> \\| x |" in (tmp_path / "model/training_report.md").read_text()
    assert "| $5_$9 |" in (tmp_path / "model/training_report.md").read_text()
    assert (tmp_path / "model/plots/confusion_matrix.png").exists()


def test_a_metric_that_the_task_has_not_is_refused_before_training(untrained, tmp_path):
    path = write(tmp_path / "own.csv", ["text", "label"], list(zip(*reviews(60, 7))))
    with pytest.raises(UserError, match="--metric_for_best_model jaccard: where one label holds, one of loss, metric"):
        fit(
            untrained,
            tmp_path / "model",
            "--train_file",
            path,
            "--metric_for_best_model",
            "jaccard",
            "--load_best_model_at_end",
        )
    with pytest.raises(UserError, match="--gradient_accumulation_steps 5000: the run has"):
        fit(untrained, tmp_path / "model", "--train_file", path, "--gradient_accumulation_steps", 5000)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--from_scratch", "--model_name_or_path", "x"], "leave --model_name_or_path out"),
        (["--from_scratch", "huge"], "must be one of small, document"),
        (["--from_scratch", "--method", "features"], "knows nothing"),
        (["--method", "features", "--pooling", "pooler"], "--pooling first or --pooling mean"),
        (["--method", "features", "--resume_from_checkpoint", "last"], "no checkpoints"),
        (["--method", "features", "--num_train_epochs", "2"], "leave --num_train_epochs out"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(arguments, message, tmp_path):
    with pytest.raises(UserError, match=message):
        train.main(["--output_dir", str(tmp_path / "model"), *arguments])


def test_a_task_without_its_file_of_texts_is_pretrained_on_own_texts(tmp_path):
    path = write(tmp_path / "own.csv", ["body", "label"], [[text, "x"] for text in reviews(60, 3)[0]])
    arguments = ["--train_file", path, "--text_column", "body", "--model_name_or_path", FIXTURES / "tiny_bert",
                 "--output_dir", tmp_path / "encoder", "--max_seq_length", 32]  # fmt: skip
    assert pretrain.main([str(argument) for argument in arguments]) is None
    assert read_config(tmp_path / "encoder")["architectures"] == ["BertForMaskedLM"]


def test_pretraining_needs_no_labels_and_reads_both_texts_of_pairs(tmp_path):
    texts = reviews(60, 3)[0]
    path = write(tmp_path / "own.csv", ["one", "two"], list(zip(texts[:30], texts[30:])))
    arguments = ["--train_file", path, "--text_column", "one", "--text_pair_column", "two", "--max_seq_length", 32,
                 "--model_name_or_path", FIXTURES / "tiny_bert", "--output_dir", tmp_path / "encoder"]  # fmt: skip
    assert pretrain.main([str(argument) for argument in arguments]) is None
    done = json.loads((tmp_path / "encoder/pretraining.json").read_text())
    assert done["texts"] == 2 * 20


def test_the_same_texts_make_the_same_vocabulary(tmp_path):
    from tfbert.model import scratch

    found = []
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        scratch.new_encoder("small", reviews(200, 8)[0], tmp_path / str(number))
        found.append((tmp_path / str(number) / "vocab.txt").read_text())
    assert found[0] == found[1] == found[2] and "##" in found[0]
