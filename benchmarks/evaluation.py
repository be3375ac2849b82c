"""What evaluation costs, and what its arithmetic changes: Keras in float32 and bfloat16, ONNX Runtime in float32.

usage: python benchmarks/evaluation.py FOLDER [--reviews 1500] [--rounds 2]

FOLDER is a model that train.py or recipes.py saved; the reviews are those of long_texts.py, read whole. The ways take
turns. Writes results/evaluation.md.
"""

import time

import numpy as np
from common import RESULTS, commit
from long_texts import logits_of, parser_of, some_reviews

from tfbert.common.files import write_text
from tfbert.data.windows import combined
from tfbert.inference.predicting import Predictor
from tfbert.report.calibration import cross_entropies

WAYS = {"Keras, float32": "float32", "Keras, bfloat16": "mixed_bfloat16", "ONNX Runtime, float32": None}


def main():
    parser = parser_of(__doc__, 1500)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    texts, labels = some_reviews(arguments.work, arguments.reviews)
    predictor = Predictor(arguments.model)
    windows, owners = predictor.encoder.in_windows(predictor.encoder(texts)[0])
    onnx, seconds, answers = predictor.logits_of_batch, {}, {}
    for number in range(arguments.rounds):
        for way, policy in WAYS.items():
            predictor.logits_of_batch = keras_forward(arguments.model, policy) if policy else onnx
            start = time.perf_counter()
            answers[way] = combined(logits_of(predictor, windows), owners)
            seconds.setdefault(way, []).append(time.perf_counter() - start)
            print(f"round {number + 1}: {way}: {seconds[way][-1]:.1f} s", flush=True)
    exact = answers["Keras, float32"]
    rows = [
        f"| {way} | {np.median(seconds[way]):.1f} | {(logits.argmax(1) == labels).mean():.2%} | "
        f"{(logits.argmax(1) != exact.argmax(1)).sum()} | {cross_entropies(logits, labels).mean():.4f} | "
        f"{np.abs(logits - exact).max():.4f} |"
        for way, logits in answers.items()
    ]
    head = [
        "# Evaluation\n",
        f"`python benchmarks/evaluation.py FOLDER`, commit {commit()}: {len(texts):,} reviews in {len(windows):,} "
        f"windows of at most {predictor.encoder.max_seq_length} tokens, in turns, median of {arguments.rounds}.\n",
        "| | seconds | right | labels that change | log loss | largest change of a logit |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    write_text(RESULTS / "evaluation.md", "\n".join([*head, *rows, ""]))


def keras_forward(folder, policy):
    """A function from a padded batch to logits, by the model in the folder."""
    from tfbert.model.backend import load_keras

    load_keras()
    from tfbert.model.folders import load_classifier

    model, _ = load_classifier(folder, policy=policy)
    model.compile(jit_compile=False)
    return model.predict_on_batch


if __name__ == "__main__":
    main()
