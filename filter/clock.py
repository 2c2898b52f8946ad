"""The only clock: what `mail.now` shows, and what a test can move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """The system's clock, in UTC."""

    def now(self) -> datetime:
        """The time now, aware, in UTC."""
        return datetime.now(UTC)


class FixedClock(Clock):
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime) -> None:
        """`start` must be aware."""
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        self._now += by
