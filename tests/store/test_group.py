"""Group commit: what comes while the database is busy is written together; who fails, fails alone."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from penstock.filter.store.failures import Clash, StoreError
from penstock.filter.store.group import Group
from penstock.filter.store.opening import open_databases
from penstock.filter.store.sqlite import SQLite
from sqlalchemy import Connection, event, text

CREATE = "CREATE TABLE t (number INTEGER PRIMARY KEY)"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SQLite]:
    database, ledger = open_databases(f"sqlite:///{tmp_path}/store.db")
    assert isinstance(database, SQLite)
    with database.writing() as connection:
        connection.execute(text(CREATE))
    yield database
    database.close()
    ledger.close()


@pytest.fixture
def commits(database: SQLite) -> list[object]:
    """Grows with each commit."""
    seen: list[object] = []
    event.listen(database.engine, "commit", seen.append)
    return seen


def put(number: int) -> Callable[[Connection], None]:
    def change(connection: Connection) -> None:
        connection.execute(text("INSERT INTO t VALUES (:number)"), {"number": number})
        if number < 0:
            raise Clash(f"{number}")

    return change


def stored(database: SQLite) -> list[int]:
    with database.reading() as connection:
        return list(connection.execute(text("SELECT number FROM t ORDER BY number")).scalars())


def together(database: SQLite, group: Group, numbers: list[int]) -> list[BaseException | None]:
    """Lay down all of these while the database is busy; returns what each came to."""

    def apply(number: int) -> BaseException | None:
        try:
            group.apply(put(number))
        except (Clash, StoreError) as error:
            return error
        return None

    busy = database.begin(())
    with ThreadPoolExecutor(len(numbers)) as threads:
        futures = [threads.submit(apply, number) for number in numbers]
        while len(group._waiting) < len(numbers):
            threading.Event().wait(0.001)
        database.end(busy)
        return [future.result(20) for future in futures]


def test_all_that_waits_is_one_transaction(database: SQLite, commits: list[object]) -> None:
    assert together(database, Group(database), list(range(8))) == [None] * 8
    assert stored(database) == list(range(8))
    assert len(commits) == 1


def test_one_that_fails_fails_alone(database: SQLite) -> None:
    came = together(database, Group(database), [1, -2, 3, -4, 5])
    assert [type(each) for each in came] == [type(None), Clash, type(None), Clash, type(None)]
    assert stored(database) == [1, 3, 5]


def test_a_turn_that_does_not_come_is_everyones_failure(database: SQLite, monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group(database)
    begin, tried = database.begin, threading.Event()

    def fail(keys: object) -> Connection:
        tried.wait(10)
        raise StoreError("no turn")

    monkeypatch.setattr(database, "begin", fail)
    with ThreadPoolExecutor(3) as threads:
        futures = [threads.submit(group.apply, put(number)) for number in range(3)]
        while len(group._waiting) < 3:
            threading.Event().wait(0.001)
        tried.set()
        assert [type(future.exception(20)) for future in futures] == [StoreError] * 3
    monkeypatch.setattr(database, "begin", begin)
    group.apply(put(7))
    assert stored(database) == [7]
