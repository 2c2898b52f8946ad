"""The outbox as a person deals with it: what waits there, and who stops it or hurries it on.

A letter that is leased is being sent: it is left alone, or it might go out although it is held or deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from ..envelope import Envelope
from . import contents
from .failures import Clash
from .outbox import LEASE, Waiting, waiting_of
from .rows import moment, storable, when
from .schema import contents as sizes
from .schema import held, outbox
from .which import Which


@dataclass(frozen=True, slots=True)
class KeptLetter:
    """A letter in the outbox, its size in octets, and until when it is leased to who sends it."""

    waiting: Waiting
    size: int
    leased: datetime | None

    @property
    def number(self) -> int:
        return self.waiting.number

    @property
    def envelope(self) -> Envelope:
        return self.waiting.envelope


def find(connection: Connection, which: Which, now: datetime) -> list[KeptLetter]:
    """The letters that are meant, oldest first. `reason` is about what Postfix said last."""
    wanted = select(outbox, sizes.c.size).join(sizes, sizes.c.id == outbox.c.content).order_by(outbox.c.id)
    rows = connection.execute(wanted.where(*which.columns(outbox, "created"))).mappings()
    found = (KeptLetter(waiting_of(row), row["size"], _leased(row["lease"], now)) for row in rows)
    return [letter for letter in found if _meant(which, letter.waiting)]


def claim(connection: Connection, letter: KeptLetter, now: datetime) -> None:
    """See that a letter waits as it was seen, and keep it so until the transaction ends. Raises Clash."""
    wanted = select(outbox).where(outbox.c.id == letter.number).with_for_update()
    row = connection.execute(wanted).mappings().first()
    if row is not None and (leased := _leased(row["lease"], now)):
        raise Clash(f"letter {letter.number} is being sent; if not, it is free again at {leased:%H:%M:%S} UTC")
    if row is None or Envelope.from_dict(row["envelope"]) != letter.envelope:
        raise Clash(f"letter {letter.number} was sent, or changed by another")


def retry(connection: Connection, letter: KeptLetter, now: datetime) -> None:
    """Make a letter due."""
    connection.execute(update(outbox).where(outbox.c.id == letter.number).values(due=when(now)))


def hold(connection: Connection, letter: KeptLetter, reason: str, now: datetime) -> int:
    """Make a letter held mail, for good; returns its number there."""
    waiting = letter.waiting
    row = connection.execute(
        insert(held).values(
            at=when(now), handler=waiting.handler, reason=storable(reason), attempts=waiting.attempts, done=True,
            verp=waiting.verp, envelope=waiting.envelope.as_dict(), content=waiting.content,
        )
    ).inserted_primary_key  # fmt: skip
    assert row is not None
    connection.execute(delete(outbox).where(outbox.c.id == letter.number))
    return int(row[0])


def remove(connection: Connection, letter: KeptLetter) -> None:
    """Delete a letter for good."""
    connection.execute(delete(outbox).where(outbox.c.id == letter.number))
    contents.remove(connection, letter.waiting.content)


def _meant(which: Which, letter: Waiting) -> bool:
    return which.means(letter.envelope.reverse_path, letter.recipients, letter.last_reply or "")


def _leased(lease: Any, now: datetime) -> datetime | None:
    """Until when a letter is leased; a lease that is longer than any was made before the clock was set back."""
    until = moment(lease)
    return until if until is not None and now <= until <= now + LEASE else None
