"""What an error of the database means: the store failed, another was quicker, or a statement is wrong.

A store that is gone, locked or full is a 451 and never counts against a handler; a wrong statement is the handler's
error. The classes of DB-API do not tell ("no such table" is an OperationalError on SQLite), so the codes decide:
SQLite's result codes, and PostgreSQL's SQLSTATE.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout


class StoreError(Exception):
    """The store cannot be used as configured, or not now; the text says why and how to mend it."""


class Clash(Exception):
    """Someone else changed what this decision was made on; decide again on fresh copies."""


def is_store_failure(error: BaseException) -> bool:
    """Whether an exception says that the database is gone, locked or full, and not that a statement is wrong."""
    if isinstance(error, StoreError | PoolTimeout) or getattr(error, "connection_invalidated", False):
        return True
    driver = _driver_error(error)
    if isinstance(driver, sqlite3.Error):
        return getattr(driver, "sqlite_errorcode", 0) & 0xFF in _SQLITE
    return hasattr(driver, "sqlstate") and _is_failure(getattr(driver, "sqlstate", None), type(driver).__name__)


def is_clash(error: BaseException) -> bool:
    """Whether an exception says that two transactions met, and that this one is to be run anew."""
    return isinstance(error, Clash) or getattr(_driver_error(error), "sqlstate", None) in _CLASHES


def is_duplicate(error: BaseException) -> bool:
    """Whether PostgreSQL found a row in the way. The transaction may not see it: then it has come since it began."""
    return getattr(_driver_error(error), "sqlstate", None) in _DUPLICATES


_SQLITE: Final = {
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOTADB,
}  # fmt: skip

_CLASSES: Final = {
    "08",  # the connection broke
    "28",  # the password is not taken
    "3D",  # there is no such database
    "53",  # out of disk, memory, or connections
    "57",  # shut down, crashed, or starting
    "58",  # the server's file system failed
    "F0",  # its configuration is in doubt
    "XX",  # its data are
}
_STATES: Final = {
    "25006",  # read only: a standby, or a disk that is nearly full
    "25P03",  # our session waited too long within a transaction
    "42501",  # no right
    "55P03",  # a lock was not to be had in time
}

_CLASHES: Final = {"40001", "40P01"}  # serialisation, deadlock
_DUPLICATES: Final = {"23503", "23505", "23P01"}  # foreign key, unique, exclusion


def _driver_error(error: BaseException) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error


def _is_failure(sqlstate: str | None, kind: str) -> bool:
    """psycopg gives no SQLSTATE where there was no server to give one."""
    if sqlstate is None:
        return kind in ("OperationalError", "ConnectionTimeout", "CancellationTimeout")
    return sqlstate[:2] in _CLASSES or sqlstate in _STATES
