"""Engines: how a connection to the database behaves.

SQLite (WAL, synchronous=FULL) with the driver in autocommit and `BEGIN IMMEDIATE` for every
transaction: the driver's own default loses updates, and a deferred BEGIN that writes after another's
commit is BUSY at once. A connection with the execution option `reads=True` opens no transaction at all.
One whose file is no longer there is not used again.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from .guarded import GuardedConnection

BUSY_SECONDS = 30


class StoreError(Exception):
    """The store cannot be opened as configured; the text says why and how to mend it."""


def open_engine(url: str, *, synchronous: str = "FULL") -> Engine:
    """An engine for a database URL. Nothing is connected yet. Raises StoreError."""
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreError(f"[store] url: {error}") from error  # without the URL: it may hold a password
    if backend != "sqlite":
        raise StoreError(
            f"[store] url: this release keeps its store in SQLite (sqlite:////a/file.db), not in {backend}"
        )
    return _sqlite(url, parsed.database, synchronous)


def is_store_failure(error: BaseException) -> bool:
    """Whether an exception says that the database is gone, locked or full, and not that a statement is wrong."""
    if isinstance(error, StoreError | PoolTimeout):
        return True
    # "no such table" is an OperationalError as well, so the class does not tell.
    code = getattr(error.orig, "sqlite_errorcode", 0) if isinstance(error, DBAPIError) else 0
    return code & 0xFF in _OUT_OF_REACH


_OUT_OF_REACH: Final = {
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOTADB,
}  # fmt: skip


def _sqlite(url: str, path: str | None, synchronous: str) -> Engine:
    if not path or path == ":memory:" or path.startswith("file:"):
        raise StoreError(f"[store] url {url!r}: name a file, since several connections share the store")
    _make_file(Path(path), url)
    # Sized so that a connection is never waited for: each door thread holds at most two.
    driver = {"timeout": BUSY_SECONDS, "factory": GuardedConnection}
    engine = create_engine(url, pool_size=16, max_overflow=1000, connect_args=driver)

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


def _make_file(path: Path, url: str) -> None:
    """Create the database file, readable by its owner only: it holds mail."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"[store] url {url!r}: {error.strerror}: {error.filename}") from error


def raw(connection: Connection) -> GuardedConnection:
    """The driver's connection."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, GuardedConnection)
    return driver
