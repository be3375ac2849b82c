"""Why a model decides: which words carry a label, found by asking it again without them, and with nothing else.

Leaving out is occlusion (for texts, Li et al. 2016, arXiv:1612.08220): first each sentence, then, in those that matter
most, each word. What a word adds to a text and what it adds to nothing are the last and the first term of its Shapley
value (Lundberg and Lee 2017, arXiv:1705.07874); their mean is more faithful than either (benchmarks/explain.py). Both
need the model's answers alone, so that they work on ONNX.
"""

import functools
import heapq

import numpy as np

from tfbert.data.windows import combined

PARTS = 24  # that a text, or a part of it, is cut into at once
BUDGET = 8_000  # tokens that are read again for an explanation, about; a longer text is read again once at least
ENDS = tuple(".!?\n。！？؟।")  # of sentences


def explanation(predictor, texts, result):
    """Why a text, or two, got their label, or each of several: a list of dicts with label and words, as explain gives.

    texts: one or two; result: what the Predictor says of them.
    """
    said = result["probabilities"]
    limits = zip(said, predictor.thresholds) if predictor.multi_label else ()
    labels = [name for name, limit in limits if said[name] > limit] or [max(said, key=said.get)]
    reading = Reading(predictor, *texts)
    return [{"label": label, "words": explain(reading, label)} for label in labels]


def reasons_for(predictor, dataset):
    """A function from a row's number and a label to the row's texts, one or two, and the words that speak for and
    against the label. dataset: a `datasets.Dataset` with the columns text and, for pairs, text_pair.
    """

    @functools.cache  # the report shows some texts twice
    def reasons(number, label):
        texts = [dataset[number][name] for name in ("text", "text_pair") if name in dataset.column_names]
        return texts, explain(Reading(predictor, *texts), label)

    return reasons


def answers_to(predictor, examples):
    """What a Predictor says of texts whose labels are known, [(text, label)]: a list of dicts: text, label, predicted,
    confidence, and words, as explain gives them.
    """
    answers = []
    for text, label in examples:
        (said,) = predictor([text])
        words = explain(Reading(predictor, text), said["label"])
        answers.append({"text": text, "label": label, "predicted": said["label"], "confidence": said["probability"],
                        "words": words})  # fmt: skip
    return answers


def explain(reading, label):
    """The words of a Reading, a list of dicts: text; start and end in it, in characters; score, how far the word speaks
    for the label, in log-odds, below 0 against it; and for pairs part, 0 or 1. Without those that are blanks alone, of
    which byte-level tokenizers make words.

    A word in a part that was not cut further has its share of the part's score.
    """
    scores = scores_of_words(reading, reading.predictor.labels.index(label))
    return [
        {"text": text, "start": start, "end": end, "score": round(float(score), 4)}
        | ({"part": part} if reading.predictor.pair else {})
        for (text, (start, end), part), score in zip(reading.words, scores)
        if text
    ]


