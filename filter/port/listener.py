"""Listening sockets: where the port can be reached.

A unix socket is left for its owner and group alone (mode 0660): on a loopback port any local user
could claim to be any client (XFORWARD). A socket file that a dead process left behind is removed,
one that somebody listens on never.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from dataclasses import dataclass
from typing import Final

from .endpoint import Endpoint

_BACKLOG: Final = 512


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket and the address that it is configured as. A unix socket speaks LMTP alone."""

    address: str
    socket: socket.socket

    @property
    def is_unix(self) -> bool:
        return self.socket.family == socket.AF_UNIX

    @property
    def endpoint(self) -> Endpoint:
        """Where it can be reached, with the port that the kernel chose where the address says 0."""
        name = self.socket.getsockname()
        return Endpoint(name) if self.is_unix else Endpoint(None, name[0], name[1])

    def close(self) -> None:
        """Close this process's hold of the socket; others that share it go on."""
        self.socket.close()

    def remove(self) -> None:
        """Close the socket for good: its file goes too. For the process alone that bound it."""
        path = self.endpoint.path
        if path is not None:
            with contextlib.suppress(FileNotFoundError, PermissionError):  # root may have made it in a folder of root's
                os.unlink(path)
        self.close()


def listen(address: str) -> list[Listener]:
    """Listen on an address; a host name may stand for several. Raises ValueError or OSError."""
    endpoint = Endpoint.parse(address)
    if endpoint.path is not None:
        return [Listener(address, _unix(endpoint.path))]
    found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[Listener] = []
    try:
        for family, _, _, _, name in dict.fromkeys(found):
            listeners.append(Listener(address, _tcp(family, name)))
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _tcp(family: int, name: object) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(name)  # type: ignore[arg-type]
        return _listening(listening)
    except OSError:
        listening.close()
        raise


def _unix(path: str) -> socket.socket:
    _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listening.fileno(), 0o660)  # the file is never wider than this, whatever the umask
        listening.bind(path)
        os.chmod(path, 0o660)
        return _listening(listening)
    except OSError:
        listening.close()
        raise


def _listening(bound: socket.socket) -> socket.socket:
    bound.listen(_BACKLOG)
    bound.setblocking(False)  # of several processes that share it, the one that comes late must not wait
    return bound


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "in the way, and not a socket", path)
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a full backlog is somebody, too
        if probe.connect_ex(path) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, "somebody listens there", path)
    os.unlink(path)
