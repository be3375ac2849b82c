import numpy as np
import pytest

from tfbert.report import calibration
from tfbert.report.baselines import baselines, lacks_spaces
from tfbert.report.calibration import calibration_bins, confidences, expected_calibration_error, softmax
from tfbert.report.metrics import (
    OF_ONE_LABEL,
    OF_SEVERAL_LABELS,
    accuracy_by_length,
    evaluate,
    evaluate_several,
    figure,
    interval,
    mean_and_deviation,
    score,
    wilson_interval,
)
from tfbert.report.mistakes import surest_right, table_of_mistakes, worst_mistakes


def test_wilson_interval_of_a_textbook_case():
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I


def test_figures_of_six_reviews():
    logits = np.log(np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.7, 0.3], [0.05, 0.95]]))
    labels = np.array([0, 0, 0, 1, 1, 1])
    result = evaluate(logits, labels, ["negative", "positive"])
    assert result["accuracy"] == pytest.approx(4 / 6)
    assert result["f1"] == pytest.approx(2 / 3)
    assert result["roc_auc"] == pytest.approx(8 / 9)
    assert result["confusion_matrix"] == [[2, 1], [1, 2]]
    assert result["log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.7, 0.3, 0.95]).mean())
    assert result["per_class"]["negative"] == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "support": 3}
    )
    assert result["accuracy_low"] < 4 / 6 < result["accuracy_high"]


def test_three_classes_are_averaged():
    logits = np.eye(3)[[0, 1, 2, 2]] * 2.0
    result = evaluate(logits, np.array([0, 1, 2, 0]), ["a", "b", "c"])
    assert result["accuracy"] == 0.75 and result["f1"] == result["f1_macro"]


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    probabilities = np.array([[0.8, 0.2]] * 10)
    labels = np.array([0] * 6 + [1] * 4)
    decisions = confidences(probabilities, labels)
    assert expected_calibration_error(*decisions) == pytest.approx(0.2)
    assert calibration_bins(*decisions).tolist() == [[pytest.approx(0.8), 0.6, 10]]


def test_softmax_survives_large_logits():
    np.testing.assert_allclose(softmax(np.array([[1000.0, 1000.0, -1000.0]])), [[0.5, 0.5, 0]])


def test_accuracy_by_length():
    lengths, right = np.array([10, 64, 65, 2000]), np.array([True, False, True, True])
    assert accuracy_by_length(lengths, right) == [(1, 64, 2, 0.5), (65, 128, 1, 1.0), (1025, None, 1, 1.0)]


def test_the_baseline_learns_words():
    texts = [f"{word} film {n}" for n in range(20) for word in ("lovely", "dreadful")]
    labels = np.array([1, 0] * 20)
    result = baselines("accuracy", texts, ["a lovely plot", "a dreadful plot"], labels, np.array([1, 0]))
    assert result["baseline_accuracy"] == 1.0 and result["baseline_seconds"] > 0
    assert result["majority_accuracy"] == 0.5
    several = np.stack([labels, 1 - labels, labels], axis=1).astype(np.float32)
    result = baselines("f1_micro", texts, ["a lovely plot", "a dreadful plot"], several, several[:2])
    assert result["baseline_f1_micro"] == 1.0
    assert result["majority_f1_micro"] == pytest.approx(2 * 1 / (2 + 3))  # the first label, for both texts


def test_without_common_words_the_baseline_is_the_most_frequent_label():
    result = baselines("accuracy", ["one", "two", "three"], ["four", "five"], np.array([1, 0, 1]), np.array([1, 0]))
    assert result["baseline_accuracy"] == 0.5


@pytest.mark.parametrize("true", [0.5, 2.5])
def test_the_temperature_that_made_the_labels_is_found(true):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (40_000, 3))
    labels = np.array([rng.choice(3, p=row) for row in softmax(logits / true)])
    assert calibration.fit_temperature(logits, labels, None) == pytest.approx(true, rel=0.03)
    few = calibration.fit_temperature(logits[:30], labels[:30])
    assert abs(np.log(few)) < abs(np.log(calibration.fit_temperature(logits[:30], labels[:30], None))) + 1e-6
    assert calibration.fit_temperature(logits, labels) == pytest.approx(true, rel=0.1)


