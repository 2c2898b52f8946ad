"""The supervisor: the process that `penstock run` is. It holds the sockets and sees to the workers.

It handles no mail and imports no handler, so it lives for years, and its children get new code. One thread
and one loop: something happens (a signal, a worker that is ready, a death) or a moment passes, and everything
is looked at again.
"""

from __future__ import annotations

import logging
import select
import signal
import socket
from collections.abc import Callable, Collection, Sequence
from typing import Final

from ...systemd.notify import Notifier
from ..config import Settings, short_name
from .board import Board
from .crew import GRACE, Crew, Past, total
from .failure import CannotStart
from .heap import share_one_heap
from .reload import Reload
from .rights import rights
from .signals import SERVED, Signals
from .sockets import Sockets, adopted
from .trial import Trial

log = logging.getLogger("penstock.service")

MOMENT: Final = 0.1
"""Seconds between two looks while something is under way."""

REST: Final = 1.0
"""Seconds between two looks otherwise."""

CREWS: Final = 3
"""The most crews at a time: while so many are there, the old ones draining, a reload waits."""


class Supervisor:
    """The service, from start to end."""

    def __init__(
        self, load: Callable[[], Settings], passed: Sequence[socket.socket] = (), notifier: Notifier | None = None
    ) -> None:
        """`load` reads the configuration, now and at each reload; what it raises now is raised.

        `passed` are sockets that the service manager has bound, the `notifier` is the way to tell it how things go.
        """
        self._load = load
        self._settings = load()
        self._board = Board()
        self._past = Past()
        self._sockets = Sockets(adopted(passed, self._settings.filter.listen))
        self._notifier = notifier or Notifier()
        self._crews: list[Crew] = []  # the first one serves, the others drain
        self._reload: Reload | None = None
        self._reload_wanted = False
        self._started = False
        self._stopping = False
        self._note = ""  # on what an administrator should know, for the status

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reloads. Raises CannotStart, with nothing bound."""
        share_one_heap()
        self._sockets.check(self._settings)
        if problem := Trial(self._settings).outcome():
            raise CannotStart(problem)
        owner = rights(self._settings.service)
        self._sockets.open(self._settings, owner)
        if owner is not None:
            owner.take()
        signals = Signals(SERVED)
        try:
            self._crews.append(self._hire(self._settings))
            while self._crews:
                self._notifier.beat()
                self._look()
                self._wait(signals)
                for number in signals.taken():
                    self._obey(number)
        finally:
            self._sockets.close()
            signals.close()
        log.info("stopped")

    def _obey(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif number == signal.SIGHUP:
            self._reload_wanted = True

    def _look(self) -> None:
        """See to everybody, and do what is due."""
        for crew in self._crews:
            crew.look()
        self._crews = [crew for crew in self._crews if crew.workers or not crew.retired]
        self._sockets.keep({address for crew in self._all_crews() for address in crew.settings.filter.listen})
        if self._stopping:
            return
        if not self._started and self._crews[0].ready:
            self._started = True
            log.info("ready: %s", _service(self._settings))
            self._notifier.ready(self._status())
        if self._started:
            self._see_to_reload()
        if self._started and self._reload is None:
            self._notifier.status(self._status())

    def _wait(self, signals: Signals) -> None:
        """Wait until something happens, or for a moment."""
        calm = self._started and self._reload is None and all(crew.ready for crew in self._crews)
        awaited: list[Signals | socket.socket] = [signals]
        if not calm:
            awaited += self._lifelines()
        select.select(awaited, [], [], REST if calm else MOMENT)

    def _stop(self) -> None:
        """Let all workers finish and end; told again, end them now."""
        if self._reload is not None:
            self._reload.give_up("the service is stopped")
            self._end_reload()
        for crew in self._crews:
            if self._stopping:
                crew.kill()
            else:
                crew.retire()
        if not self._stopping:
            self._notifier.stopping(self._settings.service.drain.total_seconds() + GRACE)
        self._stopping = True

    # -- reload

    def _see_to_reload(self) -> None:
        if self._reload is None and self._reload_wanted and len(self._crews) < CREWS:
            self._reload_wanted = False
            self._notifier.reloading()
            self._reload = Reload(self._load, self._sockets, self._hire, self._strangers(()))
        if self._reload is not None:
            self._reload.look()
            if self._reload.problem:
                log.error("event=reload-failed all goes on as before\n%s", self._reload.problem)
                self._note = f"; the last reload failed: {self._reload.problem.splitlines()[0]}"
                self._end_reload()
                self._notifier.ready(self._status())
            elif self._reload.succeeded:
                self._take_over(self._reload)

    def _take_over(self, reload: Reload) -> None:
        assert reload.crew is not None
        for crew in self._crews:
            crew.retire()
        self._crews.insert(0, reload.crew)
        self._settings = reload.settings
        self._reload = None
        self._note = ""
        log.info("reloaded: %s", _service(self._settings))
        self._notifier.ready(self._status())

    def _end_reload(self) -> None:
        """Forget a reload that came to nothing; its workers, if there are some, are on their way out."""
        if self._reload is not None and self._reload.crew is not None:
            self._crews.append(self._reload.crew)
        self._reload = None

    def _status(self) -> str:
        """The figures, on one line."""
        crews = self._all_crews()
        done = total(crews, self._past)
        workers = sum(len(crew.workers) for crew in crews)
        figures = f"{done.sessions} sessions, {done.messages} messages, {self._past.restarts} restarts"
        return f"{workers} workers, {figures}{self._note}"

    # -- children

    def _hire(self, settings: Settings) -> Crew:
        """A crew for a configuration whose sockets are open."""
        doors = self._sockets.doors(settings)
        return Crew(settings, doors, self._board, self._past, lambda: self._strangers(settings.filter.listen))

    def _strangers(self, addresses: Collection[str]) -> list[socket.socket]:
        """What a new child must not hold, or its end would not come: lifelines, and sockets other than at `addresses`.
        """
        return [*self._lifelines(), *(listener.socket for listener in self._sockets.others(addresses))]

    def _lifelines(self) -> list[socket.socket]:
        """Of all children."""
        children = [worker.child for crew in self._all_crews() for worker in crew.workers]
        trial = self._reload.trial if self._reload is not None else None
        lifelines = [child.lifeline for child in children if child.status is None]
        return lifelines if trial is None else [trial.lifeline, *lifelines]

    def _all_crews(self) -> list[Crew]:
        """Those that serve, drain, or are about to serve."""
        recruits = self._reload.crew if self._reload is not None else None
        return self._crews if recruits is None else [*self._crews, recruits]


def _service(settings: Settings) -> str:
    """What is served, in words."""
    modules = dict.fromkeys((*settings.milter.handlers, *settings.filter.handlers))
    names = ", ".join(short_name(module) for module in modules) or "no handlers"
    milter = [f"{settings.milter.listen} (milter)"] if settings.milter.handlers else []
    where = ", ".join([*settings.filter.listen, *milter])
    workers = settings.service.workers
    count = "1 worker" if workers == 1 else f"{workers} workers"
    return f"{names}; listening on {where}; reinjecting to {settings.filter.reinject}; {count}"
