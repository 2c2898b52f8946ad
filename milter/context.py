"""The context of one connection, as libmilter gives it to each callback: what a session may ask of Postfix.

It is pymilter's object, or a test's. All text goes out as strict UTF-8 and may hold no NUL: ValueError otherwise.
Every operation raises where libmilter or Postfix did not grant it, or the connection is gone.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol


class Answer(IntEnum):
    """What a callback may return: the numbers of libmilter's mfapi.h (SMFIS_…)."""

    CONTINUE = 0
    REJECT = 1
    DISCARD = 2
    ACCEPT = 3
    TEMPFAIL = 4
    NOREPLY = 7


class Context(Protocol):
    """One connection of Postfix. The operations on the message are for its end alone."""

    def getsymval(self, name: str, /) -> str | None:
        """The value of a macro that Postfix has sent, or None. Raises UnicodeDecodeError."""

    def setreply(self, code: str, status: str | None, /, *lines: str) -> None:
        """The reply that goes with the next REJECT or TEMPFAIL; `%` in a line is doubled."""

    def addheader(self, name: str, value: str, index: int = -1, /) -> None:
        """Add a field behind all others, or insert it at an index counted from 0 in the message as delivered."""

    def chgheader(self, name: str, occurrence: int, value: str | None, /) -> None:
        """Change the field of that name, counted from 1 as received; an empty value deletes it."""

    def addrcpt(self, address: str, parameters: str | None = None, /) -> None:
        """Add a recipient, with NOTIFY and ORCPT."""

    def delrcpt(self, address: str, /) -> None:
        """Delete a recipient."""

    def chgfrom(self, address: str, parameters: str | None = None, /) -> None:
        """Change the sender, with RET and ENVID."""

    def replacebody(self, chunk: bytes, /) -> None:
        """The next piece of the new body."""

    def quarantine(self, reason: str, /) -> None:
        """Put the message on hold."""

    def progress(self) -> None:
        """Ask Postfix for more time."""
