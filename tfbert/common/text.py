"""Text as it can be written down."""


def is_utf8(text):
    """Whether a str can be written as UTF-8: no lone surrogates, as undecodable arguments and JSON escapes leave."""
    return text == text.encode(errors="replace").decode()
