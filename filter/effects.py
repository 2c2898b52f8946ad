"""What a run wants to change, buffered until the whole decision stands.

Handlers never write to the store themselves: a run fills an `Effects`, the unit of work commits all of
them in one transaction, or none. Only `mail.db` is a transaction of its own making, which the buffered
effects then join.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from .envelope import Envelope
from .handler import START
from .letters import Letter
from .message import Message


@dataclass(frozen=True, slots=True)
class Key:
    """Which conversation: the handler's name, the sender's identity ("" where it is left out), the resource."""

    handler: str
    sender: str
    resource: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """The stored state for one key. `version` is 0 without a row; `blanks` are those of the mail that moved it."""

    key: Key
    state: str = START
    version: int = 0
    deadline: datetime | None = None
    blanks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pending:
    """A question that was mailed: what a token answers, for whom, until when, and the mail that asked.

    `digest` is the token's, which is never stored itself.
    """

    digest: str
    handler: str
    purpose: str
    facts: tuple[str, ...]
    sender: str
    expires: datetime
    message: Message


@dataclass(frozen=True, slots=True)
class Held:
    """Mail kept for a person: `envelope` names the recipients that it is held for; `expires` None keeps it.

    `attempts` is how often it was tried. `done`: the handlers have done their part, and Postfix refused what came of
    it, so a release takes it to Postfix and nowhere else; with `verp` Postfix is asked for a return path per recipient.
    """

    envelope: Envelope
    message: Message
    handler: str
    reason: str
    traceback: str | None = None
    expires: datetime | None = None
    attempts: int = 0
    done: bool = False
    verp: bool = False


@dataclass(slots=True)
class Effects:
    """What one run wants to change. A conversation in state START is deleted."""

    moves: dict[Key, Conversation] = field(default_factory=dict)
    letters: list[Letter] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)

    def absorb(self, later: Effects) -> None:
        """Add what a later run wants."""
        self.moves.update(later.moves)
        self.letters += later.letters
        self.pending += later.pending
        self.used += later.used
        self.held += later.held

    def __bool__(self) -> bool:
        return bool(self.moves or self.letters or self.pending or self.used or self.held)
