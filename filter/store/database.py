"""A database as the store uses it: everything in which SQLite and PostgreSQL differ, and nothing else.

There are three ways in. *Reading* opens no transaction at all. *Writing* is one short transaction. A *unit of work*
is a transaction for which it is known which conversations it concerns; it may stay open while a handler uses
`mail.db`, and another thread may take it away.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table

from ..effects import Key

PATIENCE: Final = 30
"""Seconds for which a turn at the database, a lock, or a connection is waited for."""

Change = Callable[[Connection], object]
"""What is written in one transaction; it may be called again where that transaction was undone."""


class Database(ABC):
    """One database. Nothing connects before it is used, so a process may fork until then."""

    insert: Callable[[Table], Any]
    """This database's INSERT, which knows `on_conflict_do_update`."""

    patience: int
    """After how many clashes a unit of work has its transaction from the start."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def carry(self, **options: Any) -> None:
        """Execution options that all connections have from now on."""
        self.engine = self.engine.execution_options(**options)

    def reading(self) -> Connection:
        """A connection without a transaction: each statement sees what is committed when it begins."""
        return self.engine.connect().execution_options(reads=True)

    @abstractmethod
    def writing(self) -> AbstractContextManager[Connection]:
        """One short transaction, committed at the end of the block."""

    @abstractmethod
    def migrating(self) -> AbstractContextManager[Connection]:
        """One transaction that may change tables, and of which there is one at a time, whatever the number of hosts."""

    @abstractmethod
    def apply(self, keys: Iterable[Key], change: Change) -> None:
        """Write a change that concerns these conversations, in a transaction of its own or with others' changes.

        Raises what `change` raises, and what the database raises; then nothing is written.
        """

    @abstractmethod
    def begin(self, keys: Iterable[Key]) -> Connection:
        """Begin a unit of work on these conversations: a connection in a transaction. It is given back to `end`."""

    @abstractmethod
    def end(self, connection: Connection) -> None:
        """Undo what is not committed, and let the next one in."""

    @abstractmethod
    def take_away(self, connection: Connection) -> None:
        """`end`, from another thread than the one that uses the connection, and may still do so."""

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
