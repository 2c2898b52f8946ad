"""sd_notify: what the service tells the service manager of itself (sd_notify(3)).

Datagrams of `NAME=value` lines to the socket that $NOTIFY_SOCKET names. Nothing depends on their arrival: where
no manager listens, or it does not read, the service goes on.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping


class Notifier:
    """A service's way to its manager. With no address all it says is said to nobody."""

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        """`address` is a path, or "@" and an abstract name. `watchdog` is how many seconds may pass without `beat`."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._beat_every = watchdog / 2
        self._beaten = time.monotonic()
        self._status = ""

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Notifier:
        """The way that the environment tells of; it is taken out of it, since it is not for programs that we start."""
        address = environment.pop("NOTIFY_SOCKET", "")
        microseconds = environment.pop("WATCHDOG_USEC", "0")
        pid = environment.pop("WATCHDOG_PID", "")
        meant = pid in ("", str(os.getpid())) and microseconds.isdecimal()
        return cls(address, int(microseconds) / 1e6 if meant else 0.0)

    def ready(self, status: str) -> None:
        """The service serves, at first or again after a reload."""
        self._status = status
        self._say("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """A reload has begun; `ready` says that it is over, whatever came of it."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reloading")

    def stopping(self, seconds: float) -> None:
        """The end has begun, and may take so long."""
        self._say("STOPPING=1", "STATUS=finishing what is under way", f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def status(self, status: str) -> None:
        """How it goes, on one line; nothing is sent where it is as before."""
        if status != self._status:
            self._status = status
            self._say(f"STATUS={status}")

    def beat(self) -> None:
        """A sign of life, sent when it is time for one."""
        now = time.monotonic()
        if self._beat_every and now - self._beaten >= self._beat_every:
            self._beaten = now
            self._say("WATCHDOG=1")

    def _say(self, *lines: str) -> None:
        if self._address:
            with contextlib.suppress(OSError):
                self._socket.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
