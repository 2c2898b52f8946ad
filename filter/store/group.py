"""Group commit: changes that come while the disk is busy with others are written together.

SQLite has one writer, and with synchronous=FULL each commit waits for the disk. So who wants to write something short
lays it down here. The first one leads: it waits for its turn at the database, then takes all that lies here by then,
writes it in one transaction, and tells the others. Who comes after that leads the next group, and waits behind it.

If one change of a group fails the transaction is undone, and each is written by itself: a clash concerns one of them
alone. So a change may be called twice.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from .database import Change, Database
from .failures import is_store_failure


class Group:
    """Gathers the changes of all threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._guard = threading.Lock()
        self._waiting: list[_Waiting] = []

    def apply(self, change: Change) -> None:
        """Write a change. Raises what `change` or the database raises; then nothing of it is written."""
        mine = _Waiting(change)
        with self._guard:
            self._waiting.append(mine)
            leads = len(self._waiting) == 1
        if leads:
            self._lead()
        else:
            mine.over.acquire()
        if mine.error is not None:
            raise mine.error

    def _lead(self) -> None:
        group: list[_Waiting] = []
        try:
            connection = self._database.begin(())
            try:
                group = self._take()
                for each in group:
                    each.change(connection)
                connection.commit()
            finally:
                self._database.end(connection)
        except BaseException as error:
            group = group or self._take()  # empty where our turn did not come
            self._failed(group, error)
        finally:
            for each in group:
                each.over.release()

    def _take(self) -> list[_Waiting]:
        with self._guard:
            taken, self._waiting = self._waiting, []
            return taken

    def _failed(self, group: Sequence[_Waiting], error: BaseException) -> None:
        alone = len(group) > 1 and not is_store_failure(error)
        for each in group:
            each.error = self._alone(each) if alone else error

    def _alone(self, waiting: _Waiting) -> BaseException | None:
        try:
            connection = self._database.begin(())
            try:
                waiting.change(connection)
                connection.commit()
            finally:
                self._database.end(connection)
        except BaseException as error:
            return error
        return None


class _Waiting:
    """A change, and whoever waits for it."""

    def __init__(self, change: Change) -> None:
        self.change = change
        self.error: BaseException | None = None
        self.over = threading.Lock()
        self.over.acquire()
