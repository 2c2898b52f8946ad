"""An idle service leaves the database alone: fewer than two queries a second, of all its workers together."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from penstock.filter.clock import FixedClock
from penstock.filter.config import Settings
from penstock.filter.routing import Router
from penstock.filter.service.courier import LOOK_AGAIN, Courier
from penstock.filter.service.service import TICK
from penstock.filter.store import Store
from penstock.filter.timers import Timers
from penstock.filter.tokens import Tokens
from sqlalchemy import event

DATABASES = ["sqlite", "postgresql"]


@pytest.fixture
def store(database: Callable[[], str]) -> Iterator[Store]:
    store = Store(database())
    store.create()
    yield store
    store.close()


def queries(store: Store, look: Callable[[], object]) -> int:
    """How many statements the database gets for one look."""
    said: list[str] = []
    engine = store._database.engine
    event.listen(engine, "before_cursor_execute", lambda *given: said.append(given[2]))
    look()
    return len(said)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_fewer_than_two_queries_a_second(store: Store, workers: int) -> None:
    clock = FixedClock(datetime(2026, 1, 5, tzinfo=UTC))
    timers = Timers(Router([]), store, Settings(), Tokens(b"x" * 32), clock)
    courier = Courier(store, None, Settings(), clock)  # type: ignore[arg-type]  # nothing is sent
    timers.run_due()
    looks = queries(store, timers.run_due) / TICK
    letters = queries(store, lambda: (courier.send_due(), courier._until_next())) / LOOK_AGAIN
    assert looks + workers * letters < 2
