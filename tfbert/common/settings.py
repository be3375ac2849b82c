"""A dataclass of settings, filled from the command line or from a JSON or YAML file.

Names follow transformers' example scripts. An unknown name or a wrong type is
an error that names the nearest right one.
"""

import argparse
import dataclasses
import json
import os
import reprlib
import sys
import types
import typing
from pathlib import Path

from tfbert.common.errors import UserError, nearest
from tfbert.common.systems import command_line
from tfbert.common.text import is_utf8

MEANT = {
    "lr": "learning_rate", "epochs": "num_train_epochs", "num_epochs": "num_train_epochs",
    "batch_size": "per_device_train_batch_size", "train_batch_size": "per_device_train_batch_size",
    "eval_batch_size": "per_device_eval_batch_size", "max_length": "max_seq_length", "max_len": "max_seq_length",
    "model": "model_name_or_path", "model_name": "model_name_or_path", "dataset": "dataset_name", "data": "train_file",
    "train": "train_file", "test": "test_file", "text": "text_column", "label": "label_column", "task": "task_name",
    "output": "output_dir", "overwrite": "overwrite_output_dir", "resume": "resume_from_checkpoint",
    "fp16": "precision", "bf16": "precision", "warmup": "warmup_ratio", "dropout": "hidden_dropout",
    "patience": "early_stopping_patience", "columns": "text_column", "time": "minutes", "input": "file",
    "input_file": "file",
}  # fmt: skip  # what other programs call a setting, and what it is here


def meant(name, known):
    """The end of a message: which of the known settings a name stands for, or is nearest to, or nothing."""
    plain, dashes = name.lstrip("-").replace("-", "_"), "--" * name.startswith("-")
    wanted = MEANT[plain] if MEANT.get(plain) in known else plain
    return nearest(dashes + wanted, [dashes + each for each in known])


def option(default, help, choices=None, above=None, at_least=None, below=None, at_most=None, const=None, blank=False,
           group=None):  # fmt: skip
    """A dataclass field with its help text, the values that it allows (blank: spaces and tabs too), what the flag
    alone stands for, and the heading that it stands under in --help.
    """
    limits = {
        "choices": choices,
        "above": above,
        "at_least": at_least,
        "below": below,
        "at_most": at_most,
        "const": const,
        "blank": blank,
    }
    return dataclasses.field(default=default, metadata={"help": help, "group": group, **limits})


def parse(settings_class, argv, positional=None):
    """An instance of `settings_class` from `argv`.

    A lone positional argument that ends in .json, .yaml or .yml is read first; flags win over it.
    `positional`, where given, is the (name, help) of free arguments instead: then returns (settings, arguments).
    """
    usage = f"%(prog)s [{f'{positional[0]} ...' if positional else 'settings file'}] [--name value ...]"
    examples = getattr(settings_class, "EXAMPLES", ())
    parser = Parser(
        usage=usage, description=settings_class.__doc__, allow_abbrev=False, formatter_class=HelpFormatter,
        epilog="\n  ".join(["examples:", *examples]) if examples else None,
    )  # fmt: skip
    parser.takes_texts = bool(positional)
    if positional:
        parser.add_argument(positional[0], nargs="*", help=positional[1])
    else:
        parser.add_argument("settings_file", nargs="?", help="a .json or .yaml file of the settings below")
    fields = dataclasses.fields(settings_class)
    titles = dict.fromkeys(field.metadata["group"] for field in fields)
    groups = {title: parser.add_argument_group(title) if title else parser for title in titles}
    for field in fields:
        names = list(dict.fromkeys(["--" + field.name, "--" + field.name.replace("_", "-")]))
        group, text = groups[field.metadata["group"]], field.metadata["help"]
        text += "" if field.default in (None, False) else f" (default: {field.default})"
        if field.type is bool:
            group.add_argument(*names, dest=field.name, action="store_true", default=None, help=text)
        else:
            metavar = "|".join(field.metadata["choices"] or [value_type(field).__name__.upper()])
            group.add_argument(*names, dest=field.name, metavar=metavar, help=text, const=field.metadata["const"],
                                nargs="?" if field.metadata["const"] else None)  # fmt: skip
    words, after = sys.argv[1:] if argv is None else list(argv), []
    if positional and "--" in words:  # argparse loses it where texts and flags are mixed
        words, after = words[: words.index("--")], words[words.index("--") + 1 :]
    read = parser.parse_intermixed_args if positional else parser.parse_args
    given = {name: value for name, value in vars(read(words)).items() if value is not None}
    if positional:
        free = given.pop(positional[0]) + after
        return settings_class(**checked(settings_class, given)), free
    if "settings_file" in given:
        given = read_file(given.pop("settings_file"), settings_class) | given
    return settings_class(**checked(settings_class, given))


def command_of(script, argv=None):
    """The command line that gives the same from the beginning: without what resumed it, which needs a checkpoint.

    argv: the words after the script's name; None: those of this process.
    """
    arguments = sys.argv[1:] if argv is None else argv
    resuming = ("--resume_from_checkpoint", "--resume-from-checkpoint")
    kept = [
        word
        for before, word in zip([None, *arguments], arguments)
        if before not in resuming and word.partition("=")[0] not in resuming
    ]
    return command_line(["python", script, *kept])


