"""What an encoder that pretrain.py made puts into a gap.

usage: python benchmarks/guess_word.py [FOLDER]

FOLDER: default pretrained. Writes the five likeliest words for each gap below, with their probabilities, to
results/guess_word.md.
"""

import json
import sys
from pathlib import Path

import numpy as np
from common import RESULTS

from tfbert.model.backend import load_keras

load_keras()

from tfbert.common.errors import run
from tfbert.common.files import write_text
from tfbert.model.configs import read_config
from tfbert.model.masked_lm import load_masked_lm
from tfbert.model.vocabulary import load_tokenizer
from tfbert.report.calibration import softmax

TEXTS = [
    "The acting was [MASK] and I would watch it again.",
    "The acting was [MASK] and I left before the end.",
    "The film was directed by a very talented [MASK].",
    "I gave it ten [MASK] of ten.",
]


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "pretrained"
    model, _ = load_masked_lm(folder)
    tokenizer = load_tokenizer(folder, model.config.max_length, read_config(folder))
    command = json.loads(Path(folder, "pretraining.json").read_text())["command"]
    lines = [
        f"`python benchmarks/guess_word.py`, after `{command}`",
        "",
        "| gap | the likeliest words |",
        "| --- | --- |",
    ]
    for text in TEXTS:
        ids = np.array([tokenizer(text)["input_ids"]], np.int32)
        gaps = np.argwhere(ids[0] == tokenizer.mask_token_id).T.astype(np.int32)
        logits = np.asarray(model({"input_ids": ids, "attention_mask": np.ones_like(ids), "gaps": gaps}))[0]
        shares = softmax(logits)[0]
        best = np.argsort(-shares)[:5]
        words = ", ".join(f"{tokenizer.convert_ids_to_tokens(int(i))} {shares[i]:.0%}" for i in best)
        lines.append(f"| {text} | {words} |")
    write_text(RESULTS / "guess_word.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    sys.exit(run(main))
