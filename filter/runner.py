"""Running handlers in threads of their own, so that the door's thread can answer when one takes too long.

A run over its limit is abandoned: its thread is left to end by itself, if it ever does, and whatever it
still does is never committed. Threads are kept for the next run, since starting one costs more than a
small handler.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")


class TimeLimit(Exception):
    """The run took too long. `stack` is where it was when it was abandoned, as text."""

    def __init__(self, seconds: float, stack: str) -> None:
        super().__init__(f"a handler was still running after {seconds:g} s")
        self.stack = stack


class Runner:
    """A pool of threads that grows with need: Postfix bounds the number of messages at a time."""

    def __init__(self) -> None:
        self._idle: list[_Thread] = []
        self._guard = threading.Lock()
        self.abandoned = 0

    def call(self, function: Callable[[], Result], seconds: float) -> Result:
        """What `function` returns or raises. Raises TimeLimit when `seconds` are over."""
        with self._guard:
            thread = self._idle.pop() if self._idle else _Thread()
        try:
            result, error = thread.run(function, seconds)
        except Empty:
            self.abandoned += 1
            raise TimeLimit(seconds, thread.abandon()) from None
        with self._guard:
            self._idle.append(thread)
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    def close(self) -> None:
        """Let the idle threads end."""
        with self._guard:
            idle, self._idle = self._idle, []
        for thread in idle:
            thread.abandon()


class _Thread:
    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="penstock-handler", daemon=True)
        self._thread.start()

    def run(self, function: Callable[[], Any], seconds: float) -> tuple[Any, BaseException | None]:
        self._work.put(function)
        return self._done.get(timeout=seconds)

    def abandon(self) -> str:
        """Have the thread end after what it does now; returns where it is."""
        self._work.put(None)
        frame = sys._current_frames().get(self._thread.ident or 0)
        return "".join(traceback.format_stack(frame)) if frame else ""

    def _serve(self) -> None:
        while (function := self._work.get()) is not None:
            try:
                self._done.put((function(), None))
            except BaseException as error:
                self._done.put((None, error))
            del function
