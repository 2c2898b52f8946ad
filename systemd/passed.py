"""Sockets that the service manager has bound for us (sd_listen_fds(3)).

They are there before the service and stay while it restarts: who connects meanwhile waits, and is served.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from typing import Final

_FIRST: Final = 3


def passed_sockets(environment: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """The sockets that were passed to this process; what tells of them is taken out of the environment."""
    count = environment.pop("LISTEN_FDS", "0")
    pid = environment.pop("LISTEN_PID", "")
    environment.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    found = [socket.socket(fileno=descriptor) for descriptor in range(_FIRST, _FIRST + int(count))]
    for passed in found:
        passed.set_inheritable(False)  # by programs that a handler runs
    return found
