"""What a run leaves to read: confusions of many labels, names in any script, words that do not praise too much."""

import warnings
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest

from tfbert.common.errors import UserError
from tfbert.data.tables import read_examples
from tfbert.inference.explaining import answers_to
from tfbert.inference.predicting import Predictor
from tfbert.report import fonts, plots
from tfbert.report.captions import captions, picture
from tfbert.report.confusions import confused_pairs, never_predicted, shown_labels
from tfbert.report.figures import still_learning
from tfbert.report.first_page import some_examples
from tfbert.report.mistakes import what_mattered
from tfbert.report.training_report import confidence, how_long_ones_are_read, what_for_what
from tfbert.report.wording import comparison, doubts, headline
from tfbert.training.jobs import prepare
from tfbert.training.settings import TrainSettings

MATRIX = [[8, 2, 0], [1, 4, 0], [0, 5, 0]]


def test_the_pairs_that_are_confused_most_come_first():
    assert confused_pairs(MATRIX) == [(2, 1, 5, 1.0), (0, 1, 2, 0.2), (1, 0, 1, 0.2)]
    assert confused_pairs(MATRIX, 1) == [(2, 1, 5, 1.0)]
    assert never_predicted(MATRIX, ["a", "b", "c"]) == ["c"]


def confused(count):
    """Of labels of ten texts each: every third one is taken for the next, twice."""
    matrix = 10 * np.eye(count, dtype=int)
    for label in range(0, count - 1, 3):
        matrix[label, label : label + 2] = 8, 2
    matrix[5, 5], matrix[5, 6] = 0, 10
    return matrix.tolist()


def test_a_picture_of_many_labels_shows_those_that_are_confused():
    assert shown_labels(confused(20)) == list(range(20))
    shown = shown_labels(confused(77))
    assert len(shown) in (19, 20) and {5, 6, 0, 1} <= set(shown) and 2 not in shown
    assert shown_labels((10 * np.eye(30, dtype=int)).tolist()) == list(range(20))


@pytest.mark.parametrize("count, size", [(2, 2), (20, 20), (77, 20)])
def test_every_label_of_the_picture_has_its_name(count, size, tmp_path, monkeypatch):
    drawn, draw = {}, plots.seaborn.heatmap
    monkeypatch.setattr(
        "seaborn.heatmap", lambda shares, **how: drawn.update(how, shares=shares) or draw(shares, **how)
    )
    names = [f"a name of a label with many words {n}" for n in range(count)]
    matrix = confused(count) if count > 2 else [[3, 1], [0, 2]]
    with warnings.catch_warnings(action="error"):
        plots.confusion_matrix(tmp_path, "picture", "", {"confusion_matrix": matrix}, plots.drawable(names, []))
    assert (tmp_path / "picture.png").exists()
    assert len(drawn["yticklabels"]) >= size - 1 and all(
        name.startswith("a name of a") for name in drawn["yticklabels"]
    )
    assert len({*drawn["yticklabels"]}) == len(drawn["yticklabels"])
    np.testing.assert_allclose(drawn["shares"].sum(axis=1), 1)  # what other labels get stands in a column of its own


def test_a_report_on_many_labels_has_tables_of_confusions():
    names = [f"class {n}" for n in range(30)]
    job = SimpleNamespace(splits=SimpleNamespace(label_names=names), task=SimpleNamespace(unit="texts"))
    lines = what_for_what(SimpleNamespace(metrics={"confusion_matrix": confused(30)}, job=job))
    assert "| class 5 | class 6 | 10 | 100.0% |" in lines and "| class 0 | class 1 | 2 | 20.0% |" in lines
    assert "Never predicted, 1 of 30 labels: class 5." in lines
    job.splits.label_names = names[:3]
    lines = what_for_what(SimpleNamespace(metrics={"confusion_matrix": MATRIX}, job=job))
    assert lines == ["Never predicted, 1 of 3 labels: class 2.", ""]


@pytest.fixture
def font_settings(monkeypatch):
    """Matplotlib's settings and list of fonts, which are as before when a test ends."""
    monkeypatch.setattr(fonts.font_manager.fontManager, "ttflist", [*fonts.font_manager.fontManager.ttflist])
    with matplotlib.rc_context():
        yield


