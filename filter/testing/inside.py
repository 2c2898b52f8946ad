"""What is inside a post office: the real pipeline, its store, and a clock that stands still.

It is the same whichever way the mail goes: handed over in the test's own process, or through Postfix.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from ..address import identity
from ..clock import FixedClock
from ..config import Settings
from ..loading import load_routers
from ..pipeline import Pipeline
from ..store import Store, StoreError, Work
from ..timers import Timers
from .got import Got
from .person import Received

MONDAY: Final = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


class Inside:
    """The handlers of `settings`, ready for mail. `got` is all that was delivered, in order."""

    def __init__(self, settings: Settings) -> None:
        """Raises what loading the handlers and opening the store raise."""
        self.settings = settings
        self.clock = FixedClock(MONDAY)
        routers = load_routers(settings)
        self.router = routers.filter
        self.store = BreakableStore(settings.store.url)
        self.store.create(*routers.tables)
        self.pipeline = Pipeline(routers, self.store, settings, clock=self.clock)
        self.timers = Timers(self.router, self.store, settings, self.pipeline.tokens, self.clock)
        self.got: list[Got] = []
        self._boxes: dict[str, list[Received]] = {}

    def box(self, address: str) -> list[Received]:
        """The unread letters of an address."""
        return self._boxes.setdefault(identity(address), [])

    @property
    def unread(self) -> list[Received]:
        """The unread letters of all."""
        return [letter for box in self._boxes.values() for letter in box]

    def is_ours(self, address: str) -> bool:
        """Whether a letter to this address comes back in: a handler takes it, or its domain is owned."""
        return self.router.taker(address) is not None or self.router.owns(address)

    def close(self) -> None:
        """Give back threads and connections."""
        self.pipeline.close()
        self.store.close()


class BreakableStore(Store):
    """The store, with a commit that fails once when `breaks` is set."""

    breaks = False

    def work(self, now: datetime, *, after: Work | None = None) -> Work:
        work = super().work(now, after=after)
        commit = work.commit

        def commit_or_crash(*given: Any) -> None:
            if self.breaks:
                self.breaks = False
                raise StoreError("the test crashes before the commit")
            commit(*given)

        work.commit = commit_or_crash  # type: ignore[method-assign, assignment]
        return work
