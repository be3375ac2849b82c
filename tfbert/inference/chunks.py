"""Many texts labelled a chunk at a time: no more of them than that are in memory."""

from tfbert.common.console import note
from tfbert.common.errors import UserError

CHUNK, SIGNS = 1024, 10**7  # texts in memory at a time, and what they have of signs, about
STRANGE = 0.3  # of a text's pieces, unknown to the model


def answers(rows, label, notes):
    """Yields (place, texts, row, result) of each (place, texts, row).

    label: a function from the places and the texts of a chunk to results, such as a Labeller; notes: takes guesses.
    """
    for chunk in chunks_of(rows):
        while notes:
            note(notes.pop(0))
        places, texts, found = zip(*chunk)
        yield from zip(places, texts, found, label(places, texts))


def chunks_of(rows):
    """Yields lists of at most CHUNK (place, texts, row); those before an unreadable row come before its error."""
    chunk, signs = [], 0
    try:
        for row in rows:
            chunk.append(row)
            signs += signs_of(row[1])
            if is_full(len(chunk), signs):
                yield chunk
                chunk, signs = [], 0
    except UserError:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


def is_full(count, signs):
    """Whether a chunk of so many rows with so many signs ends here, whatever comes after it."""
    return count >= CHUNK or signs > SIGNS


def signs_of(texts):
    return sum(map(len, texts))


class Labeller:
    """Labels chunks. several: whether texts that nothing can be said of are passed over, with a note, or an error."""

    def __init__(self, predictor, batch_size, several):
        self.predictor, self.batch_size, self.several = predictor, batch_size, several

    def __call__(self, places, texts):
        """A result for each of the texts, tuples of one or two; what is in it is None where there is nothing to label.

        Raises UserError for such a text where there is no other.
        """
        encoder = self.predictor.encoder
        token_ids, lengths, starts = encoder(*map(list, zip(*texts)))
        troubles = [self.predictor.trouble_with(parts, ids) for parts, ids in zip(texts, token_ids)]
        for place, parts, trouble, ids, length in zip(places, texts, troubles, token_ids, lengths):
            if trouble and not self.several:
                raise UserError(f"{place} {trouble}")
            tell(place, parts, trouble, ids, length, encoder)
        results = self.predictor.label(token_ids, self.batch_size, starts)
        return [dict.fromkeys(result) if trouble else result for result, trouble in zip(results, troubles)]


def tell(place, texts, trouble, ids, length, encoder):
    """Says which of many texts gets no label, which the model hardly knows, and which long one is not read whole."""
    if trouble:
        note(f"{place} {trouble}: no label")
    elif (unknown := ids.count(encoder.unknown) / len(ids)) > STRANGE:
        note(f"{place}: {unknown:.0%} of its pieces are unknown to the model: a language that it has not learnt?")
    elif length > encoder.max_seq_length and not encoder.whole:
        cut = f"the first {encoder.head} and the last {encoder.tail}" if len(texts) == 1 else encoder.max_seq_length
        note(f"{place} has {length:,} tokens; the model reads {cut}")
