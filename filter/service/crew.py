"""A crew: the workers that serve with one configuration.

The crew is looked after by being looked at: each look sees who has died, who is stuck, who is due for
replacement, and does the next step for each. Nothing waits, so one thread can look after all crews.

A worker that dies is replaced, at once the first time, and later the later the sooner it dies. One that is to
leave (it has done its share, grown too large, lost too many threads to handlers) leaves when another is ready.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..config import Settings
from ..settings import ServiceSettings
from .board import Board, Figures
from .process import Child
from .sockets import Doors
from .trial import PATIENCE
from .worker import READY, SHOW_STACKS, Outfit, work

log = logging.getLogger("penstock.service")

OF_AGE: Final = 5.0
"""Seconds after which a worker that dies has not died young."""

LONGEST_PAUSE: Final = 30.0
"""The most seconds between the death of a worker and the next one's start."""

LAST_WORDS: Final = 0.5
"""Seconds for a stuck worker to write down what its threads do."""

GRACE: Final = 5.0
"""Seconds after its drain limit until a worker that should end is killed."""


@dataclass(eq=False)
class Worker:
    """A worker as the supervisor sees it. Times are monotonic seconds."""

    child: Child
    outfit: Outfit
    born: float = field(default_factory=time.monotonic)
    ready: bool = False
    leaving: str = ""  # why another takes its place
    dismissed: bool = False  # it was told to end
    ends: float | None = None  # when it is killed, if it still lives


@dataclass
class Past:
    """What has been: the messages of workers that are gone, their names, and how often one was replaced."""

    messages: int = 0
    restarts: int = 0
    gone: list[str] = field(default_factory=list)  # names, for the next worker


class Crew:
    """The workers of one configuration. To be looked at again and again."""

    def __init__(
        self, settings: Settings, doors: Doors, board: Board, past: Past,
        strangers: Callable[[], Sequence[socket.socket]],
    ) -> None:  # fmt: skip
        """Nobody works yet. `strangers` are what a new child must not hold."""
        self.settings = settings
        self.workers: list[Worker] = []
        self.failed = False
        """Whether a worker died before the crew was ready for the first time."""
        self.retired = False
        self._was_ready = False
        self._doors = doors
        self._board = board
        self._past = past
        self._strangers = strangers
        self._early_deaths = 0
        self._next_start = 0.0

    @property
    def ready(self) -> bool:
        """Whether all of them accept connections."""
        active = self._active()
        return len(active) == self._wanted and all(worker.ready for worker in active)

    def look(self) -> None:
        """See to every worker, and do what is due."""
        now = time.monotonic()
        for worker in list(self.workers):
            if not worker.child.is_alive():
                self._bury(worker, now)
            elif worker.ends is not None:
                if now > worker.ends:
                    _kill(worker)
            elif worker.ready:
                self._examine(worker, now)
            else:
                self._await(worker, now)
        self._was_ready = self._was_ready or self.ready
        if not self.retired:
            self._replace(now)

    def retire(self) -> None:
        """Let all finish what they have under way, and end."""
        self.retired = True
        for worker in self.workers:
            self._dismiss(worker)

    def kill(self) -> None:
        """End all of them now."""
        self.retired = True
        for worker in self.workers:
            worker.dismissed, worker.ends = True, 0.0

    # -- one worker

    def _await(self, worker: Worker, now: float) -> None:
        if _heard(worker.child):
            worker.ready = True
        elif now - worker.born > PATIENCE:
            log.error("event=worker-late pid=%d not ready after %g s", worker.child.pid, PATIENCE)
            worker.ends = now

    def _examine(self, worker: Worker, now: float) -> None:
        limits = self.settings.service
        if worker.outfit.place.silent_for > limits.stuck_after.total_seconds():
            log.error("event=worker-stuck pid=%d silent_for=%.1f", worker.child.pid, worker.outfit.place.silent_for)
            worker.leaving = "stuck"
            worker.ends = now + LAST_WORDS
            worker.child.send(SHOW_STACKS)
        elif not worker.leaving and (reason := _too_much(worker, limits)):
            log.info("event=worker-leaves pid=%d reason=%r", worker.child.pid, reason)
            worker.leaving = reason
            if worker.outfit.place.figures.abandoned:
                worker.child.send(SHOW_STACKS)

    def _dismiss(self, worker: Worker) -> None:
        if not worker.dismissed:
            worker.dismissed = True
            worker.ends = time.monotonic() + self.settings.service.drain.total_seconds() + GRACE
            worker.child.send(signal.SIGTERM)

    def _bury(self, worker: Worker, now: float) -> None:
        _show_stacks(worker)
        self.workers.remove(worker)
        self._past.messages += worker.outfit.place.figures.messages
        self._past.gone.append(worker.outfit.name)
        self._board.give_back(worker.outfit.place)
        if worker.dismissed:
            return
        self._past.restarts += 1
        self.failed = self.failed or not self._was_ready
        young = not worker.ready or now - worker.born < OF_AGE
        self._early_deaths = self._early_deaths + 1 if young else 0
        pause = min(LONGEST_PAUSE, 2.0 ** (self._early_deaths - 2)) if self._early_deaths > 1 else 0.0
        self._next_start = now + pause
        log.error("event=worker-died pid=%d end=%r next_in=%g", worker.child.pid, worker.child.end, pause)

    # -- the crew

    @property
    def _wanted(self) -> int:
        return self.settings.service.workers

    def _active(self) -> list[Worker]:
        return [worker for worker in self.workers if not worker.leaving]

    def _replace(self, now: float) -> None:
        if now >= self._next_start:
            try:
                for _ in range(self._wanted - len(self._active())):
                    self._hire()
            except OSError as error:  # out of processes, memory or descriptors
                self._next_start = now + LONGEST_PAUSE
                log.error("event=no-worker error=%r next_in=%g", str(error), LONGEST_PAUSE)
        if self.ready:
            for worker in self.workers:
                if worker.leaving and worker.ends is None:
                    self._past.restarts += 1
                    self._dismiss(worker)

    def _hire(self) -> None:
        stacks = os.fdopen(os.memfd_create("penstock-stacks"), "w+b")
        outfit = Outfit(self._board.place(), stacks, gone=tuple(self._past.gone))
        try:
            child = Child(lambda lifeline: work(self.settings, self._doors, outfit, lifeline), self._strangers())
        except OSError:
            self._board.give_back(outfit.place)
            raise
        self._past.gone.clear()
        self.workers.append(Worker(child, outfit))


