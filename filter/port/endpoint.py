"""Addresses of sockets as the configuration writes them: `unix:/path`, `host:port`, `[v6]:port`."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

_HOST_PORT = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<host>[^\[\]:\s]+)):(?P<port>\d{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a socket listens or is reached: `path` of a unix socket, else `host` and `port`."""

    path: str | None
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, address: str) -> Endpoint:
        """Read an address. Raises ValueError for anything else."""
        if address.startswith("unix:/"):
            return cls(address.removeprefix("unix:"))
        match = _HOST_PORT.fullmatch(address)
        if match is None or int(match["port"]) > 65535:
            raise ValueError(f"not an address like unix:/path, host:port or [v6]:port: {address!r}")
        return cls(None, match["v6"] or match["host"], int(match["port"]))

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def connect(self, timeout: float) -> socket.socket:
        """A connected socket, blocking, TCP_NODELAY set. Raises OSError."""
        if self.path is None:
            connected = socket.create_connection((self.host, self.port), timeout)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a lone last packet stalls 40 ms
        else:
            connected = socket.socket(socket.AF_UNIX)
            try:
                connected.settimeout(timeout)
                connected.connect(self.path)
            except OSError:
                connected.close()
                raise
        connected.settimeout(None)
        return connected
