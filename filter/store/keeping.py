"""Held mail as a person deals with it: found without its content, and released.

A release is one transaction: what goes on is put into the outbox, and the held mail is gone. So whatever dies after
that, it is sent, and whatever dies before, it is held. If Postfix then refuses it, the outbox holds it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from ..envelope import Envelope, Recipient
from ..submission import Submission
from . import contents
from .failures import Clash
from .rows import moment, storable, when
from .schema import contents as sizes
from .schema import held, outbox
from .which import Which


@dataclass(frozen=True, slots=True)
class KeptMail:
    """Held mail without its octets, of which there are `size`; all else as `HeldMail` has it."""

    number: int
    at: datetime
    expires: datetime | None
    handler: str
    reason: str
    traceback: str | None
    attempts: int
    done: bool
    verp: bool
    envelope: Envelope
    content: int
    size: int

    @property
    def recipients(self) -> tuple[str, ...]:
        """Whom it is held for."""
        return tuple(recipient.address for recipient in self.envelope.recipients)


@dataclass(frozen=True, slots=True)
class Remainder:
    """What of held mail stays held after a run of the handlers: for whom, and why.

    `attempts` is how many more there were that count, `traceback` the last one's.
    """

    recipients: tuple[Recipient, ...]
    handler: str
    reason: str
    traceback: str | None
    attempts: int


def find(connection: Connection, which: Which) -> list[KeptMail]:
    """The held mail that is meant, oldest first."""
    wanted = select(held, sizes.c.size).join(sizes, sizes.c.id == held.c.content).order_by(held.c.id)
    rows = connection.execute(wanted.where(*which.columns(held, "at"))).mappings()
    found = (_read(row) for row in rows)
    return [mail for mail in found if which.means(mail.envelope.reverse_path, mail.recipients, mail.reason)]


def claim(connection: Connection, mail: KeptMail) -> None:
    """See that held mail is still what was seen of it, and keep it so until the transaction ends. Raises Clash."""
    wanted = select(held.c.envelope).where(held.c.id == mail.number).with_for_update()
    found = connection.execute(wanted).scalar()
    if found is None or Envelope.from_dict(found) != mail.envelope:
        raise Clash(f"held mail {mail.number} was released or deleted by another")


def send_as_it_is(
    connection: Connection, mail: KeptMail, envelope: Envelope, message_id: str, now: datetime
) -> int:  # fmt: skip
    """Put held mail into the outbox, for the recipients of this envelope; returns the letter's number."""
    letter = _queue(connection, mail, envelope, mail.content, message_id, verp=mail.verp, now=now)
    connection.execute(delete(held).where(held.c.id == mail.number))
    return letter


def send_results(
    connection: Connection, mail: KeptMail, results: Sequence[Submission], left: Remainder | None, now: datetime
) -> None:
    """Put what handlers made of held mail into the outbox; what is left of it stays held."""
    for each in results:
        content = contents.write(connection, each.message)
        message_id = each.message["Message-ID"] or ""
        _queue(connection, mail, each.envelope, content, message_id, verp=each.verp, now=now)
    if left is None:
        remove(connection, mail)
        return
    connection.execute(
        update(held)
        .where(held.c.id == mail.number)
        .values(
            envelope=mail.envelope.to(*left.recipients).as_dict(), handler=left.handler, reason=storable(left.reason),
            traceback=storable(left.traceback) if left.traceback else mail.traceback,
            attempts=mail.attempts + left.attempts,
        )
    )  # fmt: skip


def remove(connection: Connection, mail: KeptMail) -> None:
    """Delete held mail for good."""
    connection.execute(delete(held).where(held.c.id == mail.number))
    contents.remove(connection, mail.content)


def _queue(
    connection: Connection, mail: KeptMail, envelope: Envelope, content: int, message_id: str, *,
    verp: bool, now: datetime,
) -> int:  # fmt: skip
    row = connection.execute(
        insert(outbox).values(
            handler=mail.handler, message_id=storable(message_id), envelope=envelope.as_dict(), verp=verp,
            content=content, created=when(now), due=when(now), attempts=0,
        )
    ).inserted_primary_key  # fmt: skip
    assert row is not None
    return int(row[0])


def _read(row: Any) -> KeptMail:
    return KeptMail(
        number=row["id"], at=moment(row["at"]), expires=moment(row["expires"]), handler=row["handler"],
        reason=row["reason"], traceback=row["traceback"], attempts=row["attempts"], done=row["done"],
        verp=row["verp"], envelope=Envelope.from_dict(row["envelope"]), content=row["content"], size=row["size"],
    )  # fmt: skip
