"""A judgement: what becomes of a whole message before the queue.

A milter has one answer at the end of a message, and it is for all recipients: refuse, discard, hold, or go on with
the message and the envelope changed. What differs between recipients is the port's to do, behind the queue.
"""

from __future__ import annotations

from dataclasses import dataclass

from .decision import Outcome
from .envelope import Envelope
from .message import Message
from .verdict import Reply


@dataclass(frozen=True, slots=True)
class Wants:
    """What the handlers of the milter use, so that Postfix need not send the rest.

    `rcpt`: recipients may be refused at RCPT. `header`: messages are judged at all. `body`: their bodies are looked at.
    """

    rcpt: bool = False
    header: bool = False
    body: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of one message.

    `message` is as it is to be, with edits over the arrival's; `envelope` as it is to be: discarded recipients are
    gone. `reply` refuses it for all (4xx or 5xx); with `discard` nobody gets it; `hold` is the reason why it goes into
    Postfix's hold queue. At most one of the three is given. `outcomes` are what this rests on, for who explains it:
    first those of the handlers that run here alone, then those of the previews.
    """

    message: Message
    envelope: Envelope
    reply: Reply | None = None
    discard: bool = False
    hold: str | None = None
    outcomes: tuple[Outcome, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether the message goes on into the queue, to be delivered."""
        return self.reply is None and not self.discard and self.hold is None
