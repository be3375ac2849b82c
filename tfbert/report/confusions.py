"""What a model takes for what: the pairs of labels that it confuses most, and the labels that it never gives."""

MANY = 20  # labels, up to which a square of all of them can be read


def confused_pairs(matrix, count=15):
    """The pairs (true, predicted) with the most mistakes, the most first, as rows of (place, place, count, share of the
    texts that have the true label). matrix: rows of true labels, columns of predicted ones, lists of int (L, L).
    """
    pairs = [
        (true, predicted, mistakes, mistakes / sum(row))
        for true, row in enumerate(matrix)
        for predicted, mistakes in enumerate(row)
        if mistakes and true != predicted
    ]
    return sorted(pairs, key=lambda pair: pair[2:], reverse=True)[:count]


def never_predicted(matrix, label_names):
    """The names of labels that no text was given, a list of str."""
    return [name for name, column in zip(label_names, zip(*matrix)) if not any(column)]


def shown_labels(matrix):
    """The places of the labels that a picture shows: all, or of many those of the most confused pairs, in order."""
    if len(matrix) <= MANY:
        return list(range(len(matrix)))
    chosen = {}
    for true, predicted, *_ in confused_pairs(matrix, len(matrix) ** 2):
        if len(chosen | {true: 0, predicted: 0}) > MANY:
            break
        chosen |= {true: 0, predicted: 0}
    return sorted(chosen) or list(range(MANY))
