"""Prints the table of docs/encoders.md: the types of encoders, from what the code knows of them.

usage: python tools/encoder_table.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tfbert.model.configs import model_config
from tfbert.model.weight_names import CLASSES, WITHOUT_TENSORFLOW

ASKED = {"deberta-v2": {"relative_attention": True, "pos_att_type": "p2c|c2p", "share_att_key": True,
                        "position_biased_input": False, "position_buckets": 256}}  # fmt: skip  # as DeBERTa-v3 has it


def table():
    """The lines of the table, a str."""
    lines = ["| `model_type` | classes in transformers | with TensorFlow in transformers 4 | tells places by | types of"
             " tokens | `--pooling mean` in transformers |", "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for kind, name in sorted(CLASSES.items()):
        config = model_config({"model_type": kind} | ASKED.get(kind, {}))
        old = "" if kind in WITHOUT_TENSORFLOW else f"`TF{name}...`"
        types = str(config.type_vocab_size) if config.type_vocab_size > 1 else ""
        mean = "yes" if config.pooler_with_norm else ""
        lines.append(f"| `{kind}` | `{name}...` | {old} | {places(config)} | {types} | {mean} |")
    return "\n".join(lines) + "\n"


def places(config):
    if config.local_attention:
        return f"rotations; two of three layers see {config.local_attention} tokens"
    if config.rope_theta:
        return "rotations"
    if config.disentangled:
        return "a vector for each distance"
    bias = ", and a bias for each distance" if config.relative_attention_num_buckets else ""
    return f"a vector for each of {config.max_length:,}{bias}"


if __name__ == "__main__":
    print(table(), end="")
