"""How faithful explanations are: words that a method says matter are deleted, or all others are.

usage: python benchmarks/recipes.py --name quick -- ; python benchmarks/explain.py FOLDER [--reviews 200]

FOLDER is the model that recipes.py leaves in its --work folder; the reviews are of other films, of IMDb's train split,
and as long as the model reads at most. Comprehensiveness is what deleting a method's first words takes from the stated
probability, sufficiency what is lost where these words are all that is left (DeYoung et al. 2020, arXiv:1911.03429,
section 5): means over 1, 5, 10, 20 and 50% of the words. What is measured is kept in FOLDER/explain.json, so that a
run that was stopped goes on. Writes results/explain.md.
"""

import json
import time
from pathlib import Path

import numpy as np
import onnxruntime
from common import RESULTS, commit
from long_texts import parser_of, some_reviews

from tfbert.common.files import write_text
from tfbert.inference.explaining import Reading, scores_of_words
from tfbert.inference.predicting import Predictor

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
STEPS = 20  # of integrated gradients
LEFT_OUT, ALONE, BOTH = "each word left out", "each word alone", "left out and alone, the mean"


def main():
    parser = parser_of(__doc__, 200)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    arguments = parser.parse_args()
    onnxruntime.SessionOptions = OneThread
    predictor, gradients = Predictor(arguments.model), Gradients(arguments.model)
    texts = [text for text in some_reviews(arguments.work, 20 * arguments.reviews)[0]
             if len(predictor.encoder([text])[0][0]) <= predictor.encoder.max_seq_length]  # fmt: skip
    kept = Path(arguments.model) / "explain.json"
    rows = json.loads(kept.read_text()) if kept.exists() else []
    for number, text in enumerate(texts[: arguments.reviews]):
        rows += [{}] * (number == len(rows))
        missing = [name for name in arguments.methods if name not in rows[number]]
        if missing:
            rows[number] = rows[number] | measured(predictor, gradients, text, missing)
            write_text(kept, json.dumps(rows))
            print(number + 1, flush=True)
    write_text(RESULTS / "explain.md", table(rows))


class OneThread(onnxruntime.SessionOptions):
    """Several would spend CPU time on waiting for each other."""

    def __init__(self):
        super().__init__()
        self.intra_op_num_threads = 1


def measured(predictor, gradients, text, methods):
    """Comprehensiveness, sufficiency and CPU seconds of some methods for one text: {method: three floats}."""
    found = {}
    for name in methods:
        reading = Reading(predictor, text)  # anew, as it keeps answers
        label = int(reading.logits.argmax())
        begun = time.process_time()
        scores = METHODS[name](reading, label, gradients)
        seconds = time.process_time() - begun
        found[name] = (*faithfulness(reading, label, scores), seconds)
        if name == LEFT_OUT:
            both = (scores + alone(reading, label, gradients)) / 2  # the last and the first term of a Shapley value
            found[BOTH] = (*faithfulness(reading, label, both), seconds)
    return found


