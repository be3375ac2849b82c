import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import FIXTURES, ROOT

import infer
from tfbert.data.tokenizing import TextEncoder
from tfbert.inference.explaining import BUDGET, Reading, explain, explanation, parts_of
from tfbert.inference.predicting import Predictor
from tfbert.inference.showing import in_colour, marked, page_of, strongest
from tfbert.report.mistakes import what_mattered


@pytest.fixture(scope="module")
def predictor(trained):
    return Predictor(trained)


@pytest.mark.parametrize("word, label", [("lovely", "positive"), ("awful", "negative"), ("brilliant", "positive")])
def test_the_word_that_decides_is_found(predictor, word, label):
    text = f"the film was really {word}, a cast"
    reading = Reading(predictor, text)
    words = explain(reading, label)
    assert all(text[each["start"] : each["end"]] == each["text"] for each in words)
    assert [each["text"] for each in words] == ["the", "film", "was", "really", word, ",", "a", "cast"]
    assert strongest(words, 1)[0]["text"] == word
    other = explain(reading, {"positive": "negative", "negative": "positive"}[label])
    np.testing.assert_allclose([each["score"] for each in other], [-each["score"] for each in words], atol=1e-3)


def test_a_word_alone_is_a_text_of_one_word(predictor):
    reading = Reading(predictor, "dull, weak and dull")
    odds = reading.log_odds(predictor.logits(predictor.encoder(["", "dull", ",", "weak", "and", "dull"])[0]))
    np.testing.assert_allclose(reading.alone, odds[1:] - odds[:1], atol=1e-4)


def test_what_a_cut_text_lost_is_not_explained(trained, predictor):
    whole = predictor.encoder
    text = "awful. " * 10 + "good. " * 400 + "dull"
    try:
        predictor.encoder = TextEncoder(whole.tokenizer, 64, "head+tail", 0.25, "cut")
        words = explain(Reading(predictor, text), "positive")
    finally:
        predictor.encoder = whole
    assert len(words) == 62 and words[-1]["text"] == "dull" and words[0]["start"] == 0
    assert words[15]["start"] > words[14]["end"] + 100  # what was cut


def test_a_long_text_is_explained_within_a_budget(predictor, monkeypatch):
    reading = Reading(predictor, "the plot was dull. " * 2000 + "a wonderful film.")
    assert len(reading.windows) > 100
    read, original = [], predictor.logits_of_windows
    monkeypatch.setattr(predictor, "logits_of_windows", lambda windows, *more, **named: (
        read.append(sum(map(len, windows))), original(windows, *more, **named))[1])  # fmt: skip
    words = explain(reading, "negative")
    assert len(words) == len(reading.words) and sum(read) < 2 * (BUDGET + sum(map(len, reading.windows)))
    assert words[-3]["text"] == "wonderful" and words[-3]["score"] < 0


def test_leaving_out_a_word_is_reading_a_text_without_it(predictor):
    reading = Reading(predictor, "a dull, weak and lovely film.")
    lost, _ = reading.without([(1, 2), (0, len(reading.words))])
    logits = predictor.logits(predictor.encoder(["a dull, weak and lovely film.", "a , weak and lovely film.", ""])[0])
    odds = reading.log_odds(logits)
    np.testing.assert_allclose(lost, odds[:1] - odds[1:], atol=1e-4)


def test_a_text_without_words_has_none(predictor):
    assert explain(Reading(predictor, "\u0300"), "positive") == [] == explain(Reading(predictor, ""), "positive")


def test_parts_are_sentences_then_words():
    words = [(word, None, 0) for word in "A film . It was dull , and long . Bad".split()]
    assert parts_of(words, 0, 11) == [(0, 3), (3, 10), (10, 11)]
    assert parts_of(words, 3, 10) == [(place, place + 1) for place in range(3, 10)]
    many = [("word", None, 0)] * 100
    assert len(parts_of(many, 0, 100)) <= 24 and parts_of(many, 0, 100)[-1][1] == 100


