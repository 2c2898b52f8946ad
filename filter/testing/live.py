"""The post of `pytest --live`: the same handlers, and mail that really goes.

A message goes to Postfix by SMTP, and comes by LMTP to our port, which runs in the test's own process
with the test's pipeline, clock and store. Its results go back into Postfix and end in the sink. Letters go
from the outbox to Postfix as well. Those to an owned domain come back in by its transport; those to other
addresses that a handler takes are brought in again from the sink, as the world does whose MX we are.

What the handlers decided is known here, since they run here, however Postfix tells the sender of it: a
refusal by a bounce, which is nobody's letter, and stays in the sink.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ..arrival import Arrival
from ..envelope import Client, Envelope
from ..message import Message
from ..port import Limits, Server
from ..port.door import Door
from ..service import Courier
from ..submission import Submission
from .got import Got
from .inside import Inside
from .mailsystem import PEER, MailSystem
from .person import Received
from .post import LOCAL, MOST_ROUNDS, queued, take
from .record import Passage, Recorder, Way
from .sink import Delivery


class LivePost:
    """Our port, listening where the mail system's Postfix brings its mail, until `close`."""

    def __init__(self, inside: Inside, system: MailSystem) -> None:
        settings, postfix = inside.settings, system.postfix
        self._inside = inside
        self._system = system
        self._recorder = Recorder(inside.pipeline)
        self._world = Way(f"127.0.0.1:{postfix.outside_port}")
        self._results = Way(f"127.0.0.1:{postfix.reinject_port}")
        self._letters = Way(f"127.0.0.1:{postfix.reinject_port}")
        self._courier = Courier(inside.store, self._letters, settings, inside.clock)
        self._listener = f"unix:{postfix.socket_path}"
        limits = Limits(settings.filter.message_size_limit, recipients=settings.filter.recipient_limit)
        self._door = Door(self._recorder, self._results, limits, settings.service.hostname)
        self._server = Server([self._listener], self._recorder, self._results, limits, settings.service.hostname)
        self._server.start()

    def deliver(self, message: Message, envelope: Envelope) -> Got:
        """Bring a message. Its queue id is Postfix's, and Postfix may refuse recipients of its own accord."""
        got = Got(Arrival(envelope, message, self._listener, PEER, replies_each=True))
        if found := queued(got, got.arrival, self._inside.pipeline):
            self._submit(got, Submission(_as_outside(found.envelope, found.message), found.message))
        return self._done(got)

    def redeliver(self, got: Got) -> Got:
        """Have Postfix try a deferred message again; one that it has no more comes as it came before."""
        if got.queue_id is None:
            return self.deliver(got.arrival.message, got.arrival.envelope)
        again = Got(got.arrival, former=got)
        again.queue_id = got.queue_id
        self._recorder.passages.pop(got.queue_id, None)
        if not self._system.retry(got.queue_id):
            self._bring(got.arrival)
        self._follow(again)
        return self._done(again)

    def send_letters(self) -> None:
        """Empty the outbox. Raises AssertionError where letters beget letters without end."""
        for _ in range(MOST_ROUNDS):
            if not self._courier.send_due():
                return
            letters = dict(self._letters.sent)
            self._letters.sent.clear()
            self._rest(letters)
            delivered = self._system.delivered()
            for queue_id, letter in letters.items():
                self._hand_out(letter, delivered.get(queue_id, []))
                if queue_id in self._recorder.passages:
                    self._came_back(queue_id, letter)
        raise AssertionError(f"letters still beget letters after {MOST_ROUNDS} rounds")

    def close(self) -> None:
        """Listen no more, and leave nothing in Postfix's queue."""
        self._server.stop(5)
        for way in (self._world, self._results, self._letters):
            way.close()
        self._system.clear()

    def _submit(self, got: Got, submission: Submission) -> None:
        replies = self._world.send(submission)
        for recipient, reply in zip(submission.envelope.recipients, replies, strict=True):
            if not reply.is_ok:
                got.refuse(recipient, reply)
        if self._world.sent:
            got.queue_id, _ = self._world.sent.popitem()
            self._follow(got)

    def _bring(self, arrival: Arrival) -> None:
        envelope = arrival.envelope
        allowed = [recipient for recipient in envelope.recipients if not self._door.refusal(envelope, recipient)]
        if allowed:
            self._door.outcome(replace(arrival, envelope=envelope.to(*allowed)), lambda replies: None)

    def _hand_out(self, letter: Submission, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            received = replace(letter, message=Message(delivery.below_received(1)))
            for address in delivery.recipients:
                if self._inside.is_ours(address):
                    envelope = replace(letter.envelope.to(address), reverse_path=delivery.sender, client=LOCAL)
                    self.deliver(Message(delivery.content), envelope)
                else:
                    self._inside.box(address).append(Received(received, address))

    def _came_back(self, queue_id: str, letter: Submission) -> None:
        got = Got(Arrival(letter.envelope, letter.message, self._listener, PEER, replies_each=True))
        got.queue_id = queue_id
        self._tell(got, self._recorder.passages[queue_id])
        self._inside.got.append(got)

    def _follow(self, got: Got) -> None:
        """Wait until a message has gone its way, and tell `got` which."""
        assert got.queue_id is not None
        self._rest([got.queue_id])
        self._tell(got, self._recorder.passages[got.queue_id])

    def _tell(self, got: Got, passage: Passage) -> None:
        if passage.decisions:
            got.arrival = passage.decisions[0].arrival
        for recipient, reply in passage.refused:
            got.refuse(recipient, reply)
        for decision in passage.decisions:
            take(got, decision)
        for fault in passage.faults:
            raise fault

    def _done(self, got: Got) -> Got:
        self._inside.got.append(got)
        self.send_letters()
        return got

    def _rest(self, queue_ids: Collection[str]) -> None:
        """Wait until these were seen at our port or in the sink, and Postfix is at rest."""
        passages = self._recorder.passages

        def seen() -> bool:
            delivered = self._system.delivered()
            return all(queue_id in passages or queue_id in delivered for queue_id in queue_ids)

        self._system.rest(seen)


def _as_outside(envelope: Envelope, message: Message) -> Envelope:
    """The envelope before Postfix had it, such that Postfix takes all of it over.

    It has no queue id yet, and SMTPUTF8 where it needs that (RFC 6531). What is not known of the client is said
    to be unknown, or Postfix would tell of us.
    """
    addresses = [envelope.reverse_path, *(recipient.address for recipient in envelope.recipients)]
    header = bytes(message.raw[: message.body_start])
    international = not header.isascii() or not all(address.isascii() for address in addresses)
    told = envelope.client
    known = {name: getattr(told, name) or "[UNAVAILABLE]" for name in ("name", "address", "port", "protocol", "helo")}
    client = Client(source=told.source, **known)
    return replace(envelope, client=client, smtputf8=envelope.smtputf8 or international)
