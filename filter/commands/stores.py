"""The store as commands that only look see it: the real one, or an empty one where there is none yet.

Only the service makes the store: a database that `sudo penstock check` made would be root's, and the service
could not open it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sqlalchemy.engine import make_url

from ..effects import Conversation, Key
from ..routing import Routers
from ..store import Store, Work
from ..store.database import Database


def missing_file(url: str) -> Path | None:
    """The file of a SQLite store that does not exist yet, else None. What is in its way is not missing."""
    parsed = make_url(url)
    name = parsed.database
    if parsed.get_backend_name() != "sqlite" or not name or name == ":memory:" or name.startswith("file:"):
        return None
    path = Path(name)
    return None if path.exists() else path


@contextmanager
def placed(url: str, *, state: str | None = None) -> Iterator[Store]:
    """The store as it is; an empty one for the time being where it does not exist, with no tables.

    With `state` every conversation is supposed to be in it. Raises StoreError.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        place = url if missing_file(url) is None else f"sqlite:///{folder}/empty.db"
        store = Store(place) if state is None else _Supposed(place, state)
        try:
            yield store
        finally:
            store.close()


@contextmanager
def opened(url: str, routers: Routers, *, state: str | None = None) -> Iterator[Store]:
    """The store, `placed`, with the tables that these handlers need.

    Raises StoreError, for tables that are not current too, and what the database raises.
    """
    with placed(url, state=state) as store:
        store.prepare(*routers.tables)
        yield store


class _Supposed(Store):
    """A store whose conversations are all in one state, until a run moves them."""

    def __init__(self, url: str, state: str) -> None:
        super().__init__(url)
        self._state = state

    def work(self, now: datetime, *, after: Work | None = None) -> Work:
        return _SupposedWork(self._state, self._database, now)

    def conversation(self, key: Key) -> Conversation:
        return replace(super().conversation(key), state=self._state)


class _SupposedWork(Work):
    def __init__(self, state: str, database: Database, now: datetime) -> None:
        super().__init__(database, now)
        self._state = state

    def conversation(self, key: Key) -> Conversation:
        found = super().conversation(key)
        moved = key in self.effects.moves or key in self.kept.moves
        return found if moved else replace(found, state=self._state)
