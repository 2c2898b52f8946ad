"""Receipts in the store, and the count of attempts at messages whose handler fails."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, Executable, bindparam, delete, insert, select, update
from sqlalchemy.exc import DBAPIError

from ..message import Edit
from ..receipt import Fate, Receipt
from ..verdict import Reply
from .database import Database
from .failures import StoreError, is_store_failure
from .guarded import GuardedConnection
from .rows import when
from .schema import attempts, receipts
from .sqlite import SQLite, raw


class _Cursor(sqlite3.Cursor):
    connection: GuardedConnection


class Known:
    """Whether any receipt may concern an arrival.

    Asked for every message, so it goes to the driver straight, with cursors on connections that it keeps: the pool, a
    statement object and the guard each take longer than the answer. No run ever holds these connections, so nobody
    takes them away.
    """

    def __init__(self, engine: Engine) -> None:
        asked = select(receipts.c.fate).where(receipts.c.arrival == bindparam("arrival"))
        self._engine = engine
        self._statement = str(asked.compile(dialect=engine.dialect))
        self._idle: list[_Cursor] = []

    def __call__(self, arrival: str) -> bool:
        """Raises StoreError where the database is out of reach."""
        try:
            cursor = self._take()
            found = cursor.execute(self._statement, (arrival,)).fetchall()  # all: what is left would hold a snapshot
        except (sqlite3.Error, DBAPIError) as error:
            self.close()
            raise StoreError(str(error)) from error
        self._idle.append(cursor)
        return bool(found)

    def close(self) -> None:
        """Close the idle connections."""
        idle, self._idle = self._idle, []
        for cursor in idle:
            cursor.connection.close()

    def _take(self) -> _Cursor:
        try:
            known = self._idle.pop()
        except IndexError:
            return self._connect()
        if known.connection.is_current:
            return known
        known.connection.close()
        return self._connect()

    def _connect(self) -> _Cursor:
        pooled = self._engine.connect()
        connection = raw(pooled)
        pooled.detach()
        return _Cursor(connection)


class Asked:
    """`Known`, on a server: it is the first that a message asks of the database.

    So a connection that broke since the last message is found here, and a second try, on a fresh one, loses nothing.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._statement = select(receipts.c.fate).where(receipts.c.arrival == bindparam("arrival")).limit(1)

    def __call__(self, arrival: str) -> bool:
        """Raises what the database raises."""
        try:
            return self._ask(arrival)
        except DBAPIError as error:
            if not is_store_failure(error):
                raise
            return self._ask(arrival)

    def close(self) -> None:
        """There is nothing to close."""

    def _ask(self, arrival: str) -> bool:
        with self._database.reading() as connection:
            return connection.execute(self._statement, {"arrival": arrival}).first() is not None


def known(database: Database) -> Known | Asked:
    """Whether any receipt may concern an arrival, as this database is best asked."""
    return Known(database.engine) if isinstance(database, SQLite) else Asked(database)


def find(connection: Connection, arrival: str, digest: str) -> dict[str, Receipt]:
    """The receipts of a message, by recipient key."""
    rows = connection.execute(select(receipts).where(receipts.c.arrival == arrival, receipts.c.digest == digest))
    return {row["recipient"]: _read(row) for row in rows.mappings()}


def add(connection: Connection, arrival: str, digest: str, new: Sequence[Receipt], now: datetime) -> None:
    """Write receipts. Raises IntegrityError where another has settled the message in the meantime."""
    if new:
        named = {"arrival": arrival, "digest": digest, "at": when(now)}
        connection.execute(_INSERT, [{**named, **_values(receipt)} for receipt in new])


def settle(connection: Connection, arrival: str, digest: str, changed: Iterable[Receipt]) -> None:
    """Write a new fate over what a receipt said."""
    for receipt in changed:
        values = _values(receipt)
        connection.execute(
            update(receipts)
            .where(
                receipts.c.arrival == arrival,
                receipts.c.digest == digest,
                receipts.c.recipient == values.pop("recipient"),
            )
            .values(values)
        )


def attempts_at(connection: Connection, arrival: str, recipient: str, handler: str) -> int:
    """How often a handler has failed at a message."""
    return connection.execute(select(attempts.c.count).where(*_attempt(arrival, recipient, handler))).scalar() or 0


def counting(database: Database, arrival: str, recipient: str, handler: str, now: datetime) -> Executable:
    """The statement that counts a failure of a handler at a message."""
    first = {"arrival": arrival, "recipient": recipient, "handler": handler, "count": 1, "at": when(now)}
    insert_: Executable = database.insert(attempts).values(first).on_conflict_do_update(
        index_elements=["arrival", "recipient", "handler"], set_={"count": attempts.c.count + 1, "at": when(now)}
    )
    return insert_


def expire(connection: Connection, before: datetime) -> int:
    """Delete receipts and attempts older than `before`; returns how many."""
    return sum(
        connection.execute(delete(table).where(table.c.at < when(before))).rowcount for table in (receipts, attempts)
    )


_INSERT: Final = insert(receipts)


def _attempt(arrival: str, recipient: str, handler: str) -> tuple[Any, ...]:
    c = attempts.c
    return (c.arrival == arrival, c.recipient == recipient, c.handler == handler)


def _values(receipt: Receipt) -> dict[str, Any]:
    reply = receipt.reply
    return {
        "recipient": receipt.recipient,
        "fate": str(receipt.fate),
        "result": {
            "edits": [edit.as_dict() for edit in receipt.edits],
            "reply": [reply.code, reply.status, reply.text] if reply else None,
            "results": json.loads(json.dumps(dict(receipt.results), default=str, skipkeys=True)),
        },
        "noticed": receipt.noticed,
    }


def _read(row: Any) -> Receipt:
    result = row["result"]
    return Receipt(
        recipient=row["recipient"],
        fate=Fate(row["fate"]),
        edits=tuple(Edit.from_dict(edit) for edit in result["edits"]),
        reply=Reply(*result["reply"]) if result["reply"] else None,
        noticed=row["noticed"],
        results=result.get("results", {}),
    )
