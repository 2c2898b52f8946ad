"""The post office of a test: the whole pipeline, a clock that stands still, and letter boxes instead of Postfix.

Every call runs RCPT, the handlers, and the outbox at once. Letters to people lie in their boxes; letters
to our own addresses come back in, as they would through Postfix.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from ..address import identity
from ..arrival import Arrival
from ..clock import FixedClock
from ..config import Settings, duration
from ..effects import Held, Key
from ..envelope import Client, Envelope, Recipient
from ..handler import START, Handler, fill_template
from ..loading import load_router
from ..message import Message
from ..pipeline import Pipeline
from ..store import Session, Store, StoreError, Work
from ..submission import Submission
from ..timers import Timers
from ..verdict import OK, Reply
from .got import Got
from .person import Person, Received

MONDAY: Final = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
LISTENER: Final = "test"
PEER: Final = "mail.test"
LOCAL: Final = Client(source="LOCAL")
MOST_ROUNDS: Final = 100


class Office:
    """What the fixture `penstock` gives: people, messages, time, and a look at what is stored."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        """`folder` is where `eml` looks for files."""
        self.settings = settings
        self.folder = folder
        self.clock = FixedClock(MONDAY)
        self._router = load_router(settings)
        self._store = _BreakableStore(settings.store.url)
        self._store.create(*(h.metadata for h in self._router.handlers if h.metadata is not None))
        self._pipeline = Pipeline(self._router, self._store, settings, clock=self.clock)
        self._timers = Timers(self._router, self._store, settings, self._pipeline.tokens, self.clock)
        self._boxes: dict[str, list[Received]] = {}
        self._all: list[Got] = []
        self._queue_ids = 0

    # People and messages

    def person(self, address: str, *, verified: bool = True) -> Person:
        """Someone who writes and gets mail. One who is not `verified` comes from outside, unauthenticated."""
        return Person(self, address, verified=verified)

    def eml(
        self, name: str, *, to: Sequence[str] = (), sender: str | None = None, client: Mapping[str, str] | None = None
    ) -> Got:
        """Deliver a file beside the test. Its envelope is in the arguments, or in a side file NAME.json.

        The side file is what `Envelope.as_dict` writes. Without a sender the message's own From is taken.
        Raises FileNotFoundError, ValueError for an envelope without recipients.
        """
        file = self.folder / name
        message = Message(file.read_bytes())
        side = file.with_name(file.name + ".json")
        envelope = Envelope.from_dict(json.loads(side.read_text("utf-8"))) if side.is_file() else _envelope_of(message)
        if sender is not None:
            envelope = replace(envelope, reverse_path=sender)
        if client is not None:
            envelope = replace(envelope, client=Client(**client))
        envelope = envelope.to(*to) if to else envelope
        if not envelope.recipients:
            raise ValueError(f"{file} has no recipients: give to=[…], or an envelope in {side.name}")
        return self.deliver(message, envelope)

    def deliver(self, message: Message, envelope: Envelope) -> Got:
        """Deliver a message as Postfix would, under a queue id of its own."""
        if envelope.client.ident is None:
            self._queue_ids += 1
            envelope = replace(envelope, client=replace(envelope.client, ident=f"TEST{self._queue_ids:06d}"))
        return self._arrive(Arrival(envelope, message, LISTENER, PEER, replies_each=True))

    def redeliver(self, got: Got) -> Got:
        """Deliver the very same message again, as Postfix does when our answer was lost."""
        return self._arrive(got.arrival)

    def crash_before_commit(self) -> None:
        """The next message's transaction fails just before it would be committed."""
        self._store.breaks = True

    # Time

    def advance(self, by: str | timedelta) -> None:
        """Move the clock ("4d"), and run what falls due, each at its time."""
        target = self.clock.now() + (duration(by) if isinstance(by, str) else by)
        for _ in range(MOST_ROUNDS):
            due = [c.deadline for c in self._store.conversations() if c.deadline and c.deadline <= target]
            if not due:
                break
            self.clock.advance(max(timedelta(0), min(due) - self.clock.now()))
            self._timers.run_due()
        else:
            raise AssertionError(f"timers still fall due after {MOST_ROUNDS} rounds")
        self.clock.advance(target - self.clock.now())
        self._post()

    # What is stored

    def state(self, handler: str, person: Person | str | None = None, *, key: str | None = None, **blanks: str) -> str:
        """The state of a conversation: of a person (or an address), with a key or the blanks that make it."""
        found = self._handler(handler)
        if key is None:
            if not isinstance(found.state_key, str):
                raise ValueError(f"STATE_KEY of {handler} is a function; give key=…")
            key = fill_template(found.state_key, blanks)
        address = person.address if isinstance(person, Person) else person or ""
        sender = identity(address) if found.keeps_sender else ""
        return self._store.conversation(Key(handler, sender, key)).state

    @property
    def handlers(self) -> list[str]:
        """The names of the handlers, in configured order."""
        return [handler.name for handler in self._router.handlers]

    @property
    def db(self) -> Session:
        """A session for looking at the handlers' own rows; what it changes is not kept."""
        return self._store.looking()

    @property
    def held(self) -> list[Held]:
        """The mail that is held for a person."""
        return [kept.mail for kept in self._store.held()]

    @property
    def timers(self) -> list[tuple[str, str, datetime]]:
        """The deadlines that are set: handler, state, time; the next one first."""
        set_ = [(c.key.handler, c.state, c.deadline) for c in self._store.conversations() if c.deadline]
        return sorted(set_, key=lambda timer: timer[2])

    def no_more_letters(self) -> None:
        """Assert that nobody has an unread letter."""
        unread = [f"{letter}" for box in self._boxes.values() for letter in box]
        assert not unread, f"unread letters: {'; '.join(unread)}"

    # The inside

    def box(self, address: str) -> list[Received]:
        """The unread letters of an address."""
        return self._boxes.setdefault(identity(address), [])

    def check_refusals(self) -> None:
        """Assert that every refusal was asserted."""
        unexpected = [str(got) for got in self._all if got.refused_unasserted]
        assert not unexpected, f"refused, and no test asked for it: {'; '.join(unexpected)}"

    def close(self) -> None:
        """Give back threads and connections."""
        self._pipeline.close()
        self._store.close()

    def _arrive(self, arrival: Arrival) -> Got:
        got = Got(arrival)
        allowed: list[Recipient] = []
        for recipient in arrival.envelope.recipients:
            refused = self._pipeline.at_rcpt(arrival.envelope, recipient) or self._pipeline.recipient(
                arrival.envelope, recipient
            )
            if refused is None:
                allowed.append(recipient)
            else:
                got.refuse(recipient, refused)
        if allowed:
            self._decide(replace(arrival, envelope=arrival.envelope.to(*allowed)), got)
        self._all.append(got)
        self._post()
        return got

    def _decide(self, arrival: Arrival, got: Got) -> None:
        decision = self._pipeline.decide(arrival)
        replies = self._pipeline.settle(decision, [[OK] * len(group.envelope.recipients) for group in decision.groups])
        got.decide(decision, replies)
        for outcome in decision.outcomes.values():
            if outcome.failure is not None and outcome.failure.counts:
                got.asserted = True
                raise outcome.failure.exception

    def _post(self) -> None:
        for _ in range(MOST_ROUNDS):
            letters = self._store.claim("test", self.clock.now())
            if not letters:
                return
            for letter in letters:
                submission = letter.submission(self._store.letter(letter))
                replies = self._hand_out(submission)
                self._store.settle_letter(letter, replies, self.clock.now(), None)
        raise AssertionError(f"letters still beget letters after {MOST_ROUNDS} rounds")

    def _hand_out(self, submission: Submission) -> list[Reply]:
        replies = []
        for recipient in submission.envelope.recipients:
            if self._router.taker(recipient.address) or self._router.owns(recipient.address):
                self.deliver(submission.message, replace(submission.envelope.to(recipient), client=LOCAL))
            else:
                self.box(recipient.address).append(Received(submission, recipient.address))
            replies.append(OK)
        return replies

    def _handler(self, name: str) -> Handler:
        for handler in self._router.handlers:
            if handler.name == name:
                return handler
        raise ValueError(f"no handler {name!r} here; there are {', '.join(h.name for h in self._router.handlers)}")


class _BreakableStore(Store):
    """The store, with a commit that fails once when asked to."""

    breaks = False

    def work(self, now: datetime) -> Work:
        work = super().work(now)
        if self.breaks:
            self.breaks = False
            work.commit = _crash  # type: ignore[method-assign, assignment]
        return work


def _crash(*args: Any) -> None:
    raise StoreError("the test crashes before the commit")


def _envelope_of(message: Message) -> Envelope:
    author = next(iter(message.addresses("From")), None)
    return Envelope(author.addr if author else "", client=Client(source="LOCAL"))


__all__ = ["START", "Office"]
