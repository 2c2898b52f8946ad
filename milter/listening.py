"""The listening socket: libmilter opens it, and there is no other way to give it one.

libmilter takes an address in a spelling of its own, tells neither why it could not listen there nor which descriptor
it has, and removes the file of a unix socket when it stops, whoever else listens on it. So the address is tried
before, with an error that says why. The file is named through a descriptor of its folder that is closed again, so
that libmilter does not find it later. And its descriptor is looked for among those that are new.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

log = logging.getLogger("penstock.milter")

_MODE: Final = 0o660


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen, as the configuration has it: `unix:/path`, `host:port` or `[v6]:port`."""

    text: str

    @property
    def path(self) -> Path | None:
        """The file of a unix socket."""
        return Path(self.text.removeprefix("unix:")) if self.text.startswith("unix:") else None

    @property
    def family(self) -> socket.AddressFamily:
        """What kind of socket it is."""
        if self.path is not None:
            return socket.AF_UNIX
        return socket.AF_INET6 if self.text.startswith("[") else socket.AF_INET

    @property
    def name(self) -> Any:
        """The address as Python's sockets have it."""
        if self.path is not None:
            return str(self.path)
        host, _, port = self.text.rpartition(":")
        return host.strip("[]"), int(port)


class Listening:
    """libmilter's listening socket. A unix socket has mode 0660 and the group of its folder, Postfix's."""

    def __init__(self, address: str, opens: Callable[[str], None]) -> None:
        """Have libmilter listen: `opens` is given its own spelling of the address. Raises OSError, with the address."""
        self._address = Address(address)
        self._nowhere: socket.socket | None = None
        try:
            _try_out(self._address)
            self._descriptor = _opened(self._address, opens)
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), address) from error
        with _shared(self._descriptor) as listening:
            self.name: Any = listening.getsockname() if self._address.path is None else self._address.name
            listening.setblocking(False)  # of several processes that share it, the one that comes late must not wait
            if self._address.path is None:
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it

    def divert(self) -> None:
        """Have libmilter listen where nobody calls: who comes to the address is left to other processes."""
        self._nowhere = socket.socket(self._address.family)
        if self._address.path is None:
            self._nowhere.bind(("localhost", 0))
        else:
            self._folder = tempfile.TemporaryDirectory(prefix="penstock-milter-")  # nobody else may look into it
            self._nowhere.bind(f"{self._folder.name}/nowhere.sock")
        self._nowhere.listen()
        self._nowhere.setblocking(False)
        os.dup2(self._nowhere.fileno(), self._descriptor, inheritable=False)
        self.wake()  # libmilter may still wait at the old socket,
        self._call(self.name)  # and poll(2) looks at the new one only when the old one stirs

    def wake(self) -> None:
        """After `divert`, have libmilter look up from its wait."""
        if self._nowhere is not None:
            self._call(self._nowhere.getsockname())

    def _call(self, name: Any) -> None:
        with socket.socket(self._address.family) as caller, contextlib.suppress(OSError):
            caller.setblocking(False)
            caller.connect(name)

    def remove(self) -> None:
        """Remove the file of a unix socket: for the process alone that opened it, once all have stopped."""
        if self._address.path is not None:
            self._address.path.unlink(missing_ok=True)


def _try_out(address: Address) -> None:
    """Raises OSError where nobody could listen. The file that a dead process left behind is removed."""
    path = address.path
    if path is not None and _is_abandoned(path):
        path.unlink()
    with socket.socket(address.family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(address.name)
        trial.listen()
        if path is not None:
            path.unlink()


def _is_abandoned(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.setblocking(False)  # a full backlog is somebody, too
        return caller.connect_ex(str(path)) == errno.ECONNREFUSED and stat.S_ISSOCK(path.stat().st_mode)


def _opened(address: Address, opens: Callable[[str], None]) -> int:
    """The descriptor on which libmilter listens."""
    before = _sockets()
    if address.path is None:
        host, port = address.name
        opens(f"inet6:{port}@[{host}]" if address.family == socket.AF_INET6 else f"inet:{port}@{host}")
        return _listening_one(_sockets() - before)
    folder = os.open(address.path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mask = os.umask(0o777 & ~_MODE)  # the file is never wider than this
    try:
        opens(f"unix:/proc/self/fd/{folder}/{address.path.name}")
    finally:
        os.umask(mask)
        os.close(folder)
    _give_to_folders_group(address.path)
    return _listening_one(_sockets() - before)


def _give_to_folders_group(path: Path) -> None:
    group = path.parent.stat().st_gid
    if path.stat().st_gid != group:
        try:
            os.chown(path, -1, group)
        except PermissionError:
            log.warning("event=group-not-given path=%s group=%d reason=is Postfix in the group of it?", path, group)


def _sockets() -> set[tuple[int, str]]:
    """The descriptors that are sockets, each with which one it is: numbers come again."""
    found: set[tuple[int, str]] = set()
    for entry in os.scandir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if (target := os.readlink(entry.path)).startswith("socket:"):
                found.add((int(entry.name), target))
    return found


def _listening_one(sockets: set[tuple[int, str]]) -> int:
    for descriptor, _ in sockets:
        with _shared(descriptor) as found:
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return descriptor
    raise OSError(errno.EIO, "libmilter does not listen")


@contextlib.contextmanager
def _shared(descriptor: int) -> Iterator[socket.socket]:
    """The socket of a descriptor that is not ours."""
    with socket.socket(fileno=os.dup(descriptor)) as shared:
        yield shared
