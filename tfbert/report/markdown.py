"""Texts and tables as Markdown shows them."""


def one_line(text):
    """`text` as it may stand within a paragraph or a table of Markdown."""
    return " ".join(text.split()).replace("<", "&lt;")


def table(head, rows):
    """Lines of Markdown. head, rows: lists of str."""
    rows = [[one_line(cell).replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]]
