"""A sample of what was learnt tells whether it is tested on."""

import json
import shutil

import pytest
from conftest import reviews
from test_siblings import write

from tfbert.data.sketch import SIZE, learnt_in, notes_on_learnt, share_in, sketch_of
from tfbert.training.jobs import prepare
from tfbert.training.settings import TrainSettings

TEXTS = [f"text {number}" for number in range(5000)]


@pytest.mark.parametrize("shared", [0, 0.1, 0.5, 1.0])
def test_the_share_of_texts_that_were_learnt_is_about_right(shared):
    tested = TEXTS[: int(2000 * shared)] + [f"other {number}" for number in range(2000 - int(2000 * shared))]
    assert share_in(sketch_of(TEXTS), tested) == pytest.approx(shared, abs=0.1)
    assert share_in(sketch_of(TEXTS[:100]), TEXTS[50:150]) == 0.5  # of few, all are known


def test_a_sketch_is_small_and_says_the_same_in_any_order():
    assert len(sketch_of(TEXTS)) == 8 * SIZE
    assert sketch_of(TEXTS) == sketch_of(TEXTS[::-1] + TEXTS[:10])
    assert sketch_of([]) == "" and share_in("", TEXTS) == share_in(sketch_of(TEXTS), []) == 0


@pytest.mark.parametrize("name", ["metrics.json", "pretraining.json"])
def test_a_model_that_has_learnt_what_is_tested_on_is_told(name, tmp_path):
    (tmp_path / name).write_text(json.dumps({"learnt": sketch_of(TEXTS)}))
    folders = {"the teacher, big,": tmp_path, "the encoder": None}
    (note,) = notes_on_learnt(folders, TEXTS[:1000], "texts")
    assert note.startswith("the teacher, big, has learnt from about 100% of the texts to test on")
    assert notes_on_learnt(folders, [f"other {number}" for number in range(1000)], "texts") == []


@pytest.mark.parametrize("content", ["{", "[]", "{}", '"learnt"'])
def test_a_folder_that_does_not_say_is_asked_no_more(content, tmp_path):
    assert learnt_in(tmp_path) == ""
    (tmp_path / "metrics.json").write_text(content)
    assert learnt_in(tmp_path) == ""


def test_a_run_says_that_its_encoder_or_teacher_knows_its_test_texts(untrained, tmp_path, capsys):
    texts, labels = reviews(200, 3)
    path = write(tmp_path / "own.csv", ["text", "label"], zip(texts, labels))
    encoder, teacher = shutil.copytree(untrained, tmp_path / "encoder"), tmp_path / "teacher"
    teacher.mkdir()
    for folder in (encoder, teacher):
        (folder / "metrics.json").write_text(json.dumps({"learnt": sketch_of(texts)}))
    settings = TrainSettings(model_name_or_path=str(encoder), train_file=str(path), output_dir=str(tmp_path / "model"),
                             teacher=str(teacher))  # fmt: skip
    with prepare(settings, []):
        said = " ".join(capsys.readouterr().out.split())
    assert said.count("has learnt from about 100% of the texts to test on") == 2
    assert f"the teacher, {teacher}, has" in said and "Steps" not in said  # which the teacher's texts decide
