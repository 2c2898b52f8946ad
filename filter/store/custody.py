"""What penstock keeps, in the hands of a person: each deed is one transaction, and the audit has a row of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, TypeVar

from sqlalchemy import Connection

from ..effects import Conversation, Key
from ..envelope import Envelope
from ..handler import START
from ..message import Message
from ..submission import Submission
from . import audit, contents, keeping, posting, states
from .audit import Deed, Entry, about
from .database import Change, Database
from .failures import Clash
from .keeping import KeptMail, Remainder
from .posting import KeptLetter
from .states import KeptConversation
from .which import Which
from .work import load_conversation, store_conversation

TOGETHER: Final = 100
"""How many are deleted in one transaction: few enough that nobody waits for long."""

Refused = dict[int, str]
"""With what nothing was done, by its place among what was given, and why: another was quicker."""

Thing = TypeVar("Thing")


class Custody:
    """The store, as `who` deals with it at the time `now`. All raise what the database raises; then nothing is done.

    What another changed in the meantime is not touched: a release raises Clash, what is done to many says which.
    """

    def __init__(self, database: Database, who: str, now: datetime) -> None:
        self._database = database
        self._who = who
        self._now = now

    def audit(self, which: Which) -> list[Entry]:
        """What was done so far, oldest first; of which handler, and since when, may be said."""
        with self._database.reading() as connection:
            return audit.find(connection, which)

    # Held mail

    def held(self, which: Which) -> list[KeptMail]:
        """The held mail that is meant, oldest first."""
        with self._database.reading() as connection:
            return keeping.find(connection, which)

    def message(self, content: int) -> Message:
        """The octets of held mail, or of a letter."""
        with self._database.reading() as connection:
            return contents.read(connection, content)

    def release_around(self, mail: KeptMail, envelope: Envelope) -> int:
        """Send held mail as it is, to the recipients of this envelope; returns the letter's number."""
        letter = 0
        message_id = self.message(mail.content)["Message-ID"] or ""

        def release(connection: Connection) -> None:
            nonlocal letter
            keeping.claim(connection, mail)
            letter = keeping.send_as_it_is(connection, mail, envelope, message_id, self._now)
            self._note(connection, _released(mail, sent=about(envelope), letter=letter))

        self._database.apply((), release)
        return letter

    def released(self, mail: KeptMail, results: Sequence[Submission], left: Remainder | None) -> Change:
        """What a run of the handlers over held mail writes along with their effects."""
        some_go = left is None or len(left.recipients) < len(mail.recipients)

        def release(connection: Connection) -> None:
            keeping.claim(connection, mail)
            keeping.send_results(connection, mail, results, left, self._now)
            if some_go:
                sent = [about(each.envelope) for each in results]
                self._note(connection, _released(mail, sent=sent, stays=left.reason if left else None))

        return release

    def delete_held(self, mails: Sequence[KeptMail]) -> Refused:
        """Delete held mail for good."""

        def remove(connection: Connection, mail: KeptMail) -> Deed:
            keeping.claim(connection, mail)
            keeping.remove(connection, mail)
            return Deed("deleted", "held", str(mail.number), mail.handler, about(mail.envelope, reason=mail.reason))

        return self._each(mails, remove)

    # The outbox

    def letters(self, which: Which) -> list[KeptLetter]:
        """The letters in the outbox that are meant, oldest first."""
        with self._database.reading() as connection:
            return posting.find(connection, which, self._now)

    def retry_letters(self, letters: Sequence[KeptLetter]) -> Refused:
        """Have letters tried at once."""

        def retry(connection: Connection, letter: KeptLetter) -> None:
            posting.claim(connection, letter, self._now)
            posting.retry(connection, letter, self._now)

        return self._each(letters, retry)

    def hold_letters(self, letters: Sequence[KeptLetter]) -> Refused:
        """Keep letters from being sent: they are held mail until they are released."""

        def hold(connection: Connection, letter: KeptLetter) -> Deed:
            posting.claim(connection, letter, self._now)
            number = posting.hold(connection, letter, f"held by {self._who}", self._now)
            return _letter("held", letter, held=number)

        return self._each(letters, hold)

    def delete_letters(self, letters: Sequence[KeptLetter]) -> Refused:
        """Delete letters for good."""

        def remove(connection: Connection, letter: KeptLetter) -> Deed:
            posting.claim(connection, letter, self._now)
            posting.remove(connection, letter)
            return _letter("deleted", letter)

        return self._each(letters, remove)

    # Conversations

    def conversations(self, which: Which) -> list[KeptConversation]:
        """The conversations that are meant, by handler, sender and resource."""
        with self._database.reading() as connection:
            return states.find(connection, which)

    def named(self, names: Sequence[str]) -> dict[str, KeptConversation]:
        """The conversations of these names, as far as there are any."""
        with self._database.reading() as connection:
            return states.named(connection, names)

    def timed(self, which: Which, until: datetime | None = None) -> list[KeptConversation]:
        """The conversations that are meant and have a deadline, at the latest `until`; the first deadline first."""
        with self._database.reading() as connection:
            return states.timed(connection, which, until)

    def move(self, moves: Sequence[Conversation]) -> Refused:
        """Write conversations, each over the version that it was read as. One in START is over."""

        def write(connection: Connection, to: Conversation) -> Deed:
            before = load_conversation(connection, to.key)
            store_conversation(connection, to, self._now)
            return self.deed_on(before, "reset" if to.state == START else "moved", state=to.state)

        return self._each(moves, write, lambda conversation: conversation.key)

    def deed_on(self, before: Conversation, deed: str, **more: object) -> Deed:
        """What is written down of a conversation that something is done with."""
        details = {"sender": before.key.sender, "resource": before.key.resource, "was": before.state, **more}
        return Deed(deed, "conversation", states.name_of(before.key), before.key.handler, details)

    def noting(self, done: Deed) -> Change:
        """What writes a deed down along with something else."""
        return lambda connection: self._note(connection, done)

    def _each(
        self, things: Sequence[Thing], act: Callable[[Connection, Thing], Deed | None],
        key: Callable[[Thing], Key] | None = None,
    ) -> Refused:  # fmt: skip
        """Do something with each, many in one transaction; whom another was quicker at is left as it is."""
        refused: Refused = {}
        for start in range(0, len(things), TOGETHER):
            some = things[start : start + TOGETHER]
            clashes: Refused = {}

            def change(
                connection: Connection, start: int = start, some: Sequence[Thing] = some, clashes: Refused = clashes
            ) -> None:
                clashes.clear()  # it may be called again
                for place, thing in enumerate(some, start):
                    try:
                        done = act(connection, thing)
                    except Clash as clash:
                        clashes[place] = str(clash)
                        continue
                    if done is not None:
                        self._note(connection, done)

            self._database.apply(() if key is None else [key(thing) for thing in some], change)
            refused |= clashes
        return refused

    def _note(self, connection: Connection, done: Deed) -> None:
        audit.write(connection, self._who, done, self._now)


def _released(mail: KeptMail, **more: object) -> Deed:
    details = about(mail.envelope, reason=mail.reason, **more)
    return Deed("released", "held", str(mail.number), mail.handler, details)


def _letter(deed: str, letter: KeptLetter, **more: object) -> Deed:
    details = about(letter.envelope, message_id=letter.waiting.message_id, **more)
    return Deed(deed, "letter", str(letter.number), letter.waiting.handler, details)
