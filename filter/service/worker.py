"""A worker: a process that serves, and what ends it.

Handlers are loaded and the database is opened here, after the fork: so a reload brings new code, and no
connection is shared between processes. A worker ends in order on SIGTERM, and when the supervisor is gone.
"""

from __future__ import annotations

import faulthandler
import logging
import secrets
import select
import signal
import socket
import time
from dataclasses import dataclass, field
from typing import IO, Final

from ..config import Settings
from .board import Place
from .failure import EXPECTED, words
from .heap import TRIM_EVERY, give_back
from .service import Service
from .signals import Signals
from .sockets import Doors

log = logging.getLogger("penstock.service")

BEAT: Final = 1.0
"""Seconds between two signs of life."""

SHOW_STACKS: Final = signal.SIGUSR1
"""Makes a worker write the stacks of its threads, even while no Python code can run."""

READY: Final = b"!"


@dataclass(frozen=True, slots=True)
class Outfit:
    """What a worker is given: a place on the board, a file for the stacks of its threads, a name that nobody else
    has; and the names of workers that are gone, whose work may be left undone."""

    place: Place
    stacks: IO[bytes]
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    gone: tuple[str, ...] = ()


def work(settings: Settings, doors: Doors, outfit: Outfit, lifeline: socket.socket) -> int:
    """Serve until it is time to end; returns the exit status."""
    faulthandler.enable(outfit.stacks)
    faulthandler.register(SHOW_STACKS, outfit.stacks, all_threads=True)
    try:
        service = Service(settings, doors, outfit.name, outfit.gone)
    except EXPECTED as error:
        log.error("event=cannot-serve reason=%r", words(error))
        return 1
    signals = Signals([signal.SIGTERM])
    service.start()
    lifeline.send(READY)
    trimmed = time.monotonic()
    while not _is_over(signals, lifeline):
        outfit.place.write(service.figures())
        if time.monotonic() > trimmed + TRIM_EVERY:
            give_back()
            trimmed = time.monotonic()
    if not service.stop():
        log.warning("event=stopped some sessions were broken off")
    return 0


def _is_over(signals: Signals, lifeline: socket.socket) -> bool:
    """After a beat, or earlier, whether there is a reason to end: the only thing that comes is the end."""
    awaited: list[Signals | socket.socket] = [signals, lifeline]
    ready, _, _ = select.select(awaited, [], [], BEAT)
    return bool(ready)
