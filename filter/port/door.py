"""What all sessions share: the way of a message from its end of data to its answer.

Whatever fails in here is a fault of the program: 451 for the client, whose message is safe in
Postfix's queue, and a traceback in our log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..arrival import Arrival
from ..envelope import Envelope, Recipient
from ..spool import Spool
from ..submission import Submission
from ..verdict import Reply
from ..watch import GivenUp
from . import replies
from .core import Pipeline
from .limits import Limits

log = logging.getLogger("penstock.port")


class Sender(Protocol):
    """What takes the results back to Postfix: the Reinjector."""

    def send(self, submission: Submission) -> Sequence[Reply]:
        """One reply per recipient of the submission. Never raises."""


@dataclass(frozen=True, slots=True)
class Door:
    """The pipeline, the way back, and the rules of the house. No method raises."""

    pipeline: Pipeline[Any]
    reinjector: Sender
    limits: Limits
    hostname: str
    spool: Spool = field(default_factory=Spool)

    def refusal(self, envelope: Envelope, recipient: Recipient) -> Reply | None:
        """At RCPT: the reply that refuses the recipient, or None."""
        try:
            return self.pipeline.recipient(envelope, recipient)
        except BaseException:
            log.exception("event=fault at=RCPT queue_id=%s recipient=%r", envelope.queue_id, recipient.address)
            return replies.FAULT

    def outcome(self, arrival: Arrival, give_up: Callable[[Sequence[Reply]], None]) -> Sequence[Reply]:
        """The replies to a message, one per recipient where `arrival.replies_each`, else one.

        Handlers that take too long have `give_up` called from another thread, with the replies; there are
        none left to give when they end at last.
        """
        due = len(arrival.envelope.recipients) if arrival.replies_each else 1
        try:
            decision = self.pipeline.decide(arrival, lambda reply: give_up([reply] * due))
            results = [self.reinjector.send(group) for group in decision.groups]
            answers = self.pipeline.settle(decision, results)
            if len(answers) != due:
                raise RuntimeError(f"{due} replies are due, and the pipeline gave {len(answers)}")
            return answers
        except GivenUp:
            return []
        except BaseException:  # a verdict that escapes is no Exception
            log.exception("event=fault at=DATA queue_id=%s", arrival.envelope.queue_id)
            return [replies.FAULT] * due
