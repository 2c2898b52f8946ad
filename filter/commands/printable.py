"""Text from strangers, made fit for a terminal, which obeys control characters and mirrors text on request."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with escapes for what is not printable; a stray octet (RFC 6532 has none) becomes `\\xff`."""
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def cut(text: str, width: int) -> str:
    """The text on one line of at most `width` characters; one that is longer ends in `…`."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # as surrogateescape keeps it
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
