"""How a trained model reads texts and states its confidence: "tfbert" in its config.json."""

from tfbert.common.errors import UserError
from tfbert.data.tokenizing import TRUNCATIONS, TextEncoder
from tfbert.data.windows import LONG_TEXTS

POOLINGS = ("pooler", "first", "mean")


def length_read(config, reading):
    """Tokens that a trained model reads at a time, an int. config: a ModelConfig; reading: what reading_config gave."""
    return min(reading.get("max_seq_length", config.max_length), config.max_length)


def encoder_as_trained(folder, config, reading):
    """The TextEncoder in a model's folder, which cuts as in training. config, reading: as in length_read."""
    cutting = [reading[name] for name in ("truncation", "head_share", "long_texts")]
    return TextEncoder.from_folder(folder, length_read(config, reading), *cutting)


def reading_config(config, source="config.json"):
    """How texts are read and confidence is stated: what "tfbert" in a config.json dict says, or defaults.

    max_seq_length and thresholds, a number for each label, may be missing. Raises UserError where a value is not as
    train.py writes it.
    """
    found = config.get("tfbert", {})
    if not isinstance(found, dict):
        raise UserError(f"{source}: tfbert is {found!r}, not a JSON object")
    own_pooling = "mean" if config.get("classifier_pooling") == "mean" else "pooler"  # ModernBERT's
    defaults = {"truncation": "head+tail", "head_share": 0.25, "long_texts": "cut", "pooling": own_pooling,
                "temperature": 1.0, "pair": False,
                "example": "This movie is absolutely wonderful and inspiring."}  # fmt: skip
    result = defaults | found

    def number(low, high):
        return lambda value: type(value) in (int, float) and low <= value <= high

    labels = len(config.get("id2label") or ())
    rules = {
        "max_seq_length": (lambda value: type(value) is int and value > 2, "a whole number from 3 on"),
        "truncation": (TRUNCATIONS.__contains__, f"one of {', '.join(TRUNCATIONS)}"),
        "head_share": (number(0, 1), "a number from 0 to 1"),
        "long_texts": (LONG_TEXTS.__contains__, f"one of {', '.join(LONG_TEXTS)}"),
        "pooling": (POOLINGS.__contains__, f"one of {', '.join(POOLINGS)}"),
        "temperature": (number(1e-3, 1e3), "a number from 0.001 to 1000"),
        "pair": (lambda value: isinstance(value, bool), "true or false"),
        "example": (lambda value: isinstance(value, str), "text"),
        "thresholds": (
            lambda value: isinstance(value, list) and all(map(number(0, 1), value)) and len(value) == labels,
            "a number from 0 to 1 for each label",
        ),
    }
    for name, value in result.items():
        holds, rule = rules.get(name, (lambda value: True, ""))
        if not holds(value):
            raise UserError(f"{source}: tfbert.{name} is {value!r}, not {rule}")
    return result
