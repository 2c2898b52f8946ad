"""Which of the things that are kept a person means."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from sqlalchemy import ColumnElement, Table

from .rows import when


@dataclass(frozen=True, slots=True)
class Which:
    """What all that is meant has in common; None stands for any.

    `sender` and `recipient` are compared without regard to case, `*` in them stands for anything. `reason` is a part
    of the text; `since` is when it was kept or made.
    """

    numbers: tuple[int, ...] | None = None
    handler: str | None = None
    state: str | None = None
    since: datetime | None = None
    sender: str | None = None
    recipient: str | None = None
    reason: str | None = None
    resource: str | None = None

    @property
    def is_all(self) -> bool:
        """Whether it says nothing."""
        return self == Which()

    def columns(self, table: Table, made: str) -> list[ColumnElement[bool]]:
        """What the database can tell; `made` is the column of the time that `since` is about."""
        c = table.c
        tests: list[ColumnElement[bool]] = []
        if self.numbers is not None:
            tests.append(c.id.in_(self.numbers))
        if self.handler is not None:
            tests.append(c.handler == self.handler)
        if self.state is not None:
            tests.append(c.state == self.state)
        if self.since is not None:
            tests.append(c[made] >= when(self.since))
        return tests

    def means(self, sender: str, recipients: Iterable[str] = (), reason: str = "") -> bool:
        """Whether it means what has these, as far as the database cannot tell."""
        return (
            (self.sender is None or _matches(self.sender, [sender]))
            and (self.recipient is None or _matches(self.recipient, recipients))
            and (self.reason is None or self.reason.lower() in reason.lower())
        )


def _matches(pattern: str, addresses: Iterable[str]) -> bool:
    literal = pattern.lower().replace("[", "[[]").replace("?", "[?]")  # only `*` is special
    return any(fnmatchcase(address.lower(), literal) for address in addresses)
