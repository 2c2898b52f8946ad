"""Signals as something to wait for beside other descriptors.

Python runs handlers between two instructions of the main thread, and `select` goes back to sleep after
one. So each signal also leaves its number in a socket, which wakes whoever waits there.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterable
from types import FrameType

SERVED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
"""The signals that mean something to the supervisor or to a worker."""


class Signals:
    """From its making on, these signals of the process only leave their numbers here. For the main thread."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._waiting, self._waking = socket.socketpair()
        for end in (self._waiting, self._waking):
            end.setblocking(False)
        signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, nothing)

    def fileno(self) -> int:
        """What becomes readable when a signal has come."""
        return self._waiting.fileno()

    def taken(self) -> bytes:
        """The numbers of the signals that have come since the last call, in order."""
        found = b""
        with contextlib.suppress(BlockingIOError):
            while octets := self._waiting.recv(256):
                found += octets
        return found

    def close(self) -> None:
        """Leave the signals to their default actions."""
        signal.set_wakeup_fd(-1)
        for number in SERVED:
            signal.signal(number, signal.SIG_DFL)
        self._waiting.close()
        self._waking.close()


def nothing(number: int, frame: FrameType | None) -> None:
    """A handler that does nothing. Other than SIG_IGN, it is not inherited by a program that a handler runs."""
