"""Revisions make what the code has; a schema that is not current is refused, and `upgrade` mends it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from penstock.filter.handler import Tables
from penstock.filter.store import Store, StoreError, schemas, upgrading
from penstock.filter.store.schemas import State
from sqlalchemy import Column, Integer, MetaData, String, Table, Text, inspect

DATABASES = ["sqlite", "postgresql"]

FIRST = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "0001", None
def upgrade():
    op.create_table("club_members", sa.Column("address", sa.String(320), primary_key=True))
"""

SECOND = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "0002", "0001"
def upgrade():
    op.add_column("club_members", sa.Column("name", sa.Text()))
"""

BROKEN = """
from alembic import op
revision, down_revision = "0003", "0002"
def upgrade():
    op.drop_table("club_members")
    op.drop_table("there_is_none")
"""


@pytest.fixture
def store(database: Callable[[], str]) -> Iterator[Store]:
    store = Store(database())
    yield store
    store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The revisions of a handler's tables: the first two."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_first.py").write_text(FIRST)
    (folder / "0002_second.py").write_text(SECOND)
    return folder


def club(folder: Path | None, *more: Any) -> Tables:
    """The tables of a handler called club."""
    metadata = MetaData()
    Table("club_members", metadata, Column("address", String(320), primary_key=True), Column("name", Text), *more)
    return Tables("club", metadata, folder)


def states(store: Store, *tables: Tables) -> dict[str, str]:
    found = {}
    for branch in store.branches(*tables):
        with branch.database.reading() as connection:
            found[branch.name] = str(schemas.find(branch, connection).state)
    return found


def columns(store: Store, table: str) -> set[str]:
    with store._database.reading() as connection:
        return {column["name"] for column in inspect(connection).get_columns(table)}


def run(store: Store, number: int, *tables: Tables) -> None:
    """Bring the branch of a handler as far as this revision, as an older release did."""
    branch = store.branches(*tables)[-1]
    with branch.database.migrating() as connection:
        upgrading.command.upgrade(upgrading._config(branch, connection), f"{number:04}")


def test_all_revisions_together_make_the_tables_of_the_code(store: Store) -> None:
    """Where this fails, write a revision: `penstock db revision penstock` (or penstock_ledger) does, in the tree."""
    for branch in store.branches():
        with branch.database.migrating() as connection:
            assert upgrading.differences(branch, connection) == []


def test_where_nothing_is_there_everything_is_made_and_current(store: Store, folder: Path) -> None:
    assert set(states(store, club(folder)).values()) == {State.MISSING}
    store.create(club(folder))
    assert set(states(store, club(folder)).values()) == {State.CURRENT}
    assert columns(store, "club_members") == {"address", "name"}
    store.prepare(club(folder))


def test_several_that_start_at_once_make_it_once(database: Callable[[], str], folder: Path) -> None:
    url = database()
    stores = [Store(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda store: store.create(club(folder)), stores))
    assert set(states(stores[0], club(folder)).values()) == {State.CURRENT}
    for store in stores:
        store.close()


def test_a_service_makes_what_is_missing_on_sqlite_alone(store: Store, folder: Path, request: Any) -> None:
    if "sqlite" in request.node.callspec.id:
        store.prepare(club(folder))
        return
    with pytest.raises(StoreError, match=r"there are none yet.*penstock db upgrade"):
        store.prepare(club(folder))
    for branch in store.branches(club(folder)):
        upgrading.upgrade(branch)
    store.prepare(club(folder))


def test_an_older_schema_is_refused_and_upgraded(store: Store, folder: Path) -> None:
    store.create()
    run(store, 1, club(folder))
    with pytest.raises(StoreError, match=r"club: 0001, and not 0002\); mend it with: penstock db upgrade"):
        store.prepare(club(folder))
    before, after = upgrading.upgrade(store.branches(club(folder))[-1])
    assert (before.state, before.revision, after.state, after.revision) == ("older", "0001", "current", "0002")
    store.prepare(club(folder))
    assert columns(store, "club_members") == {"address", "name"}


def test_a_revision_that_fails_leaves_everything_as_it_was(store: Store, folder: Path) -> None:
    store.create(club(folder))
    (folder / "0003_broken.py").write_text(BROKEN)
    with pytest.raises(Exception, match="there_is_none"):
        upgrading.upgrade(store.branches(club(folder))[-1])
    assert states(store, club(folder))["club"] == State.OLDER
    assert columns(store, "club_members") == {"address", "name"}


def test_a_later_release_was_here(store: Store, folder: Path) -> None:
    store.create(club(folder))
    (folder / "0002_second.py").unlink()
    with pytest.raises(StoreError, match="made by a later release"):
        store.prepare(club(folder))
    with pytest.raises(StoreError, match="made by a later release"):
        upgrading.upgrade(store.branches(club(folder))[-1])


def test_tables_from_before_there_were_revisions_are_taken_over(store: Store, folder: Path) -> None:
    for branch in store.branches(club(folder)):
        run_first(branch)
    assert set(states(store, club(folder)).values()) == {State.UNTRACKED}
    with pytest.raises(StoreError, match=r"made before there were revisions.*penstock db upgrade"):
        store.prepare(club(folder))
    for branch in store.branches(club(folder)):
        upgrading.upgrade(branch)
    store.prepare(club(folder))
    assert columns(store, "club_members") == {"address", "name"}


def run_first(branch: schemas.Branch) -> None:
    with branch.database.migrating() as connection:
        upgrading.command.upgrade(upgrading._config(branch, connection), "0001")
        branch.version_table.drop(connection)


def test_tables_that_are_not_those_of_the_first_revision_are_not(store: Store, folder: Path) -> None:
    club(None, Column("extra", Integer)).metadata.create_all(store._database.engine)
    with pytest.raises(StoreError, match="club_members differ"):
        upgrading.upgrade(store.branches(club(folder))[-1])
    assert states(store, club(folder))["club"] == State.UNTRACKED


def test_a_handler_without_revisions_has_its_missing_tables_made(store: Store) -> None:
    store.create(club(None))
    store.prepare(club(None))
    wider = club(None)
    Table("club_posts", wider.metadata, Column("id", Integer, primary_key=True))
    assert states(store, wider)["club"] == State.MISSING
    store.create(wider)
    assert states(store, wider)["club"] == State.CURRENT


def test_a_handler_that_is_gone_leaves_its_tables_and_is_no_hindrance(store: Store, folder: Path) -> None:
    store.create(club(folder))
    store.prepare()
    store.prepare(club(folder))


def test_a_revision_is_written_from_the_code_and_none_where_nothing_changed(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    branch = store.branches(club(folder))[-1]
    path = upgrading.write_revision(branch, "Who is in it")
    assert path is not None
    assert path.name == "0001_who_is_in_it.py"
    assert upgrading.write_revision(branch, "again") is None
    wider = store.branches(club(folder, Column("since", Integer)))[-1]
    assert upgrading.write_revision(wider, "since when") == folder / "0002_since_when.py"
    store.create(club(folder))
    assert columns(store, "club_members") == {"address", "name"}
    assert upgrading.upgrade(wider)[1].state == State.CURRENT


def test_a_handler_that_names_no_folder_is_told_how(store: Store) -> None:
    with pytest.raises(StoreError, match='migrations = "migrations"'):
        upgrading.write_revision(store.branches(club(None))[-1], "x")
