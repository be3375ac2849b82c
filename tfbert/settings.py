"""A dataclass of settings, filled from the command line or from a JSON or YAML file.

Names follow transformers' example scripts. An unknown name or a wrong type is
an error that names the nearest right one.
"""

import argparse
import dataclasses
import json
import os
import shlex
import types
import typing
from dataclasses import dataclass
from pathlib import Path

from tfbert.configs import POOLINGS, SCRATCH, TRUNCATIONS
from tfbert.errors import UserError, nearest
from tfbert.reading import is_utf8


def option(default, help, choices=None, above=None, at_least=None, below=None, at_most=None, const=None, blank=False):
    """A dataclass field with its help text, the values that it allows (blank: spaces and tabs too), and what the flag
    alone stands for.
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
    return dataclasses.field(default=default, metadata={"help": help, **limits})


@dataclass
class RunSettings:
    """What train.py and pretrain.py have in common; None is filled in by the job's size and the encoder's width."""

    LASTING = ("max_seq_length", "num_train_epochs", "learning_rate", "warmup_ratio", "weight_decay", "max_grad_norm",
               "hidden_dropout", "attention_dropout", "layerwise_lr_decay", "gradient_accumulation_steps",
               "load_best_model_at_end", "metric_for_best_model",
               "early_stopping_patience")  # fmt: skip  # the same when a run is resumed

    # what to learn, from what
    task_name: str = option("imdb", "the task: imdb, sst2, sst2_tutorial, cola or emotions")
    model_name_or_path: str | None = option(None, "a folder or a Hub id; default google-bert/bert-base-uncased")
    dataset_name: str | None = option(None, "a folder or a Hub id; default: the task's data set on the Hub")
    data_dir: str | None = option(None, "a folder with the task's files as their authors publish them")
    train_file: str | None = option(None, "your own data: a .csv, .tsv, .jsonl or .parquet file")
    validation_file: str | None = option(None, "for the curves, in place of a part held out of train")
    test_file: str | None = option(None, "in place of a fifth of --train_file")
    text_column: str | None = option(None, "of your own data; default text")
    text_pair_column: str | None = option(None, "of your own data, where a label is that of two texts")
    label_column: str | None = option(
        None, "of your own data; default label; several columns of zeros and ones with commas between them"
    )
    label_separator: str | None = option(
        None, "of your own data: what stands between the labels of one cell", blank=True
    )
    max_train_samples: int | None = option(None, "train on this many texts, drawn by --seed", at_least=8)
    validation_samples: int | None = option(None, "held out of train for the curves; default: 1 in 25", at_least=2)
    max_seq_length: int | None = option(None, "tokens per text; default 512 on a GPU, else 256", at_least=8)

    # how it learns
    num_train_epochs: float | None = option(None, "passes over the texts; default: as the Job line says", above=0)
    per_device_train_batch_size: int | None = option(None, "texts in a step; default 32 on a GPU, else 16", at_least=1)
    learning_rate: float | None = option(
        None, "peak of the schedule; default 2e-5, narrow encoders 1e-4, new ones 3e-4", above=0
    )
    warmup_ratio: float = option(
        0.1, "share of the steps in which the rate rises (Devlin et al. 2018)", at_least=0, below=1
    )
    weight_decay: float = option(0.01, "AdamW's decay (Devlin et al. 2018); none on bias and LayerNorm", at_least=0)
    max_grad_norm: float = option(1.0, "gradients are scaled down to this global norm", above=0)
    hidden_dropout: float | None = option(None, "default: the encoder's, 0 in a CPU's quick job", at_least=0, below=1)
    attention_dropout: float = option(0.0, "dropout on attention weights; slow on a CPU", at_least=0, below=1)
    layerwise_lr_decay: float = option(
        1.0,
        "factor of the rate from a layer to the one below; 0.95 in Sun et al. 2019, 0.8 in ELECTRA",
        above=0,
        at_most=1,
    )
    gradient_accumulation_steps: int = option(1, "steps whose gradients make one update", at_least=1)
    seed: int = option(42, "of samples, order, dropout and new weights", at_least=0, at_most=2**32 - 1)

    # how it runs
    precision: str = option("auto", "arithmetic", choices=("auto", "float32", "bfloat16", "float16"))
    xla: str = option("auto", "compile whole steps with XLA: on for one GPU, else off", choices=("auto", "on", "off"))
    logging_steps: int = option(10, "steps between progress lines", at_least=1)
    eval_steps: int | None = option(None, "steps between validations; default: five in a run", at_least=1)
    save_steps: int | None = option(None, "steps between checkpoints; default: as validations", at_least=1)
    load_best_model_at_end: bool = option(False, "keep the weights of the best validation, not the last ones")
    metric_for_best_model: str = option(
        "loss",
        "what the best validation has: the lowest loss, or the task's highest metric",
        choices=("loss", "metric"),
    )
    early_stopping_patience: int | None = option(
        None, "end after this many validations without a better one, and keep the best weights", at_least=1
    )
    output_dir: str = option("output", "model, tokenizer, metrics and checkpoints")
    overwrite_output_dir: bool = option(False, "replace the model that stands in output_dir")
    resume_from_checkpoint: str | None = option(None, "'last', or a checkpoint folder")


@dataclass
class TrainSettings(RunSettings):
    """Fine-tune a BERT-family encoder on a text classification task."""

    LASTING = (*RunSettings.LASTING, "truncation", "head_share", "pooling", "label_smoothing", "class_weights",
               "average_seeds")  # fmt: skip

    method: str = option(
        "finetune",
        "features: the encoder stays as it is, and logistic regression learns from its vectors",
        choices=("finetune", "features"),
    )
    from_scratch: str | None = option(
        None,
        "a new BERT and its vocabulary, from the task's texts alone; without a value: small",
        SCRATCH,
        const="small",
    )
    per_device_eval_batch_size: int = option(64, "texts in one evaluation batch", at_least=1, at_most=65536)
    max_eval_samples: int | None = option(None, "test on this many texts, drawn by --seed", at_least=2)
    truncation: str = option("head+tail", "what a long text keeps", choices=TRUNCATIONS)
    head_share: float = option(
        0.25, "what the head gets of head+tail; Sun et al. 2019: a quarter", at_least=0, at_most=1
    )
    pooling: str | None = option(
        None,
        "what is classified: the first token through the encoder's pooler; it as it is; the mean of all; "
        "default pooler, with --method features first",
        choices=POOLINGS,
    )
    label_smoothing: float = option(
        0.0, "share of the target that all labels get alike; 0.1 in Szegedy et al. 2016", at_least=0, below=1
    )
    class_weights: str = option(
        "none", "balanced: every label weighs the same in the loss", choices=("none", "balanced")
    )
    seeds: int = option(1, "train this many times, with seeds from --seed on; the median run is saved", at_least=1)
    average_seeds: bool = option(
        False, "with --seeds: the average of the runs' weights is saved, a model soup (Wortsman et al. 2022)"
    )
    excerpt_words: int = option(25, "words of each mistake in the report; 0 for confidential texts", at_least=0)


@dataclass
class PretrainSettings(RunSettings):
    """Go on with an encoder's masked language modelling on a task's own texts, without their labels."""

    LASTING = (*RunSettings.LASTING, "mlm_probability")

    learning_rate: float | None = option(None, "peak of the schedule; default 5e-5, narrow encoders 5e-4", above=0)
    mlm_probability: float = option(
        0.3,
        "share of the tokens that are to be guessed; 0.15 in Devlin et al. 2018, 0.4 in Wettig et al. 2022",
        above=0,
        below=1,
    )
    unsupervised: bool = option(False, "use the data set's unsupervised split too")
    output_dir: str = option("pretrained", "the encoder and its tokenizer, and checkpoints")


def fill_in(settings, chosen, max_length):
    """Gives `chosen` to what the command line left open, and returns what it gave.

    Raises UserError where max_seq_length is then more than the encoder's max_length.
    """
    chosen = {name: value for name, value in chosen.items() if getattr(settings, name) is None}
    for name, value in chosen.items():
        setattr(settings, name, value)
    if settings.max_seq_length > max_length:
        raise UserError(f"--max_seq_length {settings.max_seq_length}: this encoder reads at most {max_length} tokens")
    return chosen


def parse(settings_class, argv, positional=None):
    """An instance of `settings_class` from `argv`.

    A lone positional argument that ends in .json, .yaml or .yml is read first; flags win over it.
    `positional`, where given, is the (name, help) of free arguments instead: then returns (settings, arguments).
    """
    usage = f"%(prog)s [{f'{positional[0]} ...' if positional else 'settings file'}] [--name value ...]"
    parser = Parser(usage=usage, description=settings_class.__doc__, allow_abbrev=False, formatter_class=HelpFormatter)
    if positional:
        parser.add_argument(positional[0], nargs="*", help=positional[1])
    else:
        parser.add_argument("settings_file", nargs="?", help="a .json or .yaml file of the settings below")
    for field in dataclasses.fields(settings_class):
        names = list(dict.fromkeys(["--" + field.name, "--" + field.name.replace("_", "-")]))
        text = field.metadata["help"] + ("" if field.default in (None, False) else f" (default: {field.default})")
        if field.type is bool:
            parser.add_argument(*names, dest=field.name, action="store_true", default=None, help=text)
        else:
            metavar = "|".join(field.metadata["choices"] or [value_type(field).__name__.upper()])
            parser.add_argument(*names, dest=field.name, metavar=metavar, help=text, const=field.metadata["const"],
                                nargs="?" if field.metadata["const"] else None)  # fmt: skip
    read = parser.parse_intermixed_args if positional else parser.parse_args
    given = {name: value for name, value in vars(read(argv)).items() if value is not None}
    if positional:
        free = given.pop(positional[0])
        return settings_class(**checked(settings_class, given)), free
    if "settings_file" in given:
        given = read_file(given.pop("settings_file"), settings_class) | given
    return settings_class(**checked(settings_class, given))


def command_of(script, arguments):
    """The command line that gives the same from the beginning: without what resumed it, which needs a checkpoint."""
    resuming = ("--resume_from_checkpoint", "--resume-from-checkpoint")
    kept = [
        word
        for before, word in zip([None, *arguments], arguments)
        if before not in resuming and word.partition("=")[0] not in resuming
    ]
    return shlex.join(["python", script, *kept])


class HelpFormatter(argparse.HelpFormatter):
    """One spelling of each flag in --help."""

    def _format_action_invocation(self, action):
        if not action.option_strings or action.option_strings[0] == "-h":
            return super()._format_action_invocation(action)
        return " ".join(filter(None, [action.option_strings[0], action.metavar]))


class Parser(argparse.ArgumentParser):
    def error(self, message):
        """One line, with the nearest flag where a flag is unknown."""
        unknown = "unrecognized arguments: "
        if message.startswith(unknown):
            message = message.removeprefix(unknown).split(" ")[0].split("=")[0]
            known = [name for action in self._actions for name in action.option_strings if "-" not in name[2:]]
            message = f"unknown argument {message}" + nearest(message.replace("-", "_").replace("__", "--"), known)
        raise UserError(message + "; see --help")


def read_file(path, settings_class):
    """The settings in a JSON or YAML file, checked for unknown names."""
    path = Path(path)
    if path.suffix not in (".json", ".yaml", ".yml"):
        raise UserError(f"unexpected argument {path}: flags begin with --, a settings file ends in .json or .yaml")
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            values = json.loads(text)
        else:
            import yaml

            try:
                values = yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise ValueError(error) from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read the settings file {path}: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold names and values, such as learning_rate: 2e-5")
    known = [field.name for field in dataclasses.fields(settings_class)]
    values = {str(name).replace("-", "_"): value for name, value in values.items()}
    for name in values:
        if name not in known:
            raise UserError(f"{path}: unknown setting {name}{nearest(name, known)}")
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


def as_flag(value, wanted, rule):
    """What stands for a value of YAML or JSON on a command line."""
    if value is True and rule["const"]:
        return rule["const"]
    if isinstance(value, bool) and "on" in (rule["choices"] or ()):  # YAML reads on and off as true and false
        return "on" if value else "off"
    if wanted is str and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ",".join(value)
    return value


def checked_value(field, value):
    flag, wanted, rule = f"--{field.name} {value}", value_type(field), field.metadata
    if wanted is bool:
        if not isinstance(value, bool):
            raise UserError(f"{flag}: must be true or false")
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
    if wanted is str and value.startswith("~/"):  # from a settings file, or after a =, where the shell leaves it
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
