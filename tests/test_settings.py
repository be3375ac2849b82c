import dataclasses
import os
import re

import pytest

from infer import InferSettings
from tfbert.common.errors import UserError
from tfbert.common.settings import command_of, parse
from tfbert.training.settings import PretrainSettings, TrainSettings


def test_both_spellings_and_the_file_with_flags_above_it(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("learning_rate: 3e-5\nnum-train-epochs: 2\noverwrite_output_dir: true\n")
    settings = parse(TrainSettings, [str(path), "--num_train_epochs", "4", "--max-seq-length", "128"])
    assert (settings.learning_rate, settings.num_train_epochs, settings.max_seq_length) == (3e-5, 4.0, 128)
    assert settings.overwrite_output_dir and settings.seed == 42


def test_a_separator_may_be_blank():
    assert parse(TrainSettings, ["--label_separator", " "]).label_separator == " "
    assert parse(TrainSettings, ["--label_separator", "\t"]).label_separator == "\t"


def test_json_files_work_too(tmp_path):
    (tmp_path / "run.json").write_text('{"seed": 7, "save_steps": null}')
    settings = parse(TrainSettings, [str(tmp_path / "run.json")])
    assert settings.seed == 7 and settings.save_steps is None


def test_on_and_off_mean_in_yaml_what_they_say(tmp_path):
    for word in ("on", "off", "auto"):
        (tmp_path / "run.yaml").write_text(f"xla: {word}\n")
        assert parse(TrainSettings, [str(tmp_path / "run.yaml")]).xla == word


def test_a_file_may_say_things_as_yaml_does(tmp_path):
    (tmp_path / "run.yaml").write_text("label_column: [joy, fear]\nfrom_scratch: true\noutput_dir: ~/models\n")
    settings = parse(TrainSettings, [str(tmp_path / "run.yaml")])
    assert (settings.label_column, settings.from_scratch) == ("joy,fear", "small")
    assert settings.output_dir == os.path.expanduser("~/models") != "~/models"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--learning_rate", "abc"], "--learning_rate abc: must be a number"),
        (["--learning_rate", "nan"], "--learning_rate nan: must be a finite number"),
        (["--learning_rate", "0"], "--learning_rate 0.*: must be above 0"),
        (["--lr", "1"], r"unknown argument --lr; did you mean --learning_rate\?"),
        (["--batch-size", "8"], r"unknown argument --batch-size; did you mean --per_device_train_batch_size\?"),
        (["--epochs=3"], r"unknown argument --epochs; did you mean --num_train_epochs\?"),
        (["--learnin-rate", "1"], r"unknown argument --learnin-rate; did you mean --learning_rate\?"),
        (["--max_seq_length=1.5"], "--max_seq_length 1.5: must be a whole number"),
        (["--truncation", "tial"], r"must be one of head\+tail, head, tail; did you mean tail\?"),
        (["--seed"], "expected one argument"),
        (["--learning_rate", "3"], r"--learning_rate 3.*: must be at most 0.1"),
        (["--warmup_ratio", "1"], "must be below 1"),
        (["review.txt"], "unexpected argument review.txt"),
        (["nothing.yaml"], "cannot read the settings file nothing.yaml"),
        ([__file__], f"did you mean --train_file {__file__}"),
    ],
)
def test_a_wrong_argument_is_one_clear_line(arguments, message):
    with pytest.raises(UserError, match=message):
        parse(TrainSettings, arguments)


@pytest.mark.parametrize(
    "text, message",
    [
        ("learning_rat: 1", "unknown setting learning_rat; did you mean learning_rate?"),
        ("- 1", "must hold names and values"),
        ("a: [", "cannot read the settings file"),
        ("seed: true", "--seed True: must be a whole number"),
        ("overwrite_output_dir: 3", "must be true or false"),
        ("label_column: [joy, 3]", "--label_column ['joy', 3]: must be text"),
        ("output_dir: true", "--output_dir True: must be text"),
    ],
)
def test_a_wrong_settings_file_is_one_clear_line(tmp_path, text, message):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        parse(TrainSettings, [str(path)])
    assert message in str(caught.value)


def test_a_file_with_a_mark_at_its_beginning_is_read(tmp_path):
    for name, text in (("run.json", '{"seed": 7}'), ("run.yaml", "seed: 7")):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        assert parse(TrainSettings, [str(tmp_path / name)]).seed == 7


