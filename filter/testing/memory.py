"""The post of a test without Postfix: mail is handed over in the test's own process, and nothing can get lost.

Letters to people lie in their boxes; letters to our own addresses come back in, as they would through Postfix.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ..arrival import Arrival
from ..envelope import Envelope
from ..message import Message
from ..submission import Submission
from ..verdict import OK, Reply
from .got import Got
from .inside import Inside
from .person import Received
from .post import LOCAL, MOST_ROUNDS, admitted, queued, take

LISTENER: Final = "test"
PEER: Final = "mail.test"


class MemoryPost:
    """Every call runs RCPT, the handlers, and the outbox at once."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._queue_ids = 0

    def deliver(self, message: Message, envelope: Envelope) -> Got:
        """Bring a message under a queue id of its own, unless the envelope has one."""
        return self._arrive(self._arrival(message, envelope))

    def redeliver(self, got: Got) -> Got:
        """Bring a message again: out of the queue, as Postfix does when our answer was lost, or from outside."""
        return self._arrive(got.arrival) if got.queued is None else self._leave_queue(Got(got.arrival), got.queued)

    def send_letters(self) -> None:
        """Empty the outbox. Raises AssertionError where letters beget letters without end."""
        store, clock = self._inside.store, self._inside.clock
        for _ in range(MOST_ROUNDS):
            letters = store.claim("test", clock.now())
            if not letters:
                return
            for letter in letters:
                replies = self._hand_out(letter.submission(store.letter(letter)))
                store.settle_letter(letter, replies, clock.now(), None)
        raise AssertionError(f"letters still beget letters after {MOST_ROUNDS} rounds")

    def close(self) -> None:
        """Nothing runs."""

    def _arrival(self, message: Message, envelope: Envelope) -> Arrival:
        if envelope.client.ident is None:
            self._queue_ids += 1
            envelope = replace(envelope, client=replace(envelope.client, ident=f"TEST{self._queue_ids:06d}"))
        return Arrival(envelope, message, LISTENER, PEER, replies_each=True)

    def _arrive(self, arrival: Arrival) -> Got:
        got = Got(arrival)
        if found := queued(got, arrival, self._inside.pipeline):
            return self._leave_queue(got, found)
        return self._done(got)

    def _leave_queue(self, got: Got, found: Arrival) -> Got:
        """Bring what is queued to the port."""
        got.queued = found
        pipeline = self._inside.pipeline
        if allowed := admitted(got, found.envelope, pipeline.recipient):
            decision = pipeline.decide(replace(found, envelope=found.envelope.to(*allowed)))
            pipeline.settle(decision, [[OK] * len(group.envelope.recipients) for group in decision.groups])
            take(got, decision)
        return self._done(got)

    def _done(self, got: Got) -> Got:
        self._inside.got.append(got)
        self.send_letters()
        return got

    def _hand_out(self, submission: Submission) -> list[Reply]:
        for recipient in submission.envelope.recipients:
            if self._inside.is_ours(recipient.address):
                self._come_back(submission.message, replace(submission.envelope.to(recipient), client=LOCAL))
            else:
                self._inside.box(recipient.address).append(Received(submission, recipient.address))
        return [OK] * len(submission.envelope.recipients)

    def _come_back(self, message: Message, envelope: Envelope) -> None:
        """A letter to us comes straight from the queue where we own its domain, else from the world as its MX."""
        arrival = self._arrival(message, envelope)
        if self._inside.router.owns(envelope.recipients[0].address):
            self._leave_queue(Got(arrival), arrival)
        else:
            self._arrive(arrival)
