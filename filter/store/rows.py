"""Between values and columns.

Times are stored as seconds since the epoch, UTC. Text that came from outside may hold NUL, or stray octets as lone
surrogates (PEP 383), which not every database takes: they are spelled out.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Final, overload

LONGEST_KEY: Final = 512
"""The most octets of a text that is part of a key."""


@overload
def when(at: datetime) -> float: ...
@overload
def when(at: None) -> None: ...
def when(at: datetime | None) -> float | None:
    """A moment as it is stored."""
    return None if at is None else at.timestamp()


@overload
def moment(stored: float) -> datetime: ...
@overload
def moment(stored: None) -> None: ...
def moment(stored: float | None) -> datetime | None:
    """A stored moment, aware, UTC."""
    return None if stored is None else datetime.fromtimestamp(stored, UTC)


def storable(text: str) -> str:
    """Text as every database takes it; only NUL and lone surrogates change."""
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def key_text(text: str) -> str:
    """Text as part of a key: storable, and of a bounded length; a longer one ends in its digest. It is idempotent."""
    text = storable(text)
    octets = text.encode()
    if len(octets) <= LONGEST_KEY:
        return text
    digest = hashlib.sha256(octets).hexdigest()
    return octets[: LONGEST_KEY - len(digest)].decode("utf-8", "ignore") + digest
