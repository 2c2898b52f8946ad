"""Connections kept open between messages: the newest is used first, the others may grow old and go.

A session of ours that starts finds a greeted connection most of the time, which saves three round
trips a message. Nothing is opened before it is needed, so a pool may be made before a fork.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from .connection import Connection, Timeouts
from .endpoint import Endpoint


class Pool:
    """Idle connections to one endpoint; safe to use from any thread.

    At most `size` are kept, none longer than `idle` seconds (below the 300 s after which Postfix's
    smtpd gives up).
    """

    def __init__(self, endpoint: Endpoint, helo: str, timeouts: Timeouts, size: int, idle: float = 60.0) -> None:
        self._endpoint = endpoint
        self._helo = helo
        self._timeouts = timeouts
        self._size = size
        self._idle = idle
        self._resting: deque[Connection] = deque()
        self._lock = threading.Lock()
        self._closed = False

    def take(self) -> Connection | None:
        """The connection used last, or None. It may have died since."""
        self._retire()
        with self._lock:
            return self._resting.pop() if self._resting else None

    def fresh(self) -> Connection:
        """A new connection. Raises Unwilling."""
        return Connection(self._endpoint, self._helo, self._timeouts)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection that has no transaction open, if it can be used again."""
        connection.used_at = time.monotonic()
        with self._lock:
            keep = connection.is_open and not self._closed and len(self._resting) < self._size
            if keep:
                self._resting.append(connection)
        if not keep and connection.is_open:
            connection.quit()

    def close(self) -> None:
        """Take leave on all resting connections; those in use follow when they are given back."""
        with self._lock:
            self._closed = True
            resting, self._resting = self._resting, deque()
        for connection in resting:
            connection.quit()

    def _retire(self) -> None:
        oldest = time.monotonic() - self._idle
        retired: list[Connection] = []
        with self._lock:
            while self._resting and self._resting[0].used_at < oldest:
                retired.append(self._resting.popleft())
        for connection in retired:
            connection.quit()
