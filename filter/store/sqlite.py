"""SQLite: a file, one writer at a time, and nothing to look after.

WAL, synchronous=FULL, with the driver in autocommit and `BEGIN IMMEDIATE` for every transaction: the driver's own
default loses updates, and a deferred BEGIN that writes after another's commit is BUSY at once. Within the process the
writers queue up behind a fair lock, for SQLite's own waiting is a poll in which the unlucky starve. A connection whose
file is no longer there is not used again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DisconnectionError

from ..effects import Key
from .database import PATIENCE, Change, Database
from .failures import StoreError
from .group import Group
from .guarded import GuardedConnection
from .lock import FairLock


class SQLite(Database):
    """A database file."""

    insert = staticmethod(insert)
    patience = 3  # all other writers wait meanwhile

    def __init__(self, url: URL, *, synchronous: str = "FULL") -> None:
        """Makes the file if it is not there, readable by its owner only. Raises StoreError."""
        super().__init__(_engine(url, synchronous))
        self._lock = FairLock()
        self._group = Group(self)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        connection = self.begin(())
        try:
            yield connection
            connection.commit()
        finally:
            self.end(connection)

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        with self.reading() as connection:
            try:
                connection.exec_driver_sql("PRAGMA foreign_keys = OFF")  # a table is altered by making another
                connection.commit()
                with connection.execution_options(reads=False).begin():
                    yield connection
            finally:
                connection.invalidate()

    def apply(self, keys: Iterable[Key], change: Change) -> None:
        self._group.apply(change)

    def begin(self, keys: Iterable[Key]) -> Connection:
        if not self._lock.acquire(PATIENCE):
            raise StoreError(f"no turn at the database in {PATIENCE} s; a handler keeps mail.db too long")
        try:
            connection = self.engine.connect()
            try:
                connection.begin()
            except BaseException:
                connection.close()
                raise
        except BaseException:
            self._lock.release()
            raise
        return connection

    def end(self, connection: Connection) -> None:
        try:
            connection.close()
        finally:
            self._lock.release()

    def take_away(self, connection: Connection) -> None:
        try:
            raw(connection).take_away()
            connection.invalidate()
        finally:
            self._lock.release()


def raw(connection: Connection) -> GuardedConnection:
    """The driver's connection."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, GuardedConnection)
    return driver


def _engine(url: URL, synchronous: str) -> Engine:
    path = url.database
    if not path or path == ":memory:" or path.startswith("file:"):
        raise StoreError(f"[store] url {str(url)!r}: name a file, since several connections share the store")
    _make_file(Path(path), url)
    # Sized so that a connection is never waited for: each door thread holds at most two.
    driver = {"timeout": PATIENCE, "factory": GuardedConnection}
    engine = create_engine(url, pool_size=16, max_overflow=1000, connect_args=driver, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "checkout")
    def check(connection: GuardedConnection, _: object, __: object) -> None:
        if not connection.is_current:
            raise DisconnectionError(f"{path} was deleted or replaced")  # the pool opens what is there now

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if not connection.get_execution_options().get("reads"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _make_file(path: Path, url: URL) -> None:
    """Create the database file, readable by its owner only: it holds mail."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"[store] url {str(url)!r}: {error.strerror}: {error.filename}") from error
