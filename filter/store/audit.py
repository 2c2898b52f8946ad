"""The audit: what a person did with what penstock keeps, and when. It is written in the transaction that does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from ..envelope import Envelope
from .rows import moment, storable, when
from .schema import audit
from .which import Which


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done: `deed` ("released", "deleted" …), to which `kind` of thing, and which one.

    `subject` is the number of held mail or of a letter, or sender and resource of a conversation.
    """

    deed: str
    kind: str
    subject: str
    handler: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """A deed, who did it, and when."""

    at: datetime
    who: str
    done: Deed


def write(connection: Connection, who: str, done: Deed, now: datetime) -> None:
    """Write down what `who` does in this transaction."""
    connection.execute(
        insert(audit).values(
            at=when(now), who=storable(who), deed=done.deed, kind=done.kind, subject=storable(done.subject),
            handler=done.handler, details=dict(done.details),
        )
    )  # fmt: skip


def find(connection: Connection, which: Which) -> list[Entry]:
    """The entries that are meant, by handler and time, oldest first."""
    rows = connection.execute(select(audit).where(*which.columns(audit, "at")).order_by(audit.c.id)).mappings()
    return [
        Entry(
            moment(row["at"]), row["who"],
            Deed(row["deed"], row["kind"], row["subject"], row["handler"], row["details"]),
        )
        for row in rows
    ]  # fmt: skip


def about(envelope: Envelope, **more: Any) -> dict[str, Any]:
    """The details of a deed that concerns mail."""
    return {"sender": envelope.reverse_path, "recipients": [r.address for r in envelope.recipients], **more}
