"""Which tables there must be, and whether the database has them as this code needs them.

A *branch* is tables that change together: the core's, the ledger's, and those of each handler. Its history is a folder
of Alembic revisions in a single line, numbered by their file names (`0001_first.py`, revision "0001"), and a table of
the branch's own says how far the database is. A handler that is no longer configured leaves its branch alone, and one
that comes new does not move the others.

A branch of which nothing is there is made whole, from the tables as the code has them; a test keeps that equal to
running all revisions. So Alembic, slow to import, is needed by `penstock db` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select

from ..handler import Tables
from .database import Database
from .failures import StoreError
from .ledger import metadata as ledger_tables
from .schema import metadata as core_tables

CORE: Final = "penstock"
LEDGER: Final = "penstock_ledger"

MEND: Final = "penstock db upgrade"
"""The command that mends a schema."""


class State(StrEnum):
    """How a branch is found in the database."""

    CURRENT = "current"
    MISSING = "missing"
    """Nothing of it is there; without a history: something is missing."""
    OLDER = "older"
    UNTRACKED = "untracked"
    """Its tables are there, and nothing says in which form."""
    NEWER = "newer"
    """A later release of the code was here."""


@dataclass(frozen=True, slots=True)
class Branch:
    """Tables with one history, in one database. Without `revisions` they have none: they are only ever made."""

    name: str
    metadata: MetaData
    revisions: Path | None
    database: Database

    @property
    def head(self) -> str | None:
        """The last revision that the code has."""
        return max(self.known, default=None)

    @property
    def known(self) -> list[str]:
        """All revisions that the code has, in order."""
        if self.revisions is None:
            return []
        return sorted(path.name.partition("_")[0] for path in self.revisions.glob("[0-9]*_*.py"))

    @property
    def version_table(self) -> Table:
        """Where the database says at which revision the branch is; in Alembic's form."""
        number = Column("version_num", String(32), primary_key=True)
        return Table(f"{self.name}_revision", MetaData(), number)


@dataclass(frozen=True, slots=True)
class Found:
    """A branch as it is found: at which revision (None where nothing says so), and the names of its tables."""

    branch: Branch
    revision: str | None
    tables: frozenset[str]

    @property
    def state(self) -> State:
        branch = self.branch
        if branch.head is None:
            return State.CURRENT if self.tables == set(branch.metadata.tables) else State.MISSING
        if self.revision is None:
            return State.UNTRACKED if self.tables else State.MISSING
        if self.revision == branch.head:
            return State.CURRENT
        return State.OLDER if self.revision in branch.known else State.NEWER

    def __str__(self) -> str:
        name = {CORE: "the store", LEDGER: "the ledger"}.get(self.branch.name, f"the tables of {self.branch.name}")
        match self.state:
            case State.MISSING:
                return f"{name}: there are none yet"
            case State.UNTRACKED:
                return f"{name}: made before there were revisions"
            case State.CURRENT:
                return f"{name}: {self.revision or 'complete'}"
        return f"{name}: {self.revision}, and not {self.branch.head}"


def branches(store: Database, ledger: Database, tables: tuple[Tables, ...]) -> list[Branch]:
    """The branches of core and ledger, and one for each handler with tables."""
    here = Path(__file__).parent / "migrations"
    own = [
        Branch(CORE, core_tables, here / "core", store),
        Branch(LEDGER, ledger_tables, here / "ledger", ledger),
    ]
    return [*own, *(Branch(each.name, each.metadata, each.revisions, store) for each in tables)]


def find(branch: Branch, connection: Connection) -> Found:
    """How far the database is with a branch."""
    names = set(inspect(connection).get_table_names())
    table = branch.version_table
    revision = connection.execute(select(table.c.version_num)).scalar() if table.name in names else None
    return Found(branch, revision, frozenset(names & set(branch.metadata.tables)))


def check(found: list[Found]) -> None:
    """Raises StoreError where a branch is not as this code needs it."""
    wrong = [each for each in found if each.state is not State.CURRENT]
    if any(each.state is State.NEWER for each in wrong):
        newer = "; ".join(str(each) for each in wrong if each.state is State.NEWER)
        raise StoreError(f"[store] url: the database was made by a later release ({newer}); install that one again")
    if wrong:
        raise StoreError(
            f"[store] url: the database is not current ({'; '.join(map(str, wrong))}); mend it with: {MEND}"
        )


def make(branch: Branch, connection: Connection) -> None:
    """Make the tables that are missing, and say that they are as the code has them."""
    branch.metadata.create_all(connection, checkfirst=branch.head is None)  # to look at each takes long
    if branch.head is not None:
        table = branch.version_table
        table.create(connection, checkfirst=True)
        connection.execute(insert(table).values(version_num=branch.head))


def make_missing(branch: Branch) -> None:
    """Make a branch of which nothing is there; whoever comes second finds it made."""
    with branch.database.reading() as connection:
        if find(branch, connection).state is not State.MISSING:
            return
    with branch.database.migrating() as connection:
        if find(branch, connection).state is State.MISSING:
            make(branch, connection)