def test_the_temperature_of_several_labels_a_text():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (20_000, 3))
    labels = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits / 2))).astype(np.float32)
    assert calibration.fit_temperature(logits, labels) == pytest.approx(2, rel=0.03)


def test_a_temperature_changes_confidence_and_no_label():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, (500, 2)), rng.integers(0, 2, 500)
    plain, cool = (evaluate(logits, labels, ["a", "b"], temperature) for temperature in (1.0, 3.0))
    for name in ("accuracy", "confusion_matrix", "f1", "roc_auc", "ece_before", "log_loss_before"):
        assert cool[name] == plain[name]
    assert cool["log_loss"] < plain["log_loss"] == plain["log_loss_before"]


def test_a_roc_auc_without_any_label_is_a_half():
    assert figure("roc_auc_micro", np.zeros((4, 3)), np.zeros((4, 3), np.float32)) == 0.5
    logits = np.array([[3.0, -1.0], [0.5, -2.0]])
    assert figure("roc_auc_micro", logits, np.array([[1, 0], [1, 0]], np.float32)) == 1.0


def test_the_surest_of_each_set_of_labels_are_found_among_many():
    """Twenty thousand texts, each with labels of its own: looking for each among all took 41 s."""
    from types import SimpleNamespace

    labels = ((np.arange(20_000)[:, None] >> np.arange(16)) & 1).astype(np.float32)
    logits = np.where(labels > 0, 5.0, -5.0)
    found = surest_right(logits, SimpleNamespace(labels=labels), [f"label {n}" for n in range(16)], count=3)
    assert len({row["label"] for row in found}) == 3


def test_mean_and_deviation_in_words():
    assert mean_and_deviation("accuracy", [0.93, 0.94, 0.95]) == "94.00% +- 1.00"
    assert mean_and_deviation("f1_micro", [0.70, 0.71, 0.72]) == "0.710 +- 0.010"


SEVERAL = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 0]], np.float32)
SCORES = np.array([[0.9, 0.2, 0.4], [0.1, 0.8, 0.3], [0.7, 0.4, 0.2], [0.2, 0.1, 0.1]])


