"""The post: how the mail of a test goes. `MemoryPost` hands it over, `LivePost` sends it through Postfix."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final, Protocol

from ...milter.answers import INEXPRESSIBLE
from ...milter.edits import operations
from ...milter.operation import Inexpressible
from ..arrival import Arrival
from ..decision import Decision, Failure, Outcome
from ..envelope import Client, Envelope, Recipient
from ..judgement import Judgement
from ..message import Message
from ..pipeline import Pipeline
from ..verdict import Discard, Reply
from .emulator import RECEIVED, QueueFile
from .got import Got
from .inside import Inside

LOCAL: Final = Client(source="LOCAL")
"""Who brings a letter that comes back in."""

MOST_ROUNDS: Final = 100
"""How often letters may beget letters before that counts as a loop."""


class Post(Protocol):
    """Brings messages to the door and letters to their boxes. Each call returns when all has come to rest.

    What a handler raises is raised here.
    """

    def deliver(self, message: Message, envelope: Envelope) -> Got:
        """Bring a message, and send the letters that come of it."""

    def redeliver(self, got: Got) -> Got:
        """Bring the very same message again, and send the letters that come of it."""

    def send_letters(self) -> None:
        """Send the letters that are due, and those that come of them."""

    def close(self) -> None:
        """End what runs; what is under way is lost."""


MakesPost = Callable[[Inside], Post]


def queued(got: Got, arrival: Arrival, pipeline: Pipeline) -> Arrival | None:
    """The message through RCPT and the milter; None if nothing of it gets into the queue. `got` is told of the rest.

    Where a handler of the milter looks at messages it gets them as Postfix has them by then: in CRLF lines, for one.
    Raises what a handler raised.
    """
    allowed = admitted(got, arrival.envelope, pipeline.at_rcpt)
    if not allowed:
        return None
    arrival = replace(arrival, envelope=arrival.envelope.to(*allowed))
    if not pipeline.wants.header:
        return arrival
    file = QueueFile(bytes(arrival.message), arrival.envelope)
    arrival = replace(arrival, message=Message(file.seen))
    got.arrival = replace(got.arrival, message=arrival.message)
    judgement = _carried_out(file, arrival, pipeline.judge(arrival))
    got.judge(arrival, judgement)
    _raise_failures(got, (*judgement.outcomes, *judgement.previews))
    if not judgement.passes:
        return None
    return replace(arrival, envelope=judgement.envelope, message=Message(bytes(file).replace(_OWN_FIELD, b"", 1)))


def _carried_out(file: QueueFile, arrival: Arrival, judgement: Judgement) -> Judgement:
    """The judgement, once Postfix has done what it asks for; what it cannot do is a 451 like at the door."""
    try:
        file.apply(operations(judgement.message, arrival.envelope, judgement.envelope))
    except Inexpressible as error:
        failed = Outcome(None, arrival.message, failure=Failure("penstock", error, counts=True))
        return replace(judgement, reply=INEXPRESSIBLE, outcomes=(*judgement.outcomes, failed))
    return judgement


_OWN_FIELD: Final = RECEIVED.replace(b"\n", b"\r\n")


def admitted(
    got: Got, envelope: Envelope, door: Callable[[Envelope, Recipient], Reply | Discard | None]
) -> list[Recipient]:  # fmt: skip
    """The recipients that the door neither refuses nor drops at RCPT; `got` is told of the others."""
    allowed = []
    for recipient in envelope.recipients:
        answer = door(envelope, recipient)
        if answer is None:
            allowed.append(recipient)
        elif isinstance(answer, Discard):
            got.drop(recipient, answer.reason)
        else:
            got.refuse(recipient, answer)
    return allowed


def take(got: Got, decision: Decision) -> None:
    """Tell `got` what the handlers decided, and raise what one of them raised.

    The exception is the test's matter then: what became of the mail needs no assertion.
    """
    got.decide(decision)
    _raise_failures(got, decision.outcomes.values())


def _raise_failures(got: Got, outcomes: Iterable[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.failure is not None and outcome.failure.counts:
            got.asserted = True
            raise outcome.failure.exception
