"""File names and their extensions, as the recipient's system will act on them."""

from __future__ import annotations

import re
from typing import Final


def extensions_of(filename: str) -> tuple[str, ...]:
    """All extensions of a file name in lower case, with their dots: `a.PDF .exe. ` has `.pdf` and `.exe`.

    Trailing dots and spaces are dropped, as Windows drops them; controls and marks of writing direction, which hide
    where a name ends, are ignored.
    """
    visible = _UNSEEN.sub("", filename)
    last = re.split(r"[/\\]", visible.rstrip("./\\ \t"))[-1]
    pieces = [piece.strip().lower() for piece in last.split(".")]
    return tuple(f".{piece}" for piece in pieces[1:] if piece)


_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
