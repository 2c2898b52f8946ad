"""What goes back to Postfix: one transaction at the reinjection port."""

from __future__ import annotations

from dataclasses import dataclass

from .envelope import Envelope
from .message import Message


@dataclass(frozen=True, slots=True)
class Submission:
    """A message for the recipients of `envelope`; `verp` asks Postfix for a return path per recipient (XVERP)."""

    envelope: Envelope
    message: Message
    verp: bool = False
