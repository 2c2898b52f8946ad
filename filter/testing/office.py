"""The post office of a test: people, messages, time, and a look at what is stored.

Its inside is the same whichever way the mail goes; the post decides the way: handed over in the test's own
process, or through a real Postfix.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from ..address import identity
from ..config import Settings, duration
from ..effects import Held, Key
from ..envelope import Client, Envelope
from ..handler import Handler, fill_template
from ..message import Message
from ..store import Session
from .got import Got
from .inside import Inside
from .memory import MemoryPost
from .person import Person, Received
from .post import MOST_ROUNDS, MakesPost


class Office:
    """What the fixture `penstock` gives. Every call returns when all that comes of it has been done."""

    def __init__(self, settings: Settings, folder: Path, post: MakesPost = MemoryPost) -> None:
        """`folder` is where `eml` looks for files; `post` makes the way for the mail."""
        self.settings = settings
        self.folder = folder
        self._inside = Inside(settings)
        self.clock = self._inside.clock
        self._store = self._inside.store
        self._post = post(self._inside)

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
        return self._post.deliver(message, envelope)

    def redeliver(self, got: Got) -> Got:
        """Deliver the very same message again, as Postfix does when our answer was a 4xx, or was lost."""
        return self._post.redeliver(got)

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
            self._inside.timers.run_due()
        else:
            raise AssertionError(f"timers still fall due after {MOST_ROUNDS} rounds")
        self.clock.advance(target - self.clock.now())
        self._post.send_letters()

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
        return [handler.name for handler in self._inside.router.handlers]

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
        unread = [str(letter) for letter in self._inside.unread]
        assert not unread, f"unread letters: {'; '.join(unread)}"

    # For people, and for the end of the test

    def box(self, address: str) -> list[Received]:
        """The unread letters of an address."""
        return self._inside.box(address)

    def check_refusals(self) -> None:
        """Assert that every refusal was asserted."""
        unexpected = [str(got) for got in self._inside.got if got.refused_unasserted]
        assert not unexpected, f"refused, and no test asked for it: {'; '.join(unexpected)}"

    def close(self) -> None:
        """Give back threads and connections."""
        try:
            self._post.close()
        finally:
            self._inside.close()

    def _handler(self, name: str) -> Handler:
        for handler in self._inside.router.handlers:
            if handler.name == name:
                return handler
        raise ValueError(f"no handler {name!r} here; there are {', '.join(self.handlers)}")


def _envelope_of(message: Message) -> Envelope:
    author = next(iter(message.addresses("From")), None)
    return Envelope(author.addr if author else "", client=Client(source="LOCAL"))
