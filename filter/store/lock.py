"""A fair lock: who waits longest goes first, and any thread may release.

`threading.Lock` lets a busy thread take it again and again past those who wait; behind SQLite's single
writer that would starve a conversation for as long as another is busy.
"""

from __future__ import annotations

import threading
from collections import deque


class FairLock:
    """Mutual exclusion in the order of asking."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Event] = deque()

    def acquire(self, timeout: float | None = None) -> bool:
        """Take the lock, waiting at most `timeout` seconds; False when they are over."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            turn = threading.Event()
            self._waiting.append(turn)
        if turn.wait(timeout):
            return True
        with self._guard:
            if turn.is_set():  # handed to us in the very moment of giving up
                return True
            self._waiting.remove(turn)
            return False

    def release(self) -> None:
        """Hand the lock to the one who waits longest."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False
