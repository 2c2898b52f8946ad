"""The ledger: counters and values that are kept whatever the verdict, at least once.

It has its own engine, and on SQLite its own file: it is written while `mail.db` may hold the store's
only write transaction, which a second one in the same thread would wait for for ever. A power failure
may cost the last moments of it (synchronous=NORMAL), a crash of penstock nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Protocol

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from ..quantities import duration
from .lock import FairLock
from .rows import storable, when

metadata: Final = MetaData()

counters: Final = Table(
    "penstock_counters",
    metadata,
    Column("name", String(512), primary_key=True),
    Column("count", Integer, nullable=False),
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
        """As the database takes it: names hold addresses, and an address may hold stray octets (as lone surrogates)."""
        return storable(f"{self._owner}:{name}")[:512]


class LedgerBook:
    """The ledger's tables. Every call is one short transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = FairLock()

    def create(self) -> None:
        """Make the tables where they are missing."""
        metadata.create_all(self._engine)

    def page(self, owner: str, now: datetime) -> Ledger:
        """The ledger for one run of the handler `owner`."""
        return Ledger(self, owner, now)

    def add(self, name: str, n: int, now: datetime, window: timedelta | None) -> int:
        with self._writing() as connection:
            row = connection.execute(select(counters).where(counters.c.name == name)).mappings().first()
            until = when(now + window) if window is not None else None
            if row is None:
                connection.execute(insert(counters).values(name=name, count=n, since=when(now), until=until))
                return n
            over = row["until"] is not None and row["until"] <= when(now)
            fresh = {"count": n, "since": when(now), "until": until} if over else {"count": row["count"] + n}
            connection.execute(update(counters).where(counters.c.name == name).values(fresh))
            return int(fresh["count"] or 0)

    def count(self, name: str, now: datetime) -> int:
        with self._engine.connect().execution_options(reads=True) as connection:
            row = connection.execute(select(counters.c.count, counters.c.until).where(counters.c.name == name)).first()
        return 0 if row is None or (row[1] is not None and row[1] <= when(now)) else int(row[0])

    def get(self, name: str, now: datetime) -> str | None:
        with self._engine.connect().execution_options(reads=True) as connection:
            row = connection.execute(select(values.c.value, values.c.until).where(values.c.name == name)).first()
        return None if row is None or (row.until is not None and row.until <= when(now)) else str(row.value)

    def set(self, name: str, value: str, now: datetime, life: timedelta | None) -> None:
        with self._writing() as connection:
            connection.execute(delete(values).where(values.c.name == name))
            until = when(now + life) if life is not None else None
            connection.execute(insert(values).values(name=name, value=value, until=until))

    def counters(self, owner: str) -> dict[str, int]:
        """All counts of a handler, by name."""
        with self._engine.connect().execution_options(reads=True) as connection:
            rows = connection.execute(
                select(counters.c.name, counters.c.count).where(
                    counters.c.name.startswith(f"{owner}:", autoescape=True)
                )
            )
            return {name.partition(":")[2]: count for name, count in rows}

    def expire(self, now: datetime) -> int:
        """Delete counts whose window is over and values whose life is; returns how many."""
        with self._writing() as connection:
            return sum(
                connection.execute(delete(table).where(table.c.until <= when(now))).rowcount
                for table in (counters, values)
            )

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _writing(self) -> _Writing:
        return _Writing(self._engine, self._lock)


def _span(given: str | timedelta | None) -> timedelta | None:
    return duration(given) if isinstance(given, str) else given


class _Writing:
    """A transaction behind the lock: within one process writers queue up in order, and never find SQLite busy."""

    def __init__(self, engine: Engine, lock: FairLock) -> None:
        self._engine = engine
        self._lock = lock

    def __enter__(self) -> Connection:
        self._lock.acquire()
        try:
            self._context = self._engine.begin()
            return self._context.__enter__()
        except BaseException:
            self._lock.release()
            raise

    def __exit__(self, *error: object) -> None:
        try:
            self._context.__exit__(*error)  # type: ignore[arg-type]
        finally:
            self._lock.release()
