"""`penstock db`: revisions are run, taken over, and written. Alembic does it, in one transaction a branch."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, inspect

from .failures import StoreError
from .schemas import Branch, Found, State, find, make

Columns = dict[str, set[str]]
"""The names of columns, by table."""


def upgrade(branch: Branch) -> tuple[Found, Found]:
    """Bring a branch to its last revision; returns how it was found and how it is now.

    Tables that were made before there were revisions are taken over where they are those of the first one. Raises
    StoreError where they are not, and for a database of a later release; then nothing is changed.
    """
    with branch.database.migrating() as connection:
        before = find(branch, connection)
        if before.state is State.NEWER:
            raise StoreError(f"{before}: the database was made by a later release; install that one again")
        if before.state is State.MISSING:
            make(branch, connection)
        elif before.state is not State.CURRENT:
            config = _config(branch, connection)
            if before.state is State.UNTRACKED:
                _take_over(branch, connection, config)
            command.upgrade(config, "head")
        return before, find(branch, connection)


def write_revision(branch: Branch, message: str) -> Path | None:
    """Write the revision that leads from the last one to the tables as the code has them; returns the file.

    None where there is no difference. Raises StoreError for a branch without a folder for revisions.
    """
    if branch.revisions is None:
        raise StoreError(
            f'{branch.name} names no folder for its revisions: write migrations = "migrations" beside metadata'
        )
    branch.revisions.mkdir(exist_ok=True)
    number = f"{int(branch.head or 0) + 1:04}"
    with _scratch() as connection:
        config = _config(branch, connection)
        try:
            command.upgrade(config, "head")
            command.revision(
                config, message, autogenerate=True, rev_id=number, process_revision_directives=_none_if_empty
            )
        except CommandError as error:
            raise StoreError(f"{branch.revisions}: {error}") from error
    return next(branch.revisions.glob(f"{number}_*.py"), None)


def differences(branch: Branch, connection: Connection) -> list[Any]:
    """What all revisions, run on an empty database, make otherwise than the code has it; for a test of them."""
    command.upgrade(_config(branch, connection), "head")
    options = {
        "version_table": branch.version_table.name,
        "compare_type": True,
        "include_name": lambda name, kind, _: kind != "table" or name in branch.metadata.tables,
    }
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), branch.metadata))


def _config(branch: Branch, connection: Connection) -> Config:
    config = Config(cmd_opts=Namespace(quiet=True))
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("version_locations", str(branch.revisions).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes.update(
        connection=connection, metadata=branch.metadata, version_table=branch.version_table.name
    )
    return config


def _take_over(branch: Branch, connection: Connection, config: Config) -> None:
    first = branch.known[0]
    with _scratch() as scratch:
        command.upgrade(_config(branch, scratch), first)
        wanted = _columns(scratch, branch)
    there = _columns(connection, branch)
    wrong = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
    if wrong:
        raise StoreError(
            f"the tables of {branch.name} were made before there were revisions, and are not those of revision "
            f"{first}: {', '.join(wrong)} differ; make them equal, or move them away"
        )
    command.stamp(config, first)


def _columns(connection: Connection, branch: Branch) -> Columns:
    found = inspect(connection)
    names = set(found.get_table_names()) - {branch.version_table.name}
    ours = {name for name in names if name in branch.metadata.tables}
    return {name: {column["name"] for column in found.get_columns(name)} for name in ours}


@contextmanager
def _scratch() -> Iterator[Connection]:
    """A database in memory, in a transaction."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def _none_if_empty(context: Any, revision: Any, directives: list[Any]) -> None:
    if directives[0].upgrade_ops.is_empty():
        directives.clear()
