"""A draft of the ledger: what a run writes shows in it at once, and reaches the tables only if someone says so.

A preview before the queue must not count what the port counts again behind it. But a message that is refused for what
the preview found never comes to the port, so then its counts are the only ones, and are written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from .ledger import Ledger, LedgerBook


class LedgerDraft:
    """The ledger's tables, with notes laid over them."""

    def __init__(self, book: LedgerBook) -> None:
        self._book = book
        self._added: Counter[str] = Counter()
        self._values: dict[str, str] = {}
        self._notes: list[Callable[[], object]] = []

    def page(self, owner: str, now: datetime) -> Ledger:
        """The draft for one run of the handler `owner`."""
        return Ledger(self, owner, now)

    def add(self, name: str, n: int, now: datetime, window: timedelta | None) -> int:
        self._added[name] += n
        self._notes.append(lambda: self._book.add(name, n, now, window))
        return self.count(name, now)

    def count(self, name: str, now: datetime) -> int:
        return self._book.count(name, now) + self._added[name]

    def get(self, name: str, now: datetime) -> str | None:
        return self._values[name] if name in self._values else self._book.get(name, now)

    def set(self, name: str, value: str, now: datetime, life: timedelta | None) -> None:
        self._values[name] = value
        self._notes.append(lambda: self._book.set(name, value, now, life))

    def write(self) -> None:
        """Write all of it into the tables, in its order. Raises what the database raises."""
        for note in self._notes:
            note()
        self._notes.clear()
