"""What penstock keeps, in the hands of a person: each deed is one transaction, and the audit has a row of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Protocol, TypeVar

from sqlalchemy import Connection

from ..envelope import Envelope
from ..message import Message
from ..submission import Submission
from . import audit, contents, keeping, posting
from .audit import Deed, about
from .database import Change, Database
from .failures import Clash
from .keeping import KeptMail, Remainder
from .posting import KeptLetter
from .which import Which

TOGETHER: Final = 100
"""How many are deleted in one transaction: few enough that nobody waits for long."""

Refused = dict[int, str]
"""With what nothing was done, by number, and why: another was quicker."""


class _Numbered(Protocol):
    @property
    def number(self) -> int: ...


Thing = TypeVar("Thing", bound=_Numbered)


class Custody:
    """The store, as `who` deals with it at the time `now`. All raise what the database raises; then nothing is done.

    What another changed in the meantime is not touched: a release raises Clash, what is done to many says which.
    """

    def __init__(self, database: Database, who: str, now: datetime) -> None:
        self._database = database
        self._who = who
        self._now = now

    def audit(self) -> list[audit.Entry]:
        """What was done so far, oldest first."""
        with self._database.reading() as connection:
            return audit.listed(connection)

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

    def _each(self, things: Sequence[Thing], act: Callable[[Connection, Thing], Deed | None]) -> Refused:
        """Do something with each, many in one transaction; whom another was quicker at is left as it is."""
        refused: Refused = {}
        for start in range(0, len(things), TOGETHER):
            clashes: Refused = {}

            def change(connection: Connection, start: int = start, clashes: Refused = clashes) -> None:
                clashes.clear()  # it may be called again
                for thing in things[start : start + TOGETHER]:
                    try:
                        done = act(connection, thing)
                    except Clash as clash:
                        clashes[thing.number] = str(clash)
                        continue
                    if done is not None:
                        self._note(connection, done)

            self._database.apply((), change)
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
