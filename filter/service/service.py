"""The service in one process: what `penstock run` runs.

Everything that can be wrong with configuration and handlers is found before a socket is bound.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from types import FrameType
from typing import Final

from ...milter.server import MilterServer
from ...milter.session import Door
from ..clock import Clock
from ..config import Settings
from ..loading import load_routers
from ..pipeline import Pipeline
from ..port import Limits, Reinjector, Server
from ..spool import Spool
from ..store import Store, is_store_failure
from ..timers import Timers
from .courier import Courier

log = logging.getLogger("penstock.service")

TICK: Final = 1.0
"""Seconds between two looks at the deadlines of conversations."""

SWEEP: Final = 600.0
"""Seconds between two clean-ups of the store."""


class Service:
    """Port, pipeline, courier and timers."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        """Load handlers, open store and spool. Raises LoadError, StoreError, OSError, and what the database raises."""
        self.settings = settings
        clock = clock or Clock()
        routers = load_routers(settings)
        spool = Spool(settings.filter.spool, settings.filter.spool_above)
        spool.probe()
        self.store = Store(settings.store.url, spool, connections=settings.store.connections)
        self.store.create(*routers.metadata)
        self._reinjector = Reinjector(settings.filter.reinject, settings.service.hostname)
        self._courier = Courier(self.store, self._reinjector, settings, clock)
        self.pipeline = Pipeline(routers, self.store, settings, clock=clock, letters_ready=self._courier.call)
        self._timers = Timers(routers.filter, self.store, settings, self.pipeline.tokens, clock, self._courier.call)
        self._clock = clock
        self._server = Server(
            settings.filter.listen, self.pipeline, self._reinjector, _limits(settings), settings.service.hostname,
            settings.filter.xforward_from, spool,
        )  # fmt: skip
        self._milter = MilterServer(settings.milter.listen) if settings.milter.handlers else None
        self._door = Door(self.pipeline, settings.milter.listen, settings.filter.message_size_limit, spool)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._courier.run, args=(self._stopping,), name="penstock-courier", daemon=True),
            threading.Thread(target=self._chores, name="penstock-chores", daemon=True),
        ]

    def start(self) -> None:
        """Listen and work. Raises OSError where a socket cannot be bound."""
        given = self.settings
        if self._milter is not None:
            self._milter.open()
            self._milter.start(self._door, given.milter.connection_limit, given.milter.timeout.total_seconds())
        self._server.start()
        for thread in self._threads:
            thread.start()
        where = ", ".join(listener.address for listener in self._server.listeners)
        if self._milter is not None:
            where += f", {given.milter.listen} (milter)"
        names = ", ".join(handler.name for handler in self.pipeline.router.handlers) or "no handlers"
        log.info("ready: %s; listening on %s; reinjecting to %s", names, where, self.settings.filter.reinject)

    def stop(self, drain_seconds: float = 30.0) -> None:
        """Finish what is under way, and stop. What is not finished by then, Postfix brings again."""
        deadline = time.monotonic() + drain_seconds
        drained = self._server.stop(drain_seconds)
        if self._milter is not None:
            drained &= self._milter.stop(max(0.0, deadline - time.monotonic()))
            self._milter.close()
        self._stopping.set()
        self._courier.call()
        for thread in self._threads:
            thread.join(5)
        self.pipeline.close()
        self._reinjector.close()
        self.store.close()
        log.info("stopped%s", "" if drained else "; some sessions were broken off")

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT, or SIGHUP (the terminal is gone). To be called in the main thread."""
        over = threading.Event()

        def end(number: int, frame: FrameType | None) -> None:
            over.set()

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, end)
        self.start()
        over.wait()
        self.stop()

    def _chores(self) -> None:
        swept = float("-inf")
        waited = 0.0
        while not self._stopping.wait(TICK):
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
            waited += TICK


def _limits(settings: Settings) -> Limits:
    given = settings.filter
    return Limits(
        message_size=given.message_size_limit,
        command_line=given.line_length_limit,
        recipients=given.recipient_limit,
        connections=given.connection_limit,
        idle=given.timeout.total_seconds(),
    )
