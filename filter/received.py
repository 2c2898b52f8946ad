"""The Received fields that our own Postfix has put on top of a message.

Postfix's smtpd writes its trace field (RFC 5321 section 4.4) in lines of its own:

    Received: from HELO (NAME [ADDRESS])
    <TAB>(using TLSv1.3 with cipher … )
    <TAB>(Authenticated sender: …)
    <TAB>by MYHOSTNAME (Postfix) with ESMTPSA id QUEUEID
    <TAB>for <RECIPIENT>; DATE

and local pickup, or `postsuper -r`, this:

    Received: by MYHOSTNAME (Postfix, from userid 1000)
    <TAB>id QUEUEID; DATE

A stranger chooses HELO, the sender name and the recipient, but Postfix lets no control character into them, and
keeps content that begins with a blank apart from its own field. So only Postfix begins a line with a tab and
`by`, and that is where we look, never in the middle of a line. A stranger may write a whole field of this form
into the message, but only below those of our Postfix: never remove these by header_checks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .message import Message


@dataclass(frozen=True, slots=True)
class Pass:
    """One of our Postfix's own fields: queue id, and the protocol (`ESMTPSA`, RFC 3848), None for local pickup."""

    queue_id: str
    protocol: str | None

    @property
    def is_authenticated(self) -> bool:
        """Whether the client had authenticated itself (SMTP AUTH): the protocol ends in A."""
        return self.protocol is not None and self.protocol.endswith("A")


@dataclass(frozen=True, slots=True)
class OwnReceived:
    """The leading Received fields of our own Postfix, from the top: the latest pass first."""

    passes: tuple[Pass, ...]

    @property
    def hops(self) -> int:
        """How often the message has come in by SMTP; pickup and `postsuper -r` do not count."""
        return sum(1 for own in self.passes if own.protocol is not None)

    @property
    def queue_id(self) -> str | None:
        """The queue id of the first pass: that of the lowest field."""
        return self.passes[-1].queue_id if self.passes else None

    def first_with(self, queue_id: str) -> Pass | None:
        """The uppermost pass of that queue id. One that a stranger wrote is below Postfix's own."""
        return next((own for own in self.passes if own.queue_id == queue_id), None)


def own_received(message: Message, peer: str) -> OwnReceived:
    """The Received fields of the Postfix called `peer` (its `myhostname`), down to the first that is not its own.

    Other fields between them do not matter. Nothing is raised, whatever the message holds.
    """
    return OwnReceived(tuple(_leading(message, peer.lower())) if peer else ())


def _leading(message: Message, peer: str) -> Iterator[Pass]:
    for field in message.fields_named("Received"):
        match = _SMTPD.match(field.raw) or _PICKUP.match(field.raw)
        if match is None or match["host"].decode("latin-1").lower() != peer:
            return
        groups = match.groupdict()
        yield Pass(_text(groups["id"]), _text(groups["protocol"]) if groups.get("protocol") else None)


def _text(octets: bytes) -> str:
    return octets.decode("ascii")


_ID: Final = rb"id (?P<id>[0-9A-Za-z]{1,64})(?=;|\r?\n|\Z)"
_SMTPD: Final = re.compile(
    rb"Received: from [^\r\n]*+\r?\n"
    rb"(?:\t(?!by )[^\r\n]*+\r?\n)*+"
    rb"\tby (?P<host>[^\s()]++) \([^()\r\n]*+\) with (?P<protocol>(?:UTF8)?E?SMTPS?A?) " + _ID
)
_PICKUP: Final = re.compile(rb"Received: by (?P<host>[^\s()]++) \([^()\r\n]*+\)\r?\n\t" + _ID)
