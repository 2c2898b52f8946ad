"""Receipts: how a message that comes again is known, and what was decided about it.

Postfix brings a message again when our answer was lost or was a 4xx. A receipt, written in the
transaction that commits the effects, makes the second run replay the outcome instead of repeating it.

Which message it is must survive all that happens to it between two tries (section 4.4 of the design):

* the listener, and the number of passes through our own Postfix: mail that was reinjected and comes
  back to the port (an alias into a domain of ours) carries the same IDENT, and is another message;
* the peer's name and IDENT, Postfix's queue id. Local pickup mail has no IDENT: then the queue id in
  the lowest of our own leading Received fields. `postsuper -r` keeps IDENT and adds such a field on top;
* the reverse-path, and, since short queue ids are reused, a digest of body, Date and Message-ID.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

from .arrival import Arrival
from .envelope import Recipient
from .message import Edit, Message
from .message.edits import apply
from .received import OwnReceived
from .verdict import Reply

WHOLE: Final = ""
"""The recipient key of the receipt that holds the message-level result."""


class Fate(StrEnum):
    """What became of a recipient's copy."""

    PASSES = "passes"
    READY = "ready"
    SENT = "sent"
    CONSUMED = "consumed"
    DISCARDED = "discarded"
    HELD = "held"
    REJECTED = "rejected"
    DEFERRED = "deferred"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The outcome for one recipient. `edits` are the result's as `anchored` gives them, `reply` is a refusal's.

    `noticed`: the sender has been told of the refusal by a letter of ours. `results`, of the message-level outcome
    only, is what its handlers told later ones, which may run at another try.
    """

    recipient: str
    fate: Fate
    edits: tuple[Edit, ...] = ()
    reply: Reply | None = None
    noticed: bool = False
    results: Mapping[str, Any] = field(default_factory=dict)


def anchored(message: Message) -> tuple[Edit, ...]:
    """The edits of a result as a receipt keeps them, so that they hold when the message comes again.

    Postfix may have added a Received or rewritten addresses by then, but the digest says that the body is
    the same. So the first edit holds the whole header of the result, and the others count from the body's start.
    """
    body_start = message.body_start
    above: list[Edit] = []
    below: list[Edit] = []
    for edit in message.edits:  # one pass: a stranger can have a great many made
        (above if edit.start < body_start or not edit.body else below).append(edit)
    if not above and not below:
        return ()
    until = max(body_start, *(edit.end for edit in above)) if above else body_start
    header = b"".join(apply(memoryview(message.raw)[:until], above))
    return (
        Edit(0, until - body_start, header),
        *(replace(edit, start=edit.start - body_start, end=edit.end - body_start) for edit in below),
    )


def replayed(message: Message, edits: tuple[Edit, ...]) -> Message:
    """The result again, from the message as it came again and the edits of its receipt."""
    if not edits:
        return message
    body_start = message.body_start
    shifted = [replace(edit, start=edit.start + body_start, end=edit.end + body_start) for edit in edits]
    return Message.with_edits(message.raw, [replace(shifted[0], start=0), *shifted[1:]])


@lru_cache(maxsize=4096)
def recipient_key(recipient: Recipient) -> str:
    """One address twice in a transaction is one recipient, unless its DSN parameters differ."""
    return _digest(recipient.address, recipient.orcpt, recipient.notify)


def arrival_key(arrival: Arrival, own: OwnReceived) -> str:
    """All of the key but the message's digest, which is only needed where receipts are found or written."""
    ident = arrival.envelope.client.ident or own.queue_id
    return _digest(arrival.listener, str(own.hops), arrival.peer, ident, arrival.envelope.reverse_path)


def message_digest(message: Message) -> str:
    """A digest of the body's octets, Date and Message-ID as they came."""
    made = blake2b(message.raw_body, digest_size=16)
    for each in message.fields:
        if each.name.lower() in ("date", "message-id"):
            made.update(bytes(each.raw))
    return made.hexdigest()


def _digest(*parts: str | None) -> str:
    octets = b"".join([b"-1:" if part is None else _counted(part) for part in parts])
    return blake2b(octets, digest_size=16).hexdigest()


def _counted(part: str) -> bytes:
    octets = part.encode("utf-8", "surrogateescape")
    return b"%d:%b" % (len(octets), octets)