def tiny_font(path, signs):
    """A font in which each of `signs` is a square."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 900), (900, 900), (900, 0)):
        pen.lineTo(point)
    pen.closePath()
    square = pen.glyph()
    glyphs = [".notdef", *(f"sign{n}" for n in range(len(signs)))]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(glyphs)
    builder.setupCharacterMap({ord(sign): name for sign, name in zip(signs, glyphs[1:])})
    builder.setupGlyf(dict.fromkeys(glyphs, square))
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "Tiny Squares", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)


def test_a_font_that_has_the_signs_is_found_and_draws_them(tmp_path, monkeypatch, font_settings):
    tiny_font(tmp_path / "tiny.ttf", "\U0001e900\U0001e901")  # Adlam, which hardly any system has
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    files = [str(tmp_path / "tiny.ttf"), str(tmp_path / "broken.ttf")]
    monkeypatch.setattr(fonts.font_manager, "findSystemFonts", lambda *_, **__: files)
    monkeypatch.setattr(fonts.font_manager.fontManager, "ttflist", [
        entry for entry in fonts.font_manager.fontManager.ttflist if "Adlam" not in entry.name])  # fmt: skip
    notes = []
    names = plots.drawable(["\U0001e900\U0001e901", "joy"], notes)
    assert names == ["\U0001e900\U0001e901", "joy"] and notes == []
    assert "Tiny Squares" in matplotlib.rcParams["font.family"]
    with warnings.catch_warnings(action="error"), plots.Picture(tmp_path, "names") as axes:
        axes.set_title(names[0])


def test_names_that_no_font_has_become_numbers_and_a_note(monkeypatch, font_settings):
    monkeypatch.setattr(fonts, "other_fonts", lambda: iter(()))
    notes = []
    assert plots.drawable(["joy", "\u5feb\u4e50", "\U0001e900"], notes) == ["joy", "label 1", "label 2"]
    (note,) = notes
    assert "that 2 of the labels' names have" in note and "by their numbers in config.json" in note
    assert "install Noto Sans and Noto Sans CJK" in note and "apt install fonts-noto-core fonts-noto-cjk" in note


def test_usual_names_ask_no_other_font(monkeypatch, font_settings):
    monkeypatch.setattr(fonts, "other_fonts", lambda: pytest.fail("fonts were read"))
    notes = []
    assert (
        plots.drawable(["joy", "\u0440\u0430\u0434\u043e\u0441\u0442\u044c", "tab\tor \u200bnothing"], notes)[2]
        == "tab or nothing"
    )
    assert notes == []


def figures(model, baseline, majority, metric="accuracy"):
    ends = {f"{metric}_low": model - 0.04, f"{metric}_high": model + 0.04, "accuracy": model}
    return ends | {"metric": metric, metric: model, f"baseline_{metric}": baseline, f"majority_{metric}": majority,
                   "baseline": "TF-IDF of words", "n_test": 50, "seeds": [{"seed": 1}],
                   "per_class": {"a": {"support": 25}, "b": {"support": 25}}}  # fmt: skip


def test_a_gain_over_a_baseline_that_failed_is_not_praised():
    good = figures(0.9, 0.8, 0.5)
    assert comparison(good, "texts") == (
        "That is 10.00 points more than TF-IDF of words with logistic regression on the same texts."
    )
    assert doubts(good) == []
    failed = figures(0.9, 0.5, 0.5)
    assert "40.00 points more than the most frequent label" in comparison(failed, "texts")
    assert doubts(failed) == [
        "TF-IDF of words does no better than the most frequent label: a gain over it says nothing"
    ]


@pytest.mark.parametrize(
    "ours, theirs, luck",
    [(5, 0, True), (6, 0, False), (15, 10, True), (30, 10, False), (50_100, 50_000, True), (51_000, 50_000, False)],
)
def test_a_gain_that_chance_may_give_is_called_so(ours, theirs, luck):
    said = comparison(figures(0.9, 0.8, 0.5) | {"right_alone": ours, "baseline_right_alone": theirs}, "texts")
    assert said.endswith("chance alone may give that.") == luck
    assert (f"with {ours + theirs:,} texts on which the two differ" in said) == luck


def test_a_bad_result_comes_with_what_to_try():
    (worse,) = doubts(figures(0.7, 0.8, 0.5))
    assert "with logistic regression does better: try --method features" in worse
    (early,) = doubts(figures(0.9, 0.8, 0.5) | {"still_learning": True})
    assert "try more --num_train_epochs" in early
    (few,) = doubts(figures(0.9, 0.8, 0.5) | {"accuracy_low": 0.78})
    assert few == "50 test texts are too few to tell: its accuracy on all such texts may be anything from 78% to 94%"
    losses = [{"validation_loss": loss} for loss in (0.9, 0.7, 0.6)]
    assert still_learning(losses) and not still_learning([*losses, {"validation_loss": 0.58}, {"loss": 0.1}])
    assert not still_learning(losses[:2])


@pytest.mark.parametrize("rare, told", [(5, True), (15, False)])
def test_where_labels_are_unbalanced_macro_f1_is_told(rare, told):
    some = figures(0.9, 0.8, 0.7) | {"f1_macro": 0.61, "baseline_f1_macro": 0.5}
    some["per_class"] = {"a": {"support": 50 - rare}, "b": {"support": rare}, "not there": {"support": 0}}
    lines = dict(headline(some, SimpleNamespace(tested="test texts")))
    sentence = "0.610, in which every label counts alike; 0.500 by TF-IDF of words"
    assert lines.get("Macro-F1") == (sentence if told else None)


@pytest.mark.parametrize("adversarial, remedy", [(None, "more texts"), (0.2, "--adversarial 0, more texts")])
def test_a_model_that_learnt_nothing_is_called_so(adversarial, remedy):
    task = SimpleNamespace(tested="test texts")
    stuck = figures(0.0, 0.3, 0.0, "matthews_correlation") | {"settings": {"adversarial": adversarial}}
    assert [text for name, text in headline(stuck, task) if name == "WARNING"] == [
        f"in Matthews correlation the model does no better than the most frequent label: try {remedy}, more "
        "--num_train_epochs, another --learning_rate or another encoder"
    ]


def test_own_examples_stand_in_the_report_in_place_of_test_texts(trained, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("text,label\nthe film was really wonderful.,positive\na dull *plot*.,positive\n,negative\n")
    examples = read_examples(path, ["negative", "positive"], [])
    assert examples == [("the film was really wonderful.", "positive"), ("a dull *plot*.", "positive")]
    shown = answers_to(Predictor(trained), examples)
    settings = SimpleNamespace(example_file=str(path), excerpt_words=0)
    job = SimpleNamespace(settings=settings, config={"tfbert": {}})
    lines = some_examples(SimpleNamespace(job=job, shown=shown))
    assert "| right | positive |" in lines[4] and "**wonderful**" in lines[4]
    assert "| **wrong** | negative |" in lines[5] and "\\*plot\\*" in lines[5]
    assert "mine.csv, 1 of 2 right" in lines[-1]
    with pytest.raises(UserError, match="mine.csv, line 2: the label 'positive' is not one of bad, good"):
        read_examples(path, ["bad", "good"], [])


@pytest.mark.parametrize("rows, message", [("", "holds no text to show"), (",good\n", "holds no text to show"),
                                           ("a film,good\n" * 101, "line 102: a report shows 100 texts at most")])  # fmt: skip
def test_examples_are_some(rows, message, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("text,label\n" + rows)
    with pytest.raises(UserError, match=message):
        read_examples(path, ["good"], [])


def test_a_long_example_is_shown_in_part():
    text = "word " * 5000
    words = [{"text": "word", "start": 5 * place, "end": 5 * place + 4, "score": 0.1} for place in range(5000)]
    row = {"text": text, "label": "good", "predicted": "good", "confidence": 0.9, "words": words}
    job = SimpleNamespace(settings=SimpleNamespace(example_file="mine.csv"), config={"tfbert": {}})
    assert len(some_examples(SimpleNamespace(job=job, shown=[row]))[4]) < 3000


def test_a_wrong_example_file_is_told_before_tensorflow_starts(untrained, dataset_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("tfbert.training.jobs.find_device", lambda *_: pytest.fail("TensorFlow was started"))
    path = tmp_path / "mine.csv"
    path.write_text("text,label\na dull plot.,so so\n")
    for given, message in ((path, "the label 'so so' is not one of"), (tmp_path / "none.csv", "no such file")):
        settings = TrainSettings(model_name_or_path=str(untrained), dataset_name=str(dataset_folder),
                                 example_file=str(given), output_dir=str(tmp_path / "out"))  # fmt: skip
        with pytest.raises(UserError, match=message), prepare(settings, []):
            pass


def test_bold_words_are_those_that_markdown_shows_so():
    text = "#great film很好!"
    words = [{"text": each, "start": start, "end": start + len(each), "score": score}
             for each, start, score in (("#", 0, 3.0), ("great", 1, 2.0), ("film", 7, 0.1), ("很", 11, 2.0),
                                        ("好", 12, 1.5), ("!", 13, 2.0))]  # fmt: skip
    assert what_mattered([text], words, 10) == "#**great** film**很好**!"


def test_a_curve_is_smoothed_by_what_stands_around():
    values = np.arange(10.0)
    np.testing.assert_array_equal(plots.smoothed(values), values)  # too few to smooth
    many = np.tile([0.0, 1.0], 60)
    assert np.ptp(plots.smoothed(many)[10:-10]) < 0.2 and len(plots.smoothed(many)) == 120


def test_points_of_calibration_stand_for_as_many_decisions():
    confidence = np.r_[np.full(50, 0.9), np.full(50, 0.6)]
    right = np.r_[np.ones(50), np.zeros(50)]
    found = plots.bins_of_equal_counts(confidence, right)
    np.testing.assert_allclose(found[0], [0.6] * 5 + [0.9] * 5)
    np.testing.assert_array_equal(found[1], [0] * 5 + [1] * 5)


def test_where_no_text_is_too_long_none_is_called_cut():
    task, settings = SimpleNamespace(tested="test texts"), SimpleNamespace(max_seq_length=256, truncation="head+tail")
    words = [how_long_ones_are_read({"truncated_share": share}, settings, task) for share in (0.0, 0.5)]
    assert words[0] == "The model reads 256 tokens at a time; none of the test texts is longer."
    assert "50% of the test texts are longer and were cut" in words[1]


@pytest.mark.parametrize(
    "changes, missing", [({"n_test": 199}, "calibration"), ({"accuracy_by_length": [1]}, "lengths")]
)
def test_pictures_that_would_tell_nothing_are_left_out(changes, missing):
    metrics = {"metric": "accuracy", "confusion_matrix": MATRIX, "n_test": 200, "accuracy_by_length": [1, 2],
               "per_class": {"a": 1, "b": 2}, "roc_auc": 0.9}  # fmt: skip
    job = SimpleNamespace(task=SimpleNamespace(tested="texts"), settings=SimpleNamespace(logging_steps=None))

    def of(changes):
        return captions(SimpleNamespace(metrics=metrics | changes, job=job, run=SimpleNamespace(history=[{"loss": 1}])))

    assert list(of({})) == ["confusion_matrix", "lengths", "calibration", "loss", "accuracy", "roc"]
    assert set(of({})) - set(of(changes)) == {missing}
    assert "None" not in str(of({})) and "smoothed" not in str(of({}))
    longer = SimpleNamespace(metrics=metrics, job=job, run=SimpleNamespace(history=[{"loss": 1}] * 30))
    assert "dark: the same, smoothed" in captions(longer)["loss"][1]
    assert (
        picture(
            SimpleNamespace(metrics=metrics | changes, job=job, run=SimpleNamespace(history=[{"loss": 1}])), missing
        )
        == []
    )


@pytest.mark.parametrize(
    "before, words",
    [((0.02, 0.3), "the log loss came out worse"), ((0.03, 0.5), ""), ((0.01, 0.3), "error and the log")],
)
def test_a_temperature_that_did_not_help_says_so(before, words, monkeypatch):
    monkeypatch.setattr("tfbert.report.training_report.picture", lambda *_: [])
    metrics = {"n_test": 500, "ece": 0.02, "log_loss": 0.4, "ece_before": before[0], "log_loss_before": before[1], "temperature": 0.8,
               "confusion_matrix": MATRIX, "n_validation": 320}  # fmt: skip
    job = SimpleNamespace(task=SimpleNamespace(unit="reviews"))
    text = "\n".join(confidence(SimpleNamespace(metrics=metrics, job=job)))
    assert words in text and ("320 held-out texts" in text) == bool(words)
