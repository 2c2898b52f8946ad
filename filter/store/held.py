"""Held mail: what waits for a person, with its original octets, envelope and reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from ..effects import Held
from ..envelope import Envelope
from . import contents
from .rows import moment, storable, when
from .schema import held


@dataclass(frozen=True, slots=True)
class HeldMail:
    """A row of the held store."""

    number: int
    at: datetime
    mail: Held


def add(connection: Connection, mail: Held, now: datetime) -> int:
    """Keep a message; returns its number."""
    row = connection.execute(
        insert(held).values(
            at=when(now), expires=when(mail.expires), handler=mail.handler, reason=storable(mail.reason),
            traceback=storable(mail.traceback) if mail.traceback else None, attempts=mail.attempts, done=mail.done,
            verp=mail.verp, envelope=mail.envelope.as_dict(), content=contents.write(connection, mail.message),
        )
    ).inserted_primary_key  # fmt: skip
    assert row is not None
    return int(row[0])


def listed(connection: Connection) -> list[HeldMail]:
    """All held mail, oldest first."""
    rows = connection.execute(select(held).order_by(held.c.id)).mappings().all()
    return [_read(connection, row) for row in rows]


def expire(connection: Connection, now: datetime) -> int:
    """Delete what nobody looked at in its time; returns how many."""
    rows = connection.execute(select(held.c.id, held.c.content).where(held.c.expires <= when(now))).all()
    for number, content in rows:
        connection.execute(delete(held).where(held.c.id == number))
        contents.remove(connection, content)
    return len(rows)


def _read(connection: Connection, row: Any) -> HeldMail:
    mail = Held(
        envelope=Envelope.from_dict(row["envelope"]), message=contents.read(connection, row["content"]),
        handler=row["handler"], reason=row["reason"], traceback=row["traceback"], expires=moment(row["expires"]),
        attempts=row["attempts"], done=row["done"], verp=row["verp"],
    )  # fmt: skip
    return HeldMail(row["id"], moment(row["at"]), mail)
