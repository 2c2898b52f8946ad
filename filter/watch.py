"""The watch: sees to runs that take too long.

Handlers run in the thread of the session that brought the message: handing each run to another thread
and back cost a quarter of all the time that a small message takes. Python cannot stop a thread, so
when a run is over its limit the watch gives it up from a thread of its own: the client gets its 451 at
once, the transaction is undone, and whatever the handler does later is never committed.
"""

from __future__ import annotations

import itertools
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Final, TypeVar

log = logging.getLogger("penstock")

Result = TypeVar("Result")

TICK: Final = 0.25
"""Seconds between two looks at the clock."""


class GivenUp(BaseException):
    """The run was given up while it ran, and its client has its answer: there is nothing left to do."""


@dataclass(slots=True)
class _Run:
    thread: int
    seconds: float
    deadline: float
    give_up: Callable[[], None]
    given_up: threading.Event | None = None  # once it is late: set when `give_up` has returned


class Watch:
    """Watches all runs of a process."""

    def __init__(self) -> None:
        self._runs: dict[int, _Run] = {}
        self._numbers = itertools.count()
        self._guard = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self.given_up = 0
        self.abandoned = 0
        """Runs that were given up and have not ended: each keeps a thread."""

    def run(self, function: Callable[[], Result], seconds: float, give_up: Callable[[], None]) -> Result:
        """What `function` returns or raises, if it ends within `seconds`.

        Otherwise `give_up` is called, in another thread, and GivenUp is raised when both it and the function
        have ended. It is always one of the two, never both.
        """
        run = _Run(threading.get_ident(), seconds, time.monotonic() + seconds, give_up)
        number = next(self._numbers)
        with self._guard:
            if self._thread is None:
                thread = threading.Thread(target=self._look, name="penstock-watch", daemon=True)
                thread.start()  # raises where there are no threads: then the next run tries again
                self._thread = thread
            self._runs[number] = run
        try:
            return function()
        finally:
            with self._guard:
                self._runs.pop(number, None)
            if run.given_up is not None:
                run.given_up.wait()
                with self._guard:
                    self.abandoned -= 1
                raise GivenUp

    def close(self) -> None:
        """Watch no more."""
        self._closed.set()

    def _look(self) -> None:
        while not self._closed.wait(TICK):
            now = time.monotonic()
            with self._guard:
                late = {number: run for number, run in self._runs.items() if run.deadline < now}
                for number, run in late.items():
                    run.given_up = threading.Event()
                    self.abandoned += 1
                    del self._runs[number]
            for run in late.values():
                self._give_up(run)

    def _give_up(self, run: _Run) -> None:
        self.given_up += 1
        _log_stack(run.thread, run.seconds)
        try:
            run.give_up()
        except Exception:
            log.exception("giving a run up failed")
        finally:
            assert run.given_up is not None
            run.given_up.set()


def run_apart(
    function: Callable[[], Result], seconds: float, give_up: Callable[[], None], late: Callable[[], None] = lambda: None
) -> Result:
    """What `function` returns or raises in a thread of its own: for who has no client that waits, but other work.

    If it does not end within `seconds`, `give_up` is called, and GivenUp raised at once; `late` is called in the other
    thread when it ends after all.
    """
    outcome: Future[Result] = Future()

    def apart() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:
            outcome.set_exception(error)

    thread = threading.Thread(target=apart, name="penstock-apart", daemon=True)
    thread.start()
    if not wait([outcome], seconds).done:
        _log_stack(thread.ident or 0, seconds)
        give_up()
        outcome.add_done_callback(lambda ended: late())
        raise GivenUp
    return outcome.result()


def _log_stack(thread: int, seconds: float) -> None:
    frame = sys._current_frames().get(thread)
    stack = "".join(traceback.format_stack(frame)) if frame else ""
    log.error("a handler was still running after %g s; it is given up here:\n%s", seconds, stack)
