"""What the store takes for its own failure, and what for a wrong statement."""

import sqlite3

import pytest
from penstock.filter.store import Store, StoreError, is_store_failure
from penstock.filter.store.opening import open_databases
from sqlalchemy import text
from sqlalchemy.exc import OperationalError


@pytest.fixture
def engine(tmp_path):
    engine = open_databases(f"sqlite:///{tmp_path}/one.db")[0].engine
    yield engine
    engine.dispose()


def test_a_wrong_statement_is_no_failure_of_the_store(engine):
    with engine.connect() as connection, pytest.raises(OperationalError) as error:
        connection.execute(text("SELECT * FROM nothing"))
    assert not is_store_failure(error.value)
    assert not is_store_failure(ValueError("no"))


def test_a_database_that_cannot_be_written_is(engine, tmp_path):
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (x)"))
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
        with pytest.raises(OperationalError) as error:
            connection.execute(text("INSERT INTO t VALUES (1)"))
        connection.exec_driver_sql("PRAGMA query_only = OFF")
    assert is_store_failure(error.value)


def test_a_full_database_is(engine):
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        with pytest.raises(OperationalError) as error:
            connection.execute(text("CREATE TABLE t (x)"))
    assert is_store_failure(error.value)


def test_a_file_that_is_no_database_is(tmp_path):
    (tmp_path / "not.db").write_bytes(b"no database at all, but long enough to be read as one" * 40)
    store = Store(f"sqlite:///{tmp_path}/not.db")
    with pytest.raises(Exception, match="not a database") as error:
        store.create()
    assert is_store_failure(error.value)
    store.close()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
        ("mysql://ann:secret@db/penstock", "kept in SQLite"),
        ("nothing like it", "url"),
    ],
)
def test_a_url_that_cannot_be_used_says_why_and_no_password(url, why):
    with pytest.raises(StoreError, match=why) as error:
        Store(url)
    assert "secret" not in str(error.value)


def test_the_file_is_its_owners_alone(tmp_path):
    Store(f"sqlite:///{tmp_path}/new/one.db").close()
    assert (tmp_path / "new" / "one.db").stat().st_mode & 0o077 == 0
    assert sqlite3.threadsafety == 3  # runs are given up from another thread