@pytest.mark.parametrize("name", ["tiny_bert", "tiny_roberta", "tiny_albert", "tiny_xlm_roberta"])
@pytest.mark.parametrize(
    "text",
    [
        "The film, really: very good!",
        "  Ünïcode   naïve ",
        "a" * 300,
        "狗 is a dog",
        "🙂 ok",
        "电影很好看",
        "ดี ดี",
        "جي film",
    ],
)
def test_words_have_their_places_in_the_text(name, text):
    encoder = TextEncoder.from_folder(FIXTURES / name, 64)
    spans, numbers = encoder.words(text)
    assert len(numbers) == len(encoder.tokens([text])[0]) and sorted(set(numbers)) == list(range(len(spans)))
    parts = [text[start:end] for start, end in spans]
    assert all(part == part.strip() for part in parts)
    assert "".join(parts) == "".join(text.split()) or "".join(dict.fromkeys(parts)) in "".join(text.split())


@pytest.mark.parametrize("text", ["a  dull film ", "  a dull\n\nfilm", "\u00a0a\tfilm"])
def test_blanks_that_are_words_to_a_tokenizer_are_none_in_an_explanation(text):
    reading = Reading(Predictor(FIXTURES / "tiny_roberta"), text)
    words = explain(reading, reading.predictor.labels[0])
    assert "" in [each for each, _, _ in reading.words] and [each["text"] for each in words] == text.split()
    assert what_mattered([text], words, 9).replace("*", "").split() == text.split()


def test_the_terminal_shows_words_with_and_without_colours(trained, capsys, monkeypatch):
    infer.main(["--model_dir", str(trained), "--explain", "the film was really dull."])
    out = capsys.readouterr().out
    assert "For:    dull +" in out and "Against:" in out and "\033" not in out
    monkeypatch.setattr("tfbert.inference.showing.in_colours", lambda: True)
    infer.main(["--model_dir", str(trained), "--explain", "a lovely cast, an awful ending and a dull plot."])
    assert "\033[48;5;" in capsys.readouterr().out


def test_json_and_page_have_the_same_words(trained, tmp_path, capsys):
    page = tmp_path / "why.html"
    text = "a lovely <b>cast</b>, an awful ending and a dull plot."
    infer.main(["--model_dir", str(trained), "--json", "--explain", "--html", str(page), text])
    result = json.loads(capsys.readouterr().out)
    words = result["explanation"][0]["words"]
    assert result["explanation"][0]["label"] == result["label"]
    html = page.read_text()
    strong = strongest(words, 1)[0]
    assert f'title="{strong["score"]:+.2f}">{strong["text"]}</mark>' in html and "<b>" not in html


def test_marks_stand_where_the_words_are():
    words = [{"text": "b", "start": 2, "end": 3, "score": 2.0}, {"text": "c", "start": 4, "end": 5, "score": -0.1}]
    assert marked("a b c", words, str.upper, lambda shown, strength, word: f"[{shown}{strength}]") == "A [B1.0] C"
    assert in_colour("x", -1.0, {}).endswith("x\033[0m")
    assert page_of([]).startswith("<!DOCTYPE html>")


def test_several_labels_are_explained_each(predictor, monkeypatch):
    monkeypatch.setattr(predictor, "multi_label", True)
    monkeypatch.setattr(predictor, "thresholds", np.array([0.0, 0.0]))
    (result,) = predictor(["a lovely cast, an awful ending."])
    reasons = explanation(predictor, ("a lovely cast, an awful ending.",), result)
    assert [reason["label"] for reason in reasons] == ["negative", "positive"]
    monkeypatch.setattr(predictor, "thresholds", np.array([1.0, 1.0]))
    assert len(explanation(predictor, ("a lovely cast, an awful ending.",), result)) == 1


def test_explaining_needs_no_tensorflow(trained):
    code = (
        f"import sys, infer; infer.main(['--model_dir', {str(trained)!r}, '--explain', 'a dull film.'])\n"
        "assert not {'tensorflow', 'keras', 'transformers', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "For:" in done.stdout, done.stderr


def test_the_report_shows_the_part_that_mattered():
    text = "one two *three* four_five six"
    words = [{"text": word, "start": text.index(word), "end": text.index(word) + len(word), "score": score}
             for word, score in zip(["one", "two", "three", "four_five", "six"], [0.1, -1, 3, 2, 0.1])]  # fmt: skip
    assert what_mattered([text], words, 3) == r"... two \***three**\* **four\_five** ..."
    assert what_mattered([text], [], 2) == "... four_five six"
    pair = [{**word, "part": number // 3} for number, word in enumerate(words)]
    assert what_mattered([text, text], pair, 9).endswith(r"\***three**\* four\_five six") is False