def test_figures_where_several_labels_may_hold():
    logits = np.log(SCORES / (1 - SCORES))
    result = evaluate_several(logits, SEVERAL, ["joy", "fear", "trust"])
    # right at 0.5: joy twice, fear once; missed: fear once, trust once
    assert result["f1_micro"] == pytest.approx(2 * 3 / (3 + 5)) and result["accuracy"] == 0.5
    assert result["f1_macro"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert result["jaccard"] == pytest.approx((0.5 + 1 + 0.5 + 1) / 4)
    assert result["roc_auc"] == 1.0 and result["per_class"]["trust"]["roc_auc"] == 1.0
    ordered = sum(a > b for a in SCORES[SEVERAL == 1] for b in SCORES[SEVERAL == 0])
    assert result["roc_auc_micro"] == pytest.approx(ordered / (5 * 7))
    assert result["roc_auc_of_labels"] == pytest.approx((3 / 5 + 1) / 2)
    assert result["f1_micro_low"] <= result["f1_micro"] <= result["f1_micro_high"]
    fitted = calibration.fit_thresholds(SCORES, SEVERAL)
    tuned = evaluate_several(logits, SEVERAL, ["joy", "fear", "trust"], thresholds=fitted)
    assert tuned["f1_micro"] == tuned["accuracy"] == 1.0 and tuned["f1_micro_at_half"] == result["f1_micro"]
    assert all(low <= t < high for t, low, high in zip(fitted, (0.2, 0.2, 0.3), (0.7, 0.4, 0.4)))


def test_a_label_that_no_text_has_keeps_a_threshold_of_a_half():
    assert calibration.fit_thresholds(SCORES[:, :1], np.zeros((4, 1))).tolist() == [0.5]


def test_matthews_correlation_of_a_textbook_table():
    labels = np.repeat([1, 1, 0, 0], [6, 2, 1, 3])  # 6 true positives, 2 missed, 1 false alarm, 3 true negatives
    predicted = np.repeat([1, 0, 1, 0], [6, 2, 1, 3])
    assert score("matthews_correlation", predicted, labels) == pytest.approx((6 * 3 - 1 * 2) / np.sqrt(7 * 8 * 4 * 5))
    assert score("matthews_correlation", np.ones(12, int), labels) == 0.0


def test_the_most_confident_mistakes_of_several_labels():
    from types import SimpleNamespace

    logits = np.log(SCORES / (1 - SCORES))
    test = SimpleNamespace(labels=SEVERAL, full_lengths=np.arange(4))
    rows = worst_mistakes(logits, test, list("abcd"), ["joy", "fear", "trust"])
    assert [(row["text"], row["label"], row["predicted"]) for row in rows] == [
        ("a", "joy, trust", "joy"),
        ("c", "joy, fear", "joy"),
    ]
    assert rows[0]["confidence"] == pytest.approx(0.6) and rows[0]["about"] == "trust"  # and that is explained
    asked = []
    shown = table_of_mistakes(rows, 5, lambda *which: asked.append(which) or (["a b"], []), True)
    assert asked == [(0, "trust"), (2, rows[1]["about"])] and "most wrong on" in shown[-1]
    right = surest_right(logits, test, ["joy", "fear", "trust"])
    assert all(row["about"] in row["predicted"].split(", ") for row in right)


def test_the_accuracy_of_several_labels_that_a_validation_can_be_best_of_is_that_of_the_report(monkeypatch):
    from types import SimpleNamespace

    from tfbert.training import evaluating

    logits = np.log(SCORES / (1 - SCORES))
    monkeypatch.setattr(evaluating, "predict", lambda *_: logits)
    settings = SimpleNamespace(metric_for_best_model="accuracy")
    scores = evaluating.evaluation_of(SimpleNamespace(labels=SEVERAL), settings, "f1_micro")(None)
    assert scores["exact_match"] == evaluate_several(logits, SEVERAL, list("abc"))["accuracy"] < scores["accuracy"]


def test_where_nothing_is_wrong_confidence_is_not_raised():
    labels = np.array([0, 1] * 25)
    assert calibration.fit_temperature(np.eye(2)[labels] * 2.0, labels) == pytest.approx(1.0, abs=1e-3)
    nearly = np.eye(2)[labels ^ (np.arange(50) == 0)] * 2.0
    without_prior = calibration.fit_temperature(nearly, labels, None)
    assert without_prior < 0.7 and without_prior < calibration.fit_temperature(nearly, labels) < 0.9


def test_no_single_threshold_could_be_better():
    rng = np.random.default_rng(0)
    labels = (rng.random((200, 6)) < rng.random(6) / 2).astype(np.float32)
    scores = calibration.sigmoid(rng.normal(0, 2, (200, 6)) + 2 * labels - 1)
    fitted = calibration.fit_thresholds(scores, labels, rounds=20)
    reached = score("f1_micro", scores > fitted, labels)
    for label in range(6):
        for threshold in np.arange(0.05, 0.951, 0.01):
            moved = np.where(np.arange(6) == label, threshold, fitted)
            assert score("f1_micro", scores > moved, labels) <= reached + 1e-9
    assert reached > max(score("f1_micro", scores > shared, labels) for shared in np.arange(0.05, 0.951, 0.01))


def test_the_interval_of_micro_f1_is_that_of_drawn_texts():
    predicted = (SCORES > 0.35).astype(int)
    rng, count = np.random.default_rng(0), len(SEVERAL)
    drawn = [rng.integers(0, count, count) for _ in range(1000)]
    scores = [score("f1_micro", predicted[rows], SEVERAL[rows]) for rows in drawn]
    assert interval("f1_micro", predicted, SEVERAL) == pytest.approx(np.quantile(scores, (0.025, 0.975)))


def test_the_baseline_takes_the_most_frequent_words_where_memory_ends(monkeypatch):
    texts = [f"{word} film {n}" for n in range(20) for word in ("lovely", "dreadful")]
    labels = np.array([1, 0] * 20)
    monkeypatch.setattr("tfbert.report.baselines.BASELINE_WEIGHTS", 2)  # one word for each of two labels: film
    assert baselines("accuracy", texts, texts, labels, labels)["baseline_accuracy"] == 0.5


def unspaced(count, seed):
    """Texts without spaces, in each of which one of eight signs tells the label."""
    rng = np.random.default_rng(seed)
    signs = ["\u597d\u68d2\u5999\u4f73", "\u574f\u7cdf\u5dee\u70c2"]
    texts, labels = [], rng.integers(0, 2, count)
    for label in labels:
        text = list(rng.choice(list("\u8fd9\u90e8\u7535\u5f71\u7684\u60c5\u8282\u97f3\u4e50\u6f14\u5458"), 8))
        text.insert(rng.integers(8), rng.choice(list(signs[label])))
        texts.append("".join(text))
    return texts, labels


def test_in_a_language_without_spaces_the_baseline_reads_characters():
    (train, labels), (test, truth) = unspaced(200, 0), unspaced(50, 1)
    result = baselines("accuracy", train, test, labels, truth)
    assert result["baseline"] == "TF-IDF of characters"
    assert result["baseline_accuracy"] > 0.9 > result["majority_accuracy"]
    several = np.stack([labels, 1 - labels], axis=1).astype(np.float32)
    result = baselines("f1_micro", train, train, several, several)
    assert result["baseline"] == "TF-IDF of characters" and result["baseline_f1_micro"] > 0.9


def test_with_spaces_the_baseline_reads_words():
    texts = [f"{word} film {n}" for n in range(20) for word in ("lovely", "dreadful")]
    assert (
        baselines("accuracy", texts, texts, np.array([1, 0] * 20), np.array([1, 0] * 20))["baseline"]
        == "TF-IDF of words"
    )


@pytest.mark.parametrize(
    "texts, lacking",
    [
        (["\u5f88\u597d", "\u4e0d\u9519"], True),  # two signs are a whole text
        (["\u0e14\u0e35\u0e21\u0e32\u0e01"], True),
        (["thefilmwaslovely", "aboringandweakplot"], True),
        (["\uc88b\uc740 \uc601\ud654 \uc785\ub2c8\ub2e4"], False),
        (["a film from \u65e5\u672c, which is lovely"], False),
        ([""], False),
    ],
)
def test_texts_without_spaces_are_known_by_their_signs(texts, lacking):
    assert lacks_spaces(texts) is lacking


def test_the_figures_that_choose_a_validation_are_those_of_the_report():
    rng = np.random.default_rng(0)
    for count in (2, 3):
        logits, labels = rng.normal(0, 2, (200, count)), rng.integers(0, count, 200)
        wanted = evaluate(logits, labels, list("abc")[:count], metric="matthews_correlation")
        for name in OF_ONE_LABEL:
            assert figure(name, logits, labels) == pytest.approx(wanted[name]), name
    logits, labels = rng.normal(0, 2, (200, 4)), rng.integers(0, 2, (200, 4)).astype(np.float32)
    wanted = evaluate_several(logits, labels, list("abcd"))
    for name in OF_SEVERAL_LABELS:
        assert figure(name, logits, labels) == pytest.approx(wanted[name]), name


def test_where_held_out_texts_have_one_label_the_area_says_nothing():
    assert figure("roc_auc", np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, 1])) == 0.5
