"""Who saw what, by queue id: the pipeline and the ways to Postfix as they are, with somebody taking notes.

Postfix tells each message's queue id twice: to whom brings it, in the reply to the end of data, and to us, as
IDENT of XFORWARD. So a test can follow its message through.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ..arrival import Arrival
from ..decision import Decision
from ..envelope import Envelope, Recipient
from ..pipeline import Pipeline
from ..port import Reinjector
from ..submission import Submission
from ..verdict import Reply

_QUEUED: Final = re.compile(r"queued as ([0-9A-Za-z]+)")


@dataclass(slots=True)
class Passage:
    """What happened to one queue id at our port: refusals at RCPT, decisions, and faults that were raised."""

    refused: list[tuple[Recipient, Reply]] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.refused or self.decisions or self.faults)


class Recorder:
    """The pipeline as the port asks it, with notes taken. `passages` has them by queue id."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.passages: defaultdict[str | None, Passage] = defaultdict(Passage)

    def recipient(self, envelope: Envelope, recipient: Recipient) -> Reply | None:
        reply = self._pipeline.recipient(envelope, recipient)
        if reply is not None:
            self.passages[envelope.queue_id].refused.append((recipient, reply))
        return reply

    def decide(self, arrival: Arrival, give_up: Callable[[Reply], None]) -> Decision:
        try:
            return self._pipeline.decide(arrival, give_up)
        except BaseException as fault:
            self.passages[arrival.envelope.queue_id].faults.append(fault)
            raise

    def settle(self, decision: Decision, results: Sequence[Sequence[Reply]]) -> Sequence[Reply]:
        answers = self._pipeline.settle(decision, results)
        self.passages[decision.arrival.envelope.queue_id].decisions.append(decision)
        return answers


class Way:
    """A way into Postfix, with notes taken: `sent` has by queue id what Postfix took, for whom it took it."""

    def __init__(self, address: str) -> None:
        """`address` is `HOST:PORT`."""
        self._client = Reinjector(address, "client.penstock.test")
        self.sent: dict[str, Submission] = {}

    def send(self, submission: Submission) -> list[Reply]:
        """One reply per recipient; never raises."""
        replies = self._client.send(submission)
        pairs = list(zip(submission.envelope.recipients, replies, strict=True))
        taken = {found[1] for _, reply in pairs if reply.is_ok and (found := _QUEUED.search(reply.text))}
        for queue_id in taken:
            envelope = submission.envelope.to(*(recipient for recipient, reply in pairs if reply.is_ok))
            self.sent[queue_id] = replace(submission, envelope=envelope)
        return replies

    def close(self) -> None:
        self._client.close()
