"""What one worker runs: port, pipeline, courier and timers, from start to an orderly stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from ...milter.session import RCPT_LIMIT, Door
from ..clock import Clock
from ..config import Settings
from ..loading import load_routers
from ..pipeline import Pipeline
from ..port import Limits, Reinjector, Server
from ..routing import Routers
from ..spool import Spool
from ..store import Store, is_store_failure
from ..tally import MESSAGES
from ..timers import Timers
from .board import Figures
from .courier import Courier
from .sockets import Doors

log = logging.getLogger("penstock.service")

TICK: Final = 1.0
"""Seconds between two looks at the deadlines of conversations: the workers share them out."""

SWEEP: Final = 600.0
"""Seconds between two clean-ups of the store."""


class Service:
    """Port, pipeline, courier and timers."""

    def __init__(
        self, settings: Settings, doors: Doors, name: str, dead: Sequence[str] = (), clock: Clock | None = None
    ) -> None:
        """Load handlers, open store and spool. `name` and `dead` are as the courier has them.

        Raises LoadError, StoreError, OSError, and what the database raises.
        """
        self.settings = settings
        clock = clock or Clock()
        routers = load_routers(settings)
        spool = open_spool(settings)
        self.store = open_store(settings, routers, spool)
        self._reinjector = Reinjector(settings.filter.reinject, settings.service.hostname)
        self._courier = Courier(self.store, self._reinjector, settings, clock, name, dead)
        self.pipeline = Pipeline(routers, self.store, settings, clock=clock, letters_ready=self._courier.call)
        self._timers = Timers(routers.filter, self.store, settings, self.pipeline.tokens, clock, self._courier.call)
        self._clock = clock
        self._server = Server(
            doors.listeners, self.pipeline, self._reinjector, _limits(settings), settings.service.hostname,
            settings.filter.xforward_from, spool,
        )  # fmt: skip
        self._milter = doors.milter
        self._door = Door(
            self.pipeline, settings.milter.listen, settings.filter.message_size_limit, spool,
            rcpt_limit=min(RCPT_LIMIT, settings.service.handler_time_limit.total_seconds()),
        )  # fmt: skip
        self._leaving = threading.Event()  # new ones see to the chores
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._courier.run, args=(self._stopping,), name="penstock-courier", daemon=True),
            threading.Thread(target=self._chores, name="penstock-chores", daemon=True),
        ]

    def start(self) -> None:
        """Accept connections, and work."""
        given = self.settings.milter
        if self._milter is not None:
            self._milter.start(self._door, given.connection_limit, given.timeout.total_seconds())
        self._server.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> bool:
        """Finish what is under way, and stop. What is not finished within `[service] drain`, Postfix brings again.

        Returns whether all sessions ended by themselves.
        """
        limit = self.settings.service.drain.total_seconds()
        deadline = time.monotonic() + limit
        self._leaving.set()
        doors = [self._server, self._milter] if self._milter is not None else [self._server]
        with ThreadPoolExecutor(len(doors)) as both:
            drained = all(list(both.map(lambda door: door.stop(limit), doors)))
        self._stopping.set()
        self._courier.call()
        for thread in self._threads:
            thread.join(max(1.0, deadline - time.monotonic()))
        self.pipeline.close()
        self._reinjector.close()
        self.store.close()
        return drained

    def figures(self) -> Figures:
        """What it has done, and has under way."""
        sessions = self._server.sessions + (self._milter.sessions if self._milter is not None else 0)
        abandoned = self.pipeline.abandoned + self._door.watch.abandoned + self._timers.abandoned
        return Figures(MESSAGES.value, sessions, abandoned)

    def _chores(self) -> None:
        swept = float("-inf")
        waited = 0.0
        tick = TICK * self.settings.service.workers
        while not self._leaving.wait(tick):
            try:
                self._timers.run_due()
                if waited - swept >= SWEEP:
                    self.store.sweep(self._clock.now(), self.settings.store.receipt_life)
                    swept = waited
            except Exception as error:
                if is_store_failure(error):
                    log.error("the store failed: %s", error)
                else:
                    log.exception("the timers failed")
            waited += tick


def open_spool(settings: Settings) -> Spool:
    """The spool, after a try. Raises OSError."""
    spool = Spool(settings.filter.spool, settings.filter.spool_above)
    spool.probe()
    return spool


def open_store(settings: Settings, routers: Routers, spool: Spool) -> Store:
    """The store, with all tables as they are needed. Raises StoreError, OSError, and what the database raises."""
    store = Store(settings.store.url, spool, connections=settings.store.connections)
    store.prepare(*routers.tables)
    return store


def _limits(settings: Settings) -> Limits:
    given = settings.filter
    return Limits(
        message_size=given.message_size_limit,
        command_line=given.line_length_limit,
        recipients=given.recipient_limit,
        connections=given.connection_limit,
        idle=given.timeout.total_seconds(),
    )