class Reading:
    """A text, or two, as a model reads it, which can be read again without some words.

    words: (text, (start, end), part) of each; numbers: of each token in each window, its word, or -1, int arrays.
    """

    def __init__(self, predictor, text, other=None):
        self.predictor, encoder = predictor, predictor.encoder
        texts, blank = [text] if other is None else [text, other], [-1]
        words, numbers = [], [[], None]
        for part, each in enumerate(texts):
            spans, of_tokens = encoder.words(each)
            numbers[part] = [len(words) + number for number in of_tokens]
            words += [(each[start:end], (start, end), part) for start, end in spans]
        prefix, middle, suffix = (blank * len(each) for each in (encoder.prefix, encoder.middle, encoder.suffix))
        numbers = np.array(encoder.arranged(*numbers, prefix, middle, suffix))
        read, numbers = np.unique(numbers, return_inverse=True)  # the others were cut
        numbers = (numbers - (read[0] < 0)).tolist()
        self.words = [words[number] for number in read if number >= 0]
        ids, _, starts = encoder(*([each] for each in texts))
        self.windows, self.owners = encoder.in_windows(ids)
        self.numbers = [np.array(each) for each in encoder.windows(numbers, prefix, suffix)]
        self.start = starts and starts[0]
        self.base = predictor.logits_of_windows(self.windows, starts=starts)
        self.logits = combined(self.base, self.owners)[0]

    def without(self, spans):
        """What leaving out each of these ranges of words takes from each label's log-odds, float (P, L), and how many
        tokens were read. Windows keep their places: only those that had the words are read again.
        """
        asked, starts, places = [], [], []
        for number, (start, end) in enumerate(spans):
            for place, (window, words) in enumerate(zip(self.windows, self.numbers)):
                kept = (words < start) | (words >= end)
                if not kept.all():
                    asked.append([token for token, keep in zip(window, kept) if keep])
                    starts.append(self.start and int(kept[: self.start].sum()))
                    places.append((number, place))
        logits = np.repeat(self.base[None], len(spans), axis=0)
        logits[tuple(zip(*places))] = self.predictor.logits_of_windows(asked, starts=starts if self.start else None)
        after = np.concatenate([combined(each, self.owners) for each in logits])
        return self.log_odds(self.logits[None]) - self.log_odds(after), sum(map(len, asked))

    @functools.cached_property
    def alone(self):
        """What each word adds to each label's log-odds where there is no other, float (W, L)."""
        encoder, parts = self.predictor.encoder, [[] for _ in self.words]
        for window, numbers in zip(reversed(self.windows), reversed(self.numbers)):  # which overlap
            for word in np.unique(numbers[numbers >= 0]):
                parts[word] = [window[place] for place in np.flatnonzero(numbers == word)]
        texts = [(parts[number], []) if part == 0 else ([], parts[number])
                 for number, (_, _, part) in enumerate(self.words)]  # fmt: skip
        arranged = [
            tuple(encoder.prefix + one + (encoder.middle + other if self.predictor.pair else []) + encoder.suffix)
            for one, other in [([], []), *texts]
        ]
        different = list(dict.fromkeys(zip(arranged, (len(encoder.prefix + one) for one, _ in [([], []), *texts]))))
        starts = [start + len(encoder.middle) for _, start in different] if self.start else None
        logits = self.predictor.logits_of_windows([list(ids) for ids, _ in different], 256, starts)
        found = dict(zip((ids for ids, _ in different), self.log_odds(logits)))
        return np.array([found[ids] for ids in arranged[1:]]).reshape(len(texts), -1) - found[arranged[0]]

    def log_odds(self, logits):
        """Of each label against all others, or, where several may hold, against itself: float (N, L)."""
        logits = np.float64(logits) / self.predictor.temperature
        if self.predictor.multi_label:
            return logits
        others = np.where(np.eye(logits.shape[1], dtype=bool), -np.inf, logits[:, None, :])
        return logits - np.logaddexp.reduce(others, axis=2)


def scores_of_words(reading, label):
    """How far each word speaks for a label, by number, float (W,): the mean of what it adds to nothing, and of what
    leaving it out takes from the text, or of its share of what leaving out the part takes that it stands in.

    The part that matters most is cut next, until BUDGET is spent.
    """
    if not reading.words:
        return np.zeros(0)
    alone = reading.alone[:, label]
    lost = np.zeros(len(reading.words))
    spent, queue = 0, []
    todo = parts_of(reading.words, 0, len(lost)) if len(lost) else []
    while todo:
        of_parts, read = reading.without(todo)
        spent += read
        for (start, end), score in zip(todo, of_parts[:, label]):
            lost[start:end] = score / (end - start)
            if end - start > 1:
                heapq.heappush(queue, (-abs(score), start, end))
        todo = []
        while queue and spent < BUDGET and not todo:
            todo = parts_of(reading.words, *heapq.heappop(queue)[1:])
    return (alone + lost) / 2


def parts_of(words, start, end):
    """A range of words as smaller ones, (start, end)s, PARTS at most: its sentences, or, of a sentence, its words."""
    ends = [place + 1 for place in range(start, end) if words[place][0].endswith(ENDS) or place + 1 == end]
    if len(ends) == 1:
        ends = list(range(start + 1, end + 1))
    step = -(-len(ends) // PARTS)
    ends = sorted({*ends[step - 1 :: step], end})
    return list(zip([start, *ends[:-1]], ends))
