"""What a run stands on: handler, clock, ledger, unit of work. Handlers see it through `Mail` and `Timer`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from .effects import Conversation, Effects, Key, Pending
from .handler import Handler
from .store import Book, Session
from .tokens import Tokens


class Work(Protocol):
    """The unit of work, as a run sees it: reads go through what earlier runs have buffered."""

    @property
    def effects(self) -> Effects:
        """Where this run's effects go."""

    def conversation(self, key: Key) -> Conversation: ...

    def pending(self, digest: str) -> Pending | None: ...

    def session(self) -> Session: ...


class Scopes(Work, Protocol):
    """The unit of work, as it is cut into scopes: the message as a whole, then each recipient."""

    def keep(self) -> None: ...

    def drop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every run of one decision shares. Nothing of a `preview` is kept."""

    work: Work
    book: Book
    tokens: Tokens
    now: datetime
    hostname: str
    held_life: timedelta
    own_domains: tuple[str, ...] = ()
    preview: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one handler: its surroundings, and what concerns this handler only.

    `blanks` are those of the address that was read; `key` is the conversation's, or None for "none yet".
    """

    around: Surroundings
    handler: Handler
    blanks: dict[str, str] = field(default_factory=dict)
    key: Key | None = None
    state: str | None = None
