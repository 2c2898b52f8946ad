"""Between values and columns.

Times are stored as seconds since the epoch, UTC. Text that came from outside may hold stray octets, as lone
surrogates (PEP 383), which no database takes: they are spelled out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload


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
    """Text as a database takes it; only lone surrogates change."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
