"""What export.py --to litert makes of a model: size, milliseconds a text, and labels, beside ONNX.

usage: python export.py --to litert --model_dir FOLDER; python benchmarks/litert.py FOLDER exported/litert

FOLDER is the model that recipes.py leaves in its --work folder; the reviews are of other films, of IMDb's train split,
cut to what the .tflite file reads. Writes results/litert.md.
"""

import time
from pathlib import Path

import numpy as np
from common import RESULTS, commit
from long_texts import parser_of, some_reviews

from tfbert.common.files import write_text
from tfbert.data.batches import pad
from tfbert.data.tokenizing import TextEncoder
from tfbert.inference.exporting import litert_runner
from tfbert.inference.predicting import Predictor


def main():
    parser = parser_of(__doc__, 2000)
    parser.add_argument("exported", metavar="LITERT")
    arguments = parser.parse_args()
    texts, labels = some_reviews(arguments.work, arguments.reviews)
    predictor = Predictor(arguments.model)
    length = predictor.encoder.max_seq_length
    ids = TextEncoder(predictor.encoder.tokenizer, length)(texts)[0]
    batches = [pad([each], length) for each in ids]
    for batch in batches:
        batch["token_type_ids"] = np.zeros_like(batch["input_ids"])
    files = {name: Path(arguments.exported, name) for name in ("model.tflite", "model_int8.tflite")}
    contestants = {"ONNX, float32": (Path(arguments.model, "onnx", "model.onnx.data"), predictor.logits_of_batch)}
    contestants |= {name: (path, logits_of(path)) for name, path in files.items()}
    rows, exact = [], None
    for name, (path, run) in contestants.items():
        begun = time.perf_counter()
        logits = np.concatenate([run(batch) for batch in batches])
        took = 1000 * (time.perf_counter() - begun) / len(batches)
        exact = logits if exact is None else exact
        share, same = (logits.argmax(axis=1) == labels).mean(), (logits.argmax(axis=1) == exact.argmax(axis=1)).mean()
        rows.append(f"| {name} | {path.stat().st_size / 1e6:.1f} | {took:.1f} | {share:.2%} | {same:.2%} | "
                    f"{np.abs(logits - exact).max():.1e} |")  # fmt: skip
        print(rows[-1], flush=True)
    head = [
        "# On a phone's runtime\n",
        f"`python benchmarks/litert.py FOLDER exported/litert`, commit {commit()}: {len(texts):,} reviews of films "
        f"that the model has not read, cut and padded to {length} tokens, one at a time, on two CPU cores.\n",
        "| | MB | ms a review | right | same label as ONNX | largest difference of a logit |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    write_text(RESULTS / "litert.md", "\n".join([*head, *rows, ""]))


def logits_of(path):
    """A function from a padded batch of one text to its logits."""
    run = litert_runner(path)
    return lambda batch: run(**batch)["logits"]


if __name__ == "__main__":
    main()