def table(rows):
    """What main writes. rows: of each review, as measured gives it."""
    lines = []
    for name in [*METHODS, BOTH]:
        values = np.array([row[name] for row in rows if name in row])
        if len(values):
            (whole, only, seconds), spread = values.mean(axis=0), values.std(axis=0) / np.sqrt(len(values))
            lines.append(f"| {name} | {len(values)} | {whole:.3f} +- {spread[0]:.3f} | {only:.3f} +- {spread[1]:.3f} | "
                         f"{seconds:.2f} |")  # fmt: skip
    head = [
        "# How faithful explanations are\n",
        f"`python benchmarks/explain.py FOLDER`, commit {commit()}: reviews of films that the model has not read, of "
        "at most 256 tokens; +- is the standard error. High comprehensiveness and low sufficiency are good. Seconds of "
        "CPU time for a review, in one thread.\n",
        "| words in the order of | reviews | comprehensiveness | sufficiency | seconds |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    return "\n".join([*head, *lines, ""])


def faithfulness(reading, label, scores):
    """Comprehensiveness and sufficiency. scores: of the words, float (W,)."""
    order = np.argsort(-scores, kind="stable")
    is_special, asked = reading.numbers[0] < 0, [tokens_of(reading, reading.numbers[0] >= -1)]
    for share in SHARES:
        is_chosen = np.isin(reading.numbers[0], order[: max(1, round(share * len(order)))])
        asked += [tokens_of(reading, ~is_chosen), tokens_of(reading, is_chosen | is_special)]
    said = reading.predictor.probabilities(reading.predictor.logits(asked))[:, label]
    return float((said[0] - said[1::2]).mean()), float((said[0] - said[2::2]).mean())


def tokens_of(reading, kept):
    return [token for token, keep in zip(reading.windows[0], kept) if keep]


def at_random(reading, label, gradients):
    return np.random.default_rng(len(reading.words)).random(len(reading.words))


def left_out(reading, label, gradients):
    """What leaving out each word takes from the label's log-odds."""
    return reading.without([(word, word + 1) for word in range(len(reading.words))])[0][:, label]


def masked(reading, label, gradients):
    """The same with a mask token in the word's place."""
    mask, whole = reading.predictor.encoder.tokenizer.token_to_id("[MASK]"), np.array(reading.windows[0])
    variants = [np.where(reading.numbers[0] == word, mask, whole).tolist() for word in range(len(reading.words))]
    odds = reading.log_odds(reading.predictor.logits([whole.tolist(), *variants]))[:, label]
    return odds[0] - odds[1:]


def alone(reading, label, gradients):
    """What each word, alone, adds to a text without words."""
    return reading.alone[:, label]


def sentences_first(reading, label, gradients):
    """As explaining.py does it."""
    return scores_of_words(reading, label)


def words_of(reading, of_tokens):
    """Sums over the tokens of each word."""
    sums = np.zeros(len(reading.words) + 1)
    np.add.at(sums, reading.numbers[0], of_tokens)  # the last place takes what is of special tokens
    return sums[:-1]


class Gradients:
    """Gradients of a label's logit, less the mean of the others, towards the word vectors; by TensorFlow."""

    def __init__(self, folder):
        import tensorflow as tf

        from tfbert.model.folders import load_classifier

        self.model, _ = load_classifier(folder)

        @tf.function(reduce_retracing=True)
        def of_logits(ids, shift, sign):
            with tf.GradientTape() as tape:
                tape.watch(shift)
                logits = self.model({"input_ids": ids, "attention_mask": tf.ones_like(ids), "shift": shift})
                value = tf.reduce_sum(logits * sign)
            return tape.gradient(value, shift)

        self.of_logits = of_logits
        self.table = self.model.encoder.embeddings.word.value.numpy()

    def __call__(self, reading, label, shares):
        """Times the word vectors, with the word vectors at such shares of what they are: float (len(shares), S)."""
        ids = np.repeat(np.array(reading.windows, np.int32), len(shares), axis=0)
        words = self.table[ids]
        count = len(reading.predictor.labels)
        sign = np.full((1, count), -1 / (count - 1), np.float32)
        sign[0, label] = 1
        shift = (np.float32(shares)[:, None, None] - 1) * words
        return (self.of_logits(ids, shift, sign).numpy() * words).sum(axis=2)


def gradient_times_input(reading, label, gradients):
    return words_of(reading, gradients(reading, label, [1.0])[0])


def integrated(reading, label, gradients):
    """Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365), from word vectors of zeros."""
    shares = (np.arange(STEPS) + 0.5) / STEPS
    return words_of(reading, gradients(reading, label, shares).mean(axis=0))


METHODS = {
    "chance": at_random,
    "gradient times input": gradient_times_input,
    f"integrated gradients, {STEPS} steps": integrated,
    "each word behind a mask": masked,
    LEFT_OUT: left_out,
    ALONE: alone,
    "sentences first, then words (`--explain`)": sentences_first,
}

if __name__ == "__main__":
    main()
