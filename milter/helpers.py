"""Helpers: the threads in which the core runs, so that the thread of libmilter is free to answer.

Python cannot leave a call that takes too long. So the core is called in a thread of ours, and libmilter's waits: it
tells Postfix now and then that there is progress, and answers as soon as there is an outcome, be it that the
run was given up. libmilter's own threads would not do for the core anyway: the callbacks of one connection come in
different ones, with one state of the interpreter between them, so that neither the stack of a thread nor what is
bound to it could be told.

Handing over costs some 20 µs, which is little beside what Postfix takes for a message.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from ..filter.watch import GivenUp

log = logging.getLogger("penstock.milter")

Result = TypeVar("Result")


class Helpers:
    """As many threads as calls are under way at once; idle ones are kept."""

    def __init__(self) -> None:
        self._idle: list[_Helper] = []

    def run(
        self, call: Callable[[Callable[[Result], None]], Result], otherwise: Result, every: float = -1,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Result:  # fmt: skip
        """What the call returns, made in another thread; `otherwise` where it raises, of which the log tells.

        It is given a function that settles the outcome before it returns; then it has to raise GivenUp. `meanwhile` is
        called here, after each `every` seconds of waiting. Raises RuntimeError where no thread can be started, and what
        `meanwhile` raises.
        """
        settled = threading.Lock()
        settled.acquire()
        outcome = otherwise

        def settle(value: Result) -> None:
            nonlocal outcome
            outcome = value
            settled.release()

        def job() -> None:
            try:
                value = call(settle)
            except GivenUp:
                return
            except BaseException:  # a verdict that escapes is no Exception
                try:
                    log.exception("event=fault at=milter")
                finally:
                    settled.release()
            else:
                settle(value)

        self._helper().begin(job)
        while not settled.acquire(timeout=every):
            meanwhile()
        return outcome

    def _helper(self) -> _Helper:
        try:
            return self._idle.pop()
        except IndexError:
            helper = _Helper(self._idle)
            helper.start()
            return helper


class _Helper(threading.Thread):
    """Waits for a job, does it, and goes back among the idle ones."""

    def __init__(self, idle: list[_Helper]) -> None:
        super().__init__(name="penstock-milter-helper", daemon=True)
        self._idle = idle
        self._called = threading.Lock()
        self._called.acquire()
        self._job: Callable[[], None] = lambda: None

    def begin(self, job: Callable[[], None]) -> None:
        self._job = job
        self._called.release()

    def run(self) -> None:
        while True:
            self._called.acquire()
            self._job()
            self._job = lambda: None  # what it holds, a message perhaps, is not ours to keep
            self._idle.append(self)
