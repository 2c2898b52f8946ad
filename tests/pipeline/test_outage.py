"""The database is gone, locked or full: 451, never an attempt of the handler's, and well again by itself."""

import itertools
import signal
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from penstock.filter.store import postgresql, sqlite
from penstock.filter.testing.cluster import Cluster
from sqlalchemy import create_engine, event, text

DATABASES = ["sqlite", "postgresql"]

HANDLER = """
from sqlalchemy import text

between = lambda: None

@route("letter@{host}")
def START(mail):
    mail.reply(f"{__name__}/note")
    return LETTER

@route("letter@{host}")
def LETTER(mail):
    mail.reply(f"{__name__}/note")

@route("rows@{host}", always=True)
def rows(mail):
    mail.db.execute(text("SELECT 1"))
    between()
    mail.db.execute(text("SELECT 1"))
    mail.reply(f"{__name__}/note")
"""

OK = "250 2.0.0 Ok: handled by penstock"
GONE = "451 4.3.0 The store"

Bring = Callable[[str], str]


@pytest.fixture(scope="module")
def stopped() -> Iterator[Cluster]:
    with Cluster() as own:
        yield own


@pytest.fixture
def own(stopped: Cluster) -> Cluster:
    """A PostgreSQL that runs, and may be stopped."""
    stopped.start()
    return stopped


@pytest.fixture
def port(door: Callable[..., Any]) -> Any:
    return door(HANDLER, service={"max_attempts": 1})


@pytest.fixture
def bring(port: Any) -> Bring:
    """Bring another message; returns the reply."""
    numbers = itertools.count()
    return lambda to: port.brings(f"{to}@lists.test", ident=f"4b{next(numbers)}")[0]


@pytest.fixture
def stoppable(door: Callable[..., Any], own: Cluster) -> Any:
    return door(HANDLER, service={"max_attempts": 1}, store={"url": own.database()})


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_restart_between_two_messages_costs_none_of_them(stoppable: Any, own: Cluster, how: signal.Signals) -> None:
    assert stoppable.brings("letter@lists.test", ident="4b1") == [OK]
    own.stop(how)
    own.start()
    assert stoppable.brings("letter@lists.test", ident="4b2") == [OK]
    assert stoppable.brings("rows@lists.test", ident="4b3") == [OK]
    assert len(stoppable.letters) == 3


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_while_the_server_is_gone_all_is_deferred(stoppable: Any, own: Cluster) -> None:
    for _ in range(2):
        own.stop()
        assert stoppable.brings("letter@lists.test")[0].startswith(GONE)
        assert stoppable.brings("rows@lists.test")[0].startswith(GONE)
        own.start()
    assert stoppable.brings("letter@lists.test") == [OK]
    assert stoppable.brings("rows@lists.test") == [OK]
    assert len(stoppable.letters) == 2


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_connection_that_breaks_within_a_handler(stoppable: Any, own: Cluster) -> None:
    module = stoppable.pipeline.router.handlers[0].module

    def restart() -> None:
        own.stop()
        own.start()

    module.between = restart
    assert stoppable.brings("rows@lists.test")[0].startswith(GONE)
    module.between = lambda: None
    assert stoppable.letters == []
    assert stoppable.brings("rows@lists.test") == [OK]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_server_whose_disk_is_full(port: Any, bring: Bring) -> None:
    engine = create_engine(port.settings.store.url)
    with engine.begin() as connection:
        connection.execute(text("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
                                "RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END$$"))  # fmt: skip
        connection.execute(text("CREATE TRIGGER refuse BEFORE INSERT ON penstock_outbox EXECUTE FUNCTION refuse()"))
    assert bring("letter").startswith(GONE)
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER refuse ON penstock_outbox"))
    engine.dispose()
    assert port.letters == []
    assert bring("letter") == OK


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_disk_that_is_full(port: Any, bring: Bring) -> None:
    pages = 20

    @event.listens_for(port.store._database.engine, "checkout")
    def limit(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")  # less than there are means: as many as there are

    replies = [bring("letter") for _ in range(100)]
    assert replies[-1].startswith(GONE)
    assert {reply[:3] for reply in replies} == {"250", "451"}
    pages = 1_000_000
    assert bring("letter") == OK
    assert len(port.letters) == replies.count(OK) + 1


def test_a_database_that_is_locked(monkeypatch: pytest.MonkeyPatch, door: Callable[..., Any]) -> None:
    monkeypatch.setattr(sqlite, "PATIENCE", 1)
    monkeypatch.setattr(postgresql, "PATIENCE", 1)
    port = door(HANDLER, service={"max_attempts": 1})
    other = create_engine(port.settings.store.url).connect().execution_options(isolation_level="AUTOCOMMIT")
    is_sqlite = port.settings.store.url.startswith("sqlite")
    with other:
        other.exec_driver_sql("BEGIN IMMEDIATE" if is_sqlite else "BEGIN")
        if not is_sqlite:
            other.exec_driver_sql("LOCK TABLE penstock_conversations, penstock_outbox IN EXCLUSIVE MODE")
        assert port.brings("letter@lists.test")[0].startswith(GONE)
        if is_sqlite:
            assert port.brings("rows@lists.test")[0].startswith(GONE)
        other.exec_driver_sql("ROLLBACK")
        assert port.brings("letter@lists.test") == [OK]
        assert port.brings("rows@lists.test") == [OK]
    other.engine.dispose()
    assert len(port.letters) == 2
