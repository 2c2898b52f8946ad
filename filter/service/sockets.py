"""The sockets of the service: bound once, held through every reload, shared by all workers.

A connection that no worker has taken yet waits in the kernel, so while the supervisor holds a socket nobody
is turned away, whatever becomes of the workers. The milter's is libmilter's, which has one in its life: once open,
it is served until the end, and at one address.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...milter.server import MilterServer
from ..config import Settings
from ..port import Listener, listen
from ..port.endpoint import Endpoint
from .failure import CannotStart
from .rights import Rights


@dataclass(frozen=True, slots=True)
class Doors:
    """Where workers serve: the listeners of the filter port, and the milter where it is open."""

    listeners: Sequence[Listener]
    milter: MilterServer | None = None


class Sockets:
    """Listening sockets by the addresses that they are configured as.

    `passed` are sockets of the filter port that a service manager has bound: they are used where they are configured,
    and their files are the manager's.
    """

    def __init__(self, passed: Mapping[str, Sequence[Listener]] | None = None) -> None:
        self._passed = dict(passed or {})
        self._bound: dict[str, Sequence[Listener]] = {}
        self._milter: tuple[str, MilterServer] | None = None

    def check(self, settings: Settings) -> None:
        """Raises CannotStart for a configuration that does not fit to what is open and cannot be opened anew."""
        if strays := [address for address in self._passed if address not in settings.filter.listen]:
            raise CannotStart(
                f"[filter] listen: the socket unit passes {', '.join(strays)}, which is not listed here; "
                "write the same addresses in both"
            )
        if self._milter is not None and settings.milter.handlers and settings.milter.listen != self._milter[0]:
            raise CannotStart(
                f"[milter] listen: the milter listens on {self._milter[0]}, and takes {settings.milter.listen} "
                "after a restart only"
            )

    def open(self, settings: Settings, owner: Rights | None = None) -> Collection[str]:
        """Open what is not open yet; returns the new addresses of the port. Raises CannotStart, with none of them open.

        The files of unix sockets are given to `owner`.
        """
        self.check(settings)
        new: list[str] = []
        try:
            for address in settings.filter.listen:
                if address not in self._passed and address not in self._bound:
                    with _told("filter", address):
                        self._bound[address] = _bind(address, owner)
                    new.append(address)
            if settings.milter.handlers and self._milter is None:
                with _told("milter", settings.milter.listen):
                    self._milter = settings.milter.listen, _open_milter(settings.milter.listen)
        except CannotStart:
            self.remove(new)
            raise
        return new

    def doors(self, settings: Settings) -> Doors:
        """What a configuration serves, once it is open."""
        listeners = [listener for address in settings.filter.listen for listener in self._all()[address]]
        return Doors(listeners, self._milter[1] if self._milter is not None else None)

    def others(self, addresses: Collection[str]) -> list[Listener]:
        """The listeners at all other addresses."""
        return [each for address, found in self._all().items() if address not in addresses for each in found]

    def keep(self, addresses: Collection[str]) -> None:
        """Close those at all other addresses that were not passed."""
        self.remove([address for address in self._bound if address not in addresses])

    def remove(self, addresses: Iterable[str]) -> None:
        """Close sockets of the port, and remove their files."""
        for address in addresses:
            for listener in self._bound.pop(address, ()):
                listener.remove()

    def close(self) -> None:
        """Close them all, once all workers are gone."""
        self.keep(())
        if self._milter is not None:
            with contextlib.suppress(PermissionError):  # root may have made it in a folder of root's
                self._milter[1].close()

    def _all(self) -> Mapping[str, Sequence[Listener]]:
        return self._bound | self._passed


def adopted(passed: Iterable[socket.socket], addresses: Iterable[str]) -> dict[str, list[Listener]]:
    """Sockets that were passed to us, by the addresses that mean them, or else by their own."""
    found: dict[str, list[Listener]] = {}
    for each in passed:
        name = each.getsockname()
        own = Endpoint(name) if each.family == socket.AF_UNIX else Endpoint(None, name[0], name[1])
        address = next((address for address in addresses if _means(address, each, own)), str(own))
        each.setblocking(False)
        found.setdefault(address, []).append(Listener(address, each))
    return found


def _means(address: str, passed: socket.socket, own: Endpoint) -> bool:
    """Whether an address of the configuration is that of a socket."""
    endpoint = Endpoint.parse(address)
    if endpoint.path is not None or own.path is not None or endpoint.port != own.port:
        return endpoint == own
    names = socket.getaddrinfo(endpoint.host, endpoint.port, passed.family, socket.SOCK_STREAM)
    return own.host in [name[0] for *_, name in names]


def _bind(address: str, owner: Rights | None) -> Sequence[Listener]:
    listeners = listen(address)
    for listener in listeners:
        if owner is not None and listener.is_unix:
            owner.own(listener.socket.getsockname())
    return listeners


def _open_milter(address: str) -> MilterServer:
    milter = MilterServer(address)
    milter.open()
    return milter


@contextlib.contextmanager
def _told(door: str, address: str) -> Iterator[None]:
    """Why a socket could not be opened, as CannotStart."""
    try:
        yield
    except OSError as error:
        hint = "; does another penstock run?" if error.errno == errno.EADDRINUSE else ""
        reason = f"cannot listen on {address}: {error.strerror or error}{hint}"
        raise CannotStart(f"[{door}] listen: {reason}") from error