def total(crews: Iterable[Crew], past: Past) -> Figures:
    """The figures of all workers, with the messages of those that are gone."""
    figures = [worker.outfit.place.figures for crew in crews for worker in crew.workers]
    return Figures(
        past.messages + sum(each.messages for each in figures),
        sum(each.sessions for each in figures),
        sum(each.abandoned for each in figures),
    )


def _too_much(worker: Worker, limits: ServiceSettings) -> str:
    """Why a worker should give way to a fresh one, if it should."""
    figures = worker.outfit.place.figures
    if figures.abandoned >= limits.abandoned_runs:
        return f"{figures.abandoned} runs that were given up have not ended"
    if limits.recycle_messages is not None and figures.messages >= limits.recycle_messages:
        return f"{figures.messages} messages"
    if limits.recycle_memory is not None and (octets := _own_memory(worker.child.pid)) >= limits.recycle_memory:
        return f"{octets // 1024**2} MB"
    return ""


def _own_memory(pid: int) -> int:
    """Octets of memory that a process does not share with others."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            _, resident, shared, *_ = file.read().split()
    except OSError:
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGESIZE")


def _heard(child: Child) -> bool:
    child.lifeline.setblocking(False)
    try:
        return child.lifeline.recv(1) == READY
    except OSError:
        return False


def _kill(worker: Worker) -> None:
    """End a worker now. Its end is not waited for: a process in the hands of a bad disk may take long to die."""
    log.warning("event=worker-killed pid=%d", worker.child.pid)
    worker.child.send(signal.SIGKILL)
    worker.ends = math.inf


def _show_stacks(worker: Worker) -> None:
    """Log what a worker wrote of its threads, if it was asked to."""
    with worker.outfit.stacks as file:
        file.seek(0)
        if found := file.read().decode("utf-8", "replace").rstrip():
            log.error("event=stacks pid=%d\n%s", worker.child.pid, found)
