"""The trial: whether the service could serve with a configuration, found out in a process of its own.

Handlers are foreign code: to import them may fail, hang, or crash. So a configuration is tried before any
socket is bound for it and before any worker gives way; and all that is wrong with it is told at once.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterable
from typing import Final

from ..config import Settings
from ..loading import load_routers
from ..routing import Routers
from .failure import EXPECTED, words
from .process import Child
from .rights import rights
from .service import open_spool, open_store

PATIENCE: Final = 300.0
"""Seconds until a trial, or a worker's start, counts as hanging."""


class Trial:
    """A configuration on trial."""

    def __init__(self, settings: Settings, strangers: Iterable[socket.socket] = ()) -> None:
        """Begin it. `strangers` are as `Child` has them. Raises OSError."""
        self._child = Child(lambda lifeline: _report(settings, lifeline), strangers)
        self._deadline = time.monotonic() + PATIENCE
        self._said = b""

    @property
    def lifeline(self) -> socket.socket:
        """What becomes readable when there is news."""
        return self._child.lifeline

    def is_over(self) -> bool:
        """Whether the outcome is known. Does not wait."""
        self._child.lifeline.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self._hear()
            return True
        return time.monotonic() > self._deadline

    def outcome(self) -> str:
        """What is wrong, in words; "" where nothing is. Waits for it."""
        self._child.lifeline.settimeout(max(0.1, self._deadline - time.monotonic()))
        try:
            self._hear()
        except TimeoutError:
            self.end()
            return f"the handlers are not loaded after {PATIENCE:g} s"
        if self._child.wait() != 0 and not self._said:
            return f"the trial of the configuration ended with {self._child.end}"
        return self._said.decode("utf-8")

    def end(self) -> None:
        """Give it up."""
        self._child.kill()

    def _hear(self) -> None:
        """Read on to the end of the stream. Raises BlockingIOError and TimeoutError where it has not come."""
        while octets := self._child.lifeline.recv(65536):
            self._said += octets


def _report(settings: Settings, lifeline: socket.socket) -> int:
    found = _problems(settings)
    lifeline.sendall("\n".join(found).encode("utf-8", "replace"))
    return 1 if found else 0


def _problems(settings: Settings) -> list[str]:
    """All that is wrong, as the user that the service will be."""
    found: list[str] = []
    routers = Routers((), owned=settings.domains.owned)

    def attempt(step: Callable[[], object]) -> None:
        try:
            step()
        except EXPECTED as error:
            found.append(words(error))

    def become() -> None:
        if (new := rights(settings.service)) is not None:
            new.take()

    def load() -> None:
        nonlocal routers
        routers = load_routers(settings)

    attempt(become)
    attempt(load)
    attempt(lambda: open_store(settings, routers, open_spool(settings)).close())
    return found