class HelpFormatter(argparse.HelpFormatter):
    """One spelling of each flag in --help, and the examples line by line."""

    def _fill_text(self, text, width, indent):
        return text if text.startswith("examples:") else super()._fill_text(text, width, indent)

    def _format_action_invocation(self, action):
        if not action.option_strings or action.option_strings[0] == "-h":
            return super()._format_action_invocation(action)
        return " ".join(filter(None, [action.option_strings[0], action.metavar]))


class Parser(argparse.ArgumentParser):
    takes_texts = False

    def error(self, message):
        """One line, with the nearest flag where a flag is unknown."""
        unknown = "unrecognized arguments: "
        if message.startswith(unknown):
            message = message.removeprefix(unknown).split(" ")[0].split("=")[0]
            known = [action.dest for action in self._actions if action.option_strings]
            message = f"unknown argument {message}" + meant(message, known)
            message += "; a text that begins with - stands after --" * self.takes_texts
        raise UserError(message + "; see --help")


def read_file(path, settings_class):
    """The settings in a JSON or YAML file, checked for unknown names."""
    path = Path(path)
    if path.suffix not in (".json", ".yaml", ".yml"):
        is_table = "train_file" in {field.name for field in dataclasses.fields(settings_class)} and path.is_file()
        raise UserError(
            f"unexpected argument {path}: did you mean --train_file {path}?"
            if is_table
            else f"unexpected argument {path}: flags begin with --, a settings file ends in .json or .yaml"
        )
    if path.exists() and not path.is_file():
        raise UserError(f"the settings file {path} is not a regular file")
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json":
            values = json.loads(text)
        else:
            import yaml

            try:
                values = yaml.safe_load(text)
            except (yaml.YAMLError, LookupError, AttributeError, TypeError) as error:  # of tags, as !!bool abc
                raise ValueError(f"not YAML, or a tag that does not fit its value ({error})") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read the settings file {path}: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold names and values, such as learning_rate: 2e-5")
    known = [field.name for field in dataclasses.fields(settings_class)]
    spelled = values
    values = {str(name).replace("-", "_"): value for name, value in values.items()}
    if len(values) < len(spelled):
        raise UserError(f"{path} gives a setting twice, with - and with _")
    for name in values:
        if name not in known:
            raise UserError(f"{path}: unknown setting {name}{meant(name, known)}")
    return {name: value for name, value in values.items() if value is not None}


def value_type(field):
    """int for `int` and for `int | None`."""
    if isinstance(field.type, types.UnionType):
        return next(t for t in typing.get_args(field.type) if t is not type(None))
    return field.type


def checked(settings_class, values):
    """`values` converted to the fields' types, or a UserError that names the flag, the value and the rule."""
    fields = {field.name: field for field in dataclasses.fields(settings_class)}
    return {name: checked_value(fields[name], value) for name, value in values.items()}


def changed(settings, names):
    """Of these settings, those that are not as by default, a dict."""
    default = type(settings)()
    return {name: value for name in names if (value := getattr(settings, name)) != getattr(default, name)}


def as_flag(value, wanted, rule):
    """What stands for a value of YAML or JSON on a command line."""
    if value is True and rule["const"]:
        return rule["const"]
    if isinstance(value, bool) and "on" in (rule["choices"] or ()):  # YAML reads on and off as true and false
        return "on" if value else "off"
    if isinstance(value, bool) and "true" in (rule["choices"] or ()):
        return str(value).lower()
    if wanted is str and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ",".join(value)
    return value


def checked_value(field, value):
    wanted, rule = value_type(field), field.metadata
    flag = f"--{field.name} {value if isinstance(value, (str, int, float)) else reprlib.repr(value)}"
    if wanted is bool:
        if not isinstance(value, bool):
            quoted = ", without quotes" if isinstance(value, str) else ""
            raise UserError(f"{flag}: must be true or false{quoted}")
        return value
    value = as_flag(value, wanted, rule)
    try:
        if isinstance(value, (bool, list, dict)) or (
            wanted is int and isinstance(value, float) and value != int(value)
        ):
            raise ValueError
        value = wanted(value)
    except (TypeError, ValueError, OverflowError):
        kind = {int: "a whole number", float: "a number", str: "text"}[wanted]
        raise UserError(f"{flag}: must be {kind}") from None
    if wanted is str and value.startswith(("~/", "~\\")):  # from a settings file, or after a =: shells leave it
        value = os.path.expanduser(value)
    if (
        wanted is str
        and not (rule["blank"] and value.isspace())
        and (not value.strip() or not value.isprintable() or not is_utf8(value))
    ):
        raise UserError(f"--{field.name} {value!r}: must be text that can be printed")
    if rule["choices"] and value not in rule["choices"]:
        raise UserError(f"{flag}: must be one of {', '.join(rule['choices'])}{nearest(value, rule['choices'])}")
    if wanted is float and not abs(value) < float("inf"):
        raise UserError(f"{flag}: must be a finite number")
    if rule["above"] is not None and not value > rule["above"]:
        raise UserError(f"{flag}: must be above {rule['above']}")
    if rule["at_least"] is not None and not value >= rule["at_least"]:
        raise UserError(f"{flag}: must be at least {rule['at_least']}")
    if rule["below"] is not None and not value < rule["below"]:
        raise UserError(f"{flag}: must be below {rule['below']}")
    if rule["at_most"] is not None and not value <= rule["at_most"]:
        raise UserError(f"{flag}: must be at most {rule['at_most']}")
    return value
