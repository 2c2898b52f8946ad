"""What a door hands over: one mail object and the way it came."""

from __future__ import annotations

from dataclasses import dataclass

from .envelope import Envelope
from .message import Message


@dataclass(frozen=True, slots=True)
class Arrival:
    """One mail object at a door.

    `listener` is the address that it came in by, as configured; `peer` is the name that the peer gave
    in LHLO or EHLO (for Postfix: its `myhostname`). `replies_each` says whether the door answers for
    each recipient (LMTP, RFC 2033) or once for all (SMTP).
    """

    envelope: Envelope
    message: Message
    listener: str
    peer: str
    replies_each: bool
