"""config.json as it stands in a folder, or what stands for it in a release of google-research/bert."""

from pathlib import Path

from tfbert.common.console import note_once
from tfbert.common.errors import UserError
from tfbert.common.inputs import read_json
from tfbert.model.remote_configs import own_names
from tfbert.model.weight_files import open_weights
from tfbert.model.weight_names import CLASSES


def read_config(folder):
    """The dict in config.json or bert_config.json, its model_type added where the weights' names are those of a BERT.

    What was added is said. Raises UserError where there is none, it is broken, or of an unknown architecture.
    """
    path, of_google = Path(folder, "config.json"), Path(folder, "bert_config.json")
    if of_google.exists() and not path.exists():
        path = of_google
    try:
        config = read_json(path)
    except FileNotFoundError:
        raise UserError(f"{folder} holds no config.json: not a model folder") from None
    if not isinstance(config, dict):
        raise UserError(f"{path} is not a JSON object")
    config = own_names(config, path)
    kind = config.get("model_type")
    if kind is None:
        kind = type_by_weights(folder, path)
    if not isinstance(kind, str) or kind not in CLASSES:
        raise UserError(f"{path}: model_type {kind} is not supported; supported are {', '.join(CLASSES)}")
    return config | {"model_type": kind}


def must_hold_model(folder):
    """Raises UserError where train.py has written nothing into a folder."""
    if not Path(folder).exists():
        raise UserError(f"there is no folder {folder}: run python train.py first, or name another with --model_dir")
    if not Path(folder, "config.json").exists():
        raise UserError(f"{folder} holds no model yet: run python train.py first, or name one with --model_dir")


def type_by_weights(folder, path):
    """The model_type of a config.json, `path`, that has none."""
    with open_weights(folder) as stored:
        if any(name.startswith("bert.") for name in stored.shapes):
            note_once(f"{path} names no model_type: {stored.path.name} has a BERT's weights, so it is read as bert")
            return "bert"
    raise UserError(
        f'{path} names no model_type: add "model_type": "bert", if it is a BERT; others are {", ".join(CLASSES)}'
    )


def trained_pooling(folder):
    """ "mean" or "first", where the encoder in `folder` was trained for such vectors of whole texts, else None.

    sentence-transformers writes it down: modules.json names the folder whose config.json says how it pools. Raises
    UserError where one of them is broken.
    """
    try:
        modules = read_json(Path(folder, "modules.json"))
        place = next(each["path"] for each in modules if each["type"].endswith(".Pooling"))
        pooling = read_json(Path(folder, place, "config.json"))
    except (FileNotFoundError, StopIteration, TypeError, KeyError, AttributeError):
        return None
    if not isinstance(pooling, dict):
        return None
    if "pooling_mode" in pooling:
        return {"mean": "mean", "cls": "first"}.get(str(pooling["pooling_mode"]))
    chosen = [name for name, value in pooling.items() if name.startswith("pooling_mode_") and value is True]
    return {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "first"}.get("".join(chosen))
