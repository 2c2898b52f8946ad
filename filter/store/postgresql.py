"""PostgreSQL (psycopg 3): one database for several hosts.

The driver is in autocommit, and each transaction begins with its isolation spelled out. A unit of work first takes
session advisory locks on its conversations, in one order for all, and only then begins, in REPEATABLE READ: so its
snapshot is younger than its locks, and two that meet on a conversation come one after the other. With SERIALIZABLE,
or with the locks taken inside, the second would work on an old snapshot and fail. What the locks do not cover (rows
of a handler's own, recipients that come later) is found by the version check or by the server, and run anew.

After a restart of the server the first statement of a process finds its connection dead, and the pool then throws
away all that are older. It costs no query to find out, as a ping at each checkout would.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from ..effects import Key
from .database import PATIENCE, Change, Database
from .failures import StoreError
from .rows import key_text

log = logging.getLogger("penstock")

UNIT: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ"
SHORT: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"

CANCELLING: Final = 5.0
"""Seconds for which a statement is waited for that was told to end."""


class PostgreSQL(Database):
    """A database on a server."""

    insert = staticmethod(insert)
    patience = 1  # only who wants the same conversations waits meanwhile

    def __init__(self, url: URL, *, connections: int, synchronous: bool = True) -> None:
        """At most so many `connections`; more are waited for. Raises StoreError where psycopg is missing."""
        super().__init__(_engine(url, connections, synchronous))

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        with self.writing() as connection:
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
            if encoding != "UTF8":
                raise StoreError(f"[store] url: the database's encoding is {encoding}; make one with ENCODING 'UTF8'")
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION,))
            yield connection

    def apply(self, keys: Iterable[Key], change: Change) -> None:
        keys = tuple(keys)
        if not keys:
            with self.writing() as connection:
                change(connection)
            return
        connection = self.begin(keys)
        try:
            change(connection)
            connection.commit()
        finally:
            self.end(connection)

    def begin(self, keys: Iterable[Key]) -> Connection:
        connection = self.reading()
        try:
            if locks := sorted({lock_number(key) for key in keys}):
                connection.execution_options(locked=True)  # said before: some may be taken when the wait is over
                connection.exec_driver_sql(_LOCK, (locks,))
                connection.commit()
            connection.execution_options(reads=False, begin=UNIT)
            connection.begin()
        except BaseException:
            self.end(connection)
            raise
        return connection

    def end(self, connection: Connection) -> None:
        try:
            if connection.get_execution_options().get("locked") and not connection.invalidated:
                connection.rollback()
                connection.execution_options(reads=True).exec_driver_sql(_UNLOCK)
        except SQLAlchemyError as error:
            log.warning("a connection to the database broke: %s", error)
            connection.invalidate()  # its locks go with it
        finally:
            connection.close()

    def take_away(self, connection: Connection) -> None:
        """A statement that runs is cancelled first: closing a connection under one is not safe."""
        driver: Any = connection.connection.driver_connection
        over = time.monotonic() + CANCELLING
        while time.monotonic() < over:
            try:
                driver.cancel_safe(timeout=CANCELLING)
            except Exception as error:
                log.warning("a statement could not be cancelled: %s", error)
            if driver.lock.acquire(timeout=0.05):
                try:
                    connection.invalidate()
                finally:
                    driver.lock.release()
                return
        log.error("a statement does not end; its connection is left to it")
        connection.detach()


def lock_number(key: Key) -> int:
    """The number that stands for a conversation among the advisory locks, the same on all hosts."""
    text = "\0".join(("penstock", key.handler, key_text(key.sender), key_text(key.resource)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


_MIGRATION: Final = lock_number(Key("penstock", "", "migration"))
_LOCK: Final = "SELECT pg_advisory_lock(number) FROM unnest(%s::bigint[]) AS number"
_UNLOCK: Final = "SELECT pg_advisory_unlock_all()"

_OPTIONS: Final = {
    "application_name": "penstock",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""What libpq is told unless the URL says otherwise: a host that is gone is noticed within half a minute."""


def _engine(url: URL, connections: int, synchronous: bool) -> Engine:
    options: dict[str, Any] = {name: value for name, value in _OPTIONS.items() if name not in url.query}
    try:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"), pool_size=connections, max_overflow=0, pool_timeout=PATIENCE,
            pool_use_lifo=True, use_native_hstore=False, hide_parameters=True,
            connect_args={**options, "autocommit": True},
        )  # fmt: skip
    except ImportError as error:
        raise StoreError(
            f"[store] url: PostgreSQL needs psycopg, which does not import ({error}); "
            "install it with: pip install 'penstock[postgresql]'"
        ) from error

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.execute(f"SET lock_timeout = '{PATIENCE}s'")
        if not synchronous:
            connection.execute("SET synchronous_commit = off")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if not options.get("reads"):
            connection.exec_driver_sql(options.get("begin", SHORT))

    return engine