@pytest.mark.parametrize(
    "text", ["overwrite_output_dir: !!bool abc", "seed: !!timestamp abc", 'seed: !!int ""', "seed: !!float abc",
             "seed: !!python/object:os.system x", "? [1]\n: 2", "seed: !!int abc", "&a [*a]"]
)  # fmt: skip
def test_yaml_that_does_not_fit_its_tags_is_one_clear_line(tmp_path, text):
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(UserError, match=r"run\.yaml"):
        parse(TrainSettings, [str(tmp_path / "run.yaml")])


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"overwrite_output_dir": "true"}', "--overwrite_output_dir true: must be true or false, without quotes"),
        ('{"seed": "true"}', "--seed true: must be a whole number"),
        ('{"learning_rate": NaN}', "must be a finite number"),
        ('{"save-steps": 1, "save_steps": 2}', "gives a setting twice"),
        ("[" * 100_000, "cannot read the settings file"),
    ],
)
def test_a_wrong_json_file_is_one_clear_line(tmp_path, text, message):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError, match=message):
        parse(TrainSettings, [str(tmp_path / "run.json")])


def test_lists_within_lists_do_not_fill_the_memory(tmp_path):
    lists = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 15)]
    (tmp_path / "run.yaml").write_text("seed:\n  - l0: &l0 [x]\n" + "".join(f"    {line}\n" for line in lists))
    with pytest.raises(UserError, match="--seed .*must be a whole number") as caught:
        parse(TrainSettings, [str(tmp_path / "run.yaml")])
    assert len(str(caught.value)) < 100_000


def test_a_settings_file_is_a_regular_file(tmp_path):
    (tmp_path / "run.json").mkdir()
    with pytest.raises(UserError, match="run.json is not a regular file"):
        parse(TrainSettings, [str(tmp_path / "run.json")])


@pytest.mark.parametrize("settings_class", [TrainSettings, PretrainSettings])
@pytest.mark.parametrize(
    "arguments",
    [
        ["--per_device_train_batch_size", "1000000000"],
        ["--per_device_train_batch_size", str(10**18)],
        ["--num_train_epochs", "1e9"],
        ["--gradient_accumulation_steps", "1000000"],
    ],
)
def test_sizes_that_no_machine_holds_are_refused(settings_class, arguments):
    with pytest.raises(UserError, match=f"{arguments[0]} {arguments[1]}: must be at most"):
        parse(settings_class, arguments)


def test_infer_refuses_such_sizes_too():
    with pytest.raises(UserError, match="--batch_size .*: must be at most"):
        parse(InferSettings, ["--batch_size", str(10**18)], positional=("text", ""))


def test_the_best_validation_may_be_that_of_any_figure_of_the_report():
    for name in ("loss", "metric", "f1_macro", "matthews_correlation", "roc_auc", "jaccard", "accuracy", "ece"):
        assert parse(TrainSettings, ["--metric_for_best_model", name]).metric_for_best_model == name
    with pytest.raises(UserError, match=r"must be one of loss, .*f1_macro.*; did you mean f1_macro\?"):
        parse(TrainSettings, ["--metric_for_best_model", "f1_marco"])


@pytest.mark.parametrize(
    "resuming", [["--resume_from_checkpoint", "last"], ["--resume-from-checkpoint=my run/step-3"], []]
)
def test_a_recorded_command_starts_from_the_beginning(resuming):
    assert command_of("train.py", ["--seed", "7", *resuming, "--xla", "off"]) == "python train.py --seed 7 --xla off"


@pytest.mark.parametrize("settings_class", [TrainSettings, PretrainSettings])
def test_help_shows_every_setting_under_one_of_four_headings(settings_class, capsys):
    with pytest.raises(SystemExit):
        parse(settings_class, ["--help"])
    headings = ["what to learn", "how it learns", "how it runs", "what is written"]
    _, *parts = re.split(rf"^({'|'.join(headings)}):$", capsys.readouterr().out, flags=re.MULTILINE)
    assert parts[::2] == headings
    shown = {name for part in parts[1::2] for name in re.findall(r"^  --(\w+)", part, flags=re.MULTILINE)}
    assert shown == {field.name for field in dataclasses.fields(settings_class)}
