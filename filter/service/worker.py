"""A worker: a process that serves, and what ends it.

Handlers are loaded and the database is opened here, after the fork: so a reload brings new code, and no
connection is shared between processes. A worker ends in order on SIGTERM, and when the supervisor is gone.
"""

from __future__ import annotations

import faulthandler
import logging
import select
import signal
import socket
from typing import IO, Final

from ..config import Settings
from .board import Place
from .failure import EXPECTED, words
from .service import Service
from .signals import Signals
from .sockets import Doors

log = logging.getLogger("penstock.service")

BEAT: Final = 1.0
"""Seconds between two signs of life."""

SHOW_STACKS: Final = signal.SIGUSR1
"""Makes a worker write the stacks of its threads, even while no Python code can run."""

READY: Final = b"!"


def work(settings: Settings, doors: Doors, lifeline: socket.socket, place: Place, stacks: IO[bytes]) -> int:
    """Serve until it is time to end; returns the exit status.

    `stacks` takes the stacks of all threads: at SHOW_STACKS, and when the interpreter crashes.
    """
    faulthandler.enable(stacks)
    faulthandler.register(SHOW_STACKS, stacks, all_threads=True)
    try:
        service = Service(settings, doors)
    except EXPECTED as error:
        log.error("event=cannot-serve reason=%r", words(error))
        return 1
    signals = Signals([signal.SIGTERM])
    service.start()
    lifeline.send(READY)
    while not _is_over(signals, lifeline):
        place.write(service.figures())
    if not service.stop():
        log.warning("event=stopped some sessions were broken off")
    return 0


def _is_over(signals: Signals, lifeline: socket.socket) -> bool:
    """After a beat, or earlier, whether there is a reason to end: the only thing that comes is the end."""
    awaited: list[Signals | socket.socket] = [signals, lifeline]
    ready, _, _ = select.select(awaited, [], [], BEAT)
    return bool(ready)
