"""The ledger: counters and values that are kept whatever the verdict, at least once.

It has its own connections, and on SQLite its own file: it is written while `mail.db` may hold the store's
only write transaction, which a second one in the same thread would wait for for ever. A power failure
may cost the last moments of it (synchronous=NORMAL), a crash of penstock nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Protocol

from sqlalchemy import BigInteger, Column, Executable, Float, MetaData, String, Table, Text, case, delete, select

from ..quantities import duration
from .database import Database
from .rows import key_text, storable, when

metadata: Final = MetaData()

counters: Final = Table(
    "penstock_counters",
    metadata,
    Column("name", String(512), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("since", Float, nullable=False),
    Column("until", Float, index=True),
)

values: Final = Table(
    "penstock_values",
    metadata,
    Column("name", String(512), primary_key=True),
    Column("value", Text, nullable=False),
    Column("until", Float, index=True),
)


class Book(Protocol):
    """Where a ledger writes: the tables, or a draft of what is to be written."""

    def page(self, owner: str, now: datetime) -> Ledger: ...

    def add(self, name: str, n: int, now: datetime, window: timedelta | None) -> int: ...

    def count(self, name: str, now: datetime) -> int: ...

    def get(self, name: str, now: datetime) -> str | None: ...

    def set(self, name: str, value: str, now: datetime, life: timedelta | None) -> None: ...


class Ledger:
    """The ledger as one run sees it, at one moment, under the names of one handler."""

    def __init__(self, book: Book, owner: str, now: datetime) -> None:
        self._book = book
        self._owner = owner
        self._now = now

    def add(self, name: str, n: int = 1, window: str | timedelta | None = None) -> int:
        """Count `n` more, and return the count. With `window` ("1h") the count starts anew when the window is over."""
        return self._book.add(self._named(name), n, self._now, _span(window))

    def count(self, name: str) -> int:
        """The count now; 0 where nothing was counted, or its window is over."""
        return self._book.count(self._named(name), self._now)

    def get(self, name: str) -> str | None:
        """The value kept under a name, or None."""
        return self._book.get(self._named(name), self._now)

    def set(self, name: str, value: str, life: str | timedelta | None = None) -> None:
        """Keep a value under a name, for ever or for `life` ("35d")."""
        self._book.set(self._named(name), value, self._now, _span(life))

    def _named(self, name: str) -> str:
        """As the database takes it: names hold addresses, and those may be long, or hold what is no text."""
        return key_text(f"{self._owner}:{name}")


class LedgerBook:
    """The ledger's tables. Every call is one short transaction."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._adding = _adding(database)
        self._setting = _setting(database)

    def page(self, owner: str, now: datetime) -> Ledger:
        """The ledger for one run of the handler `owner`."""
        return Ledger(self, owner, now)

    def add(self, name: str, n: int, now: datetime, window: timedelta | None) -> int:
        row = {"name": name, "count": n, "since": when(now), "until": when(now + window) if window else None}
        with self.database.writing() as connection:
            return int(connection.execute(self._adding, row).scalar_one())

    def count(self, name: str, now: datetime) -> int:
        with self.database.reading() as connection:
            row = connection.execute(select(counters.c.count, counters.c.until).where(counters.c.name == name)).first()
        return 0 if row is None or (row[1] is not None and row[1] <= when(now)) else int(row[0])

    def get(self, name: str, now: datetime) -> str | None:
        with self.database.reading() as connection:
            row = connection.execute(select(values.c.value, values.c.until).where(values.c.name == name)).first()
        return None if row is None or (row.until is not None and row.until <= when(now)) else str(row.value)

    def set(self, name: str, value: str, now: datetime, life: timedelta | None) -> None:
        row = {"name": name, "value": storable(value), "until": when(now + life) if life is not None else None}
        with self.database.writing() as connection:
            connection.execute(self._setting, row)

    def counters(self, owner: str) -> dict[str, int]:
        """All counts of a handler, by name."""
        with self.database.reading() as connection:
            rows = connection.execute(
                select(counters.c.name, counters.c.count).where(
                    counters.c.name.startswith(f"{owner}:", autoescape=True)
                )
            )
            return {name.partition(":")[2]: count for name, count in rows}

    def expire(self, now: datetime) -> int:
        """Delete counts whose window is over and values whose life is; returns how many."""
        with self.database.writing() as connection:
            return sum(
                connection.execute(delete(table).where(table.c.until <= when(now))).rowcount
                for table in (counters, values)
            )

    def close(self) -> None:
        """Close all connections."""
        self.database.close()


def _span(given: str | timedelta | None) -> timedelta | None:
    return duration(given) if isinstance(given, str) else given


def _adding(database: Database) -> Executable:
    """Count more, in one statement, so that no two lose a count; a count whose window is over starts anew."""
    new = database.insert(counters)
    over = counters.c.until <= new.excluded.since
    anew = {
        "count": case((over, new.excluded.count), else_=counters.c.count + new.excluded.count),
        "since": case((over, new.excluded.since), else_=counters.c.since),
        "until": case((over, new.excluded.until), else_=counters.c.until),
    }
    counted: Executable = new.on_conflict_do_update(index_elements=["name"], set_=anew).returning(counters.c.count)
    return counted


def _setting(database: Database) -> Executable:
    new = database.insert(values)
    anew = {"value": new.excluded.value, "until": new.excluded.until}
    set_: Executable = new.on_conflict_do_update(index_elements=["name"], set_=anew)
    return set_
