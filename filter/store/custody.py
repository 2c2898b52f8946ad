"""What penstock keeps, in the hands of a person: each deed is one transaction, and the audit has a row of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from ..envelope import Envelope
from ..message import Message
from ..submission import Submission
from . import audit, contents, keeping
from .audit import Deed, about
from .database import Change, Database
from .keeping import KeptMail, Remainder
from .which import Which


class Custody:
    """The store, as `who` deals with it at the time `now`.

    What another changed in the meantime is a Clash, and all raise what the database raises; then nothing is done.
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

        def release(connection: Connection) -> None:
            nonlocal letter
            keeping.claim(connection, mail)
            letter = keeping.send_as_it_is(connection, mail, envelope, self._now)
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

    def delete_held(self, mail: KeptMail) -> None:
        """Delete held mail for good."""

        def remove(connection: Connection) -> None:
            keeping.claim(connection, mail)
            keeping.remove(connection, mail)
            details = about(mail.envelope, reason=mail.reason)
            self._note(connection, Deed("deleted", "held", str(mail.number), mail.handler, details))

        self._database.apply((), remove)

    def _note(self, connection: Connection, done: Deed) -> None:
        audit.write(connection, self._who, done, self._now)


def _released(mail: KeptMail, **more: object) -> Deed:
    details = about(mail.envelope, reason=mail.reason, **more)
    return Deed("released", "held", str(mail.number), mail.handler, details)
