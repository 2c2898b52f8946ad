"""One SQLite connection, safe to take away from the thread that uses it, and aware of its file.

A run that is over its time limit may be in the middle of a statement. The driver does not keep two threads apart on
one connection: closing it under a running statement crashes the whole process. So every call of ours goes through a
guard, and `take_away` interrupts, waits for the guard, undoes and closes; whatever comes later finds it closed.

A database file that was deleted or replaced lives on, unseen, for those who have it open, and what they commit is
lost with them. `is_current` tells.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar

Result = TypeVar("Result")

INTERRUPT_EVERY: Final = 0.05
"""Seconds between two interrupts: one that comes just before a statement begins does nothing to it."""


def _guarded(method: Callable[..., Result]) -> Callable[..., Result]:
    @wraps(method)
    def call(self: GuardedConnection | GuardedCursor, *args: Any, **kwargs: Any) -> Result:
        with self.guard:
            if self.is_taken_away:
                raise sqlite3.ProgrammingError("the run was given up, and its database connection taken away")
            return method(self, *args, **kwargs)

    return call


class GuardedCursor(sqlite3.Cursor):
    """A cursor of a guarded connection."""

    connection: GuardedConnection

    @property
    def guard(self) -> threading.RLock:
        return self.connection.guard

    @property
    def is_taken_away(self) -> bool:
        return self.connection.is_taken_away

    execute = _guarded(sqlite3.Cursor.execute)
    executemany = _guarded(sqlite3.Cursor.executemany)
    executescript = _guarded(sqlite3.Cursor.executescript)
    fetchone = _guarded(sqlite3.Cursor.fetchone)
    fetchmany = _guarded(sqlite3.Cursor.fetchmany)
    fetchall = _guarded(sqlite3.Cursor.fetchall)
    __next__ = _guarded(sqlite3.Cursor.__next__)


class GuardedConnection(sqlite3.Connection):
    """A connection to the database file at the path that it is given."""

    def __init__(self, database: str, *args: Any, **kwargs: Any) -> None:
        self.guard = threading.RLock()
        self.is_taken_away = False
        super().__init__(database, *args, **kwargs)
        self._path = database
        self._file = _identity(database)

    @property
    def is_current(self) -> bool:
        """Whether the file at the path is still the one that was opened."""
        return _identity(self._path) == self._file

    def cursor(self, factory: Any = GuardedCursor) -> Any:
        return super().cursor(factory)

    execute = _guarded(sqlite3.Connection.execute)
    commit = _guarded(sqlite3.Connection.commit)
    rollback = _guarded(sqlite3.Connection.rollback)

    def close(self) -> None:
        with self.guard:
            super().close()

    def take_away(self) -> None:
        """From any thread: break off what runs, undo the transaction, close."""
        self.is_taken_away = True
        self.interrupt()
        while not self.guard.acquire(timeout=INTERRUPT_EVERY):
            self.interrupt()
        try:
            super().rollback()
            super().close()
        finally:
            self.guard.release()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
