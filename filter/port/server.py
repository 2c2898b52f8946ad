"""The server: listeners, a thread for each connection, and an orderly end.

Threads and blocking calls are the whole model: Postfix bounds the number of its connections, and
handlers are plain functions. One thread accepts for all listeners; nothing that happens to a
connection, and no shortage of descriptors or threads, ends it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from ..spool import Spool
from ..verdict import Reply
from . import replies
from .core import Pipeline
from .door import Door, Sender
from .limits import Limits
from .listener import Listener, listen
from .session import Peer, Session
from .wire import Wire

log = logging.getLogger("penstock.port")

LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
_SILENCE: Final = 1.0
"""Seconds of silence after which a client is not in the middle of anything."""
_BREATH: Final = 0.2  # seconds to wait when the system is out of descriptors or threads


class Server:
    """The content-filter port.

    `listeners` are addresses to bind (`unix:/path`, which speaks LMTP alone, `host:port`, `[v6]:port`), or
    sockets that listen already, whose files then are not ours to remove. XFORWARD is believed from unix
    sockets and from the networks of `xforward_from`. Large messages lie in the `spool`. Raises ValueError
    for a network that is none.
    """

    def __init__(
        self,
        listeners: Sequence[str | Listener],
        pipeline: Pipeline[Any],
        reinjector: Sender,
        limits: Limits | None = None,
        hostname: str = "localhost",
        xforward_from: Sequence[str] = LOOPBACK,
        spool: Spool | None = None,
    ) -> None:
        self._wanted = listeners
        self._door = Door(pipeline, reinjector, limits or Limits(), hostname, spool or Spool())
        self._trusted = [ipaddress.ip_network(network) for network in xforward_from]
        self._bound: list[Listener] = []
        self._listeners: list[Listener] = []
        self._sessions: set[Session] = set()
        self._changed = threading.Condition()
        self._stopping = False
        self._acceptor: threading.Thread | None = None
        self._selector: selectors.BaseSelector = selectors.SelectSelector()  # of no use before the start
        self._wake_up, self._wake = -1, -1

    @property
    def listeners(self) -> Sequence[Listener]:
        """The sockets that it listens on, once started."""
        return tuple(self._listeners)

    @property
    def sessions(self) -> int:
        """How many sessions there are."""
        return len(self._sessions)

    def start(self) -> None:
        """Bind, listen, and serve in threads of its own. Raises OSError or ValueError, with nothing left bound."""
        try:
            self._listen()
            self._selector = selectors.DefaultSelector()
            self._wake_up, self._wake = os.pipe()
        except (OSError, ValueError):
            self._selector.close()
            self._close_listeners()
            raise
        self._selector.register(self._wake_up, selectors.EVENT_READ)
        for listener in self._listeners:
            self._selector.register(listener.socket, selectors.EVENT_READ, listener)
        self._acceptor = threading.Thread(target=self._accept_all, name="penstock-accept", daemon=True)
        self._acceptor.start()

    def stop(self, drain_seconds: float = 30.0) -> bool:
        """Listen no more, let sessions come to an end for so long, then break off.

        A session between two messages gets a 421 when it has been silent for a while, at its next RSET, or when
        half of the time is over: so that no client loses the connection under a message that it has begun.
        Returns whether all sessions ended by themselves.
        """
        if self._acceptor is None:
            return True
        self._stopping = True
        os.write(self._wake, b"!")
        self._acceptor.join()
        self._acceptor = None
        self._selector.close()
        os.close(self._wake_up)
        os.close(self._wake)
        self._close_listeners()
        return self._drain(drain_seconds)

    def _drain(self, seconds: float) -> bool:
        begin = time.monotonic()
        with self._changed:
            for session in self._sessions:
                session.drain()
            self._see_off(begin + seconds / 2)
            for session in self._sessions:
                session.leave()
            drained = self._changed.wait_for(lambda: not self._sessions, max(0.0, begin + seconds - time.monotonic()))
            for session in self._sessions:
                session.abort()
            if not drained:
                log.warning("event=broken-off sessions=%d", len(self._sessions))
                self._changed.wait_for(lambda: not self._sessions, _BREATH)
            return drained

    def _see_off(self, until: float) -> None:
        """Let sessions end at a moment of their own, or when nothing is heard of them for a while."""
        heard: dict[Session, tuple[int, float]] = {}
        while self._sessions and (now := time.monotonic()) < until:
            for session in self._sessions:
                lines, since = heard.get(session, (-1, now))
                if not session.is_idle or session.lines != lines:
                    heard[session] = session.lines, now
                elif now - since > _SILENCE:
                    session.leave()
            self._changed.wait(_BREATH)

    def _listen(self) -> None:
        for wanted in self._wanted:
            if isinstance(wanted, Listener):
                self._listeners.append(wanted)
            else:
                bound = listen(wanted)
                self._bound += bound
                self._listeners += bound

    def _accept_all(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select():
                if isinstance(key.data, Listener):
                    self._accept_safely(key.data)

    def _accept_safely(self, listener: Listener) -> None:
        """Nothing ends the thread that accepts, not even a log that cannot be written."""
        try:
            self._accept(listener)
        except Exception:
            with contextlib.suppress(Exception):
                log.exception("event=fault at=accept listener=%s", listener.address)
            time.sleep(_BREATH)

    def _accept(self, listener: Listener) -> None:
        try:
            connection, address = listener.socket.accept()
        except (BlockingIOError, ConnectionError):
            return  # another process was faster, or the client left already
        except OSError as error:
            log.warning("event=accept-failed listener=%s error=%r", listener.address, str(error))
            time.sleep(_BREATH)
            return
        limit = self._door.limits.connections
        if len(self._sessions) >= limit:
            log.warning("event=too-many-connections listener=%s limit=%d", listener.address, limit)
            _turn_away(connection, replies.TOO_BUSY)
            return
        try:
            self._serve(connection, self._peer(listener, address))
        except (RuntimeError, OSError, MemoryError) as error:  # RuntimeError: no thread could be started
            log.warning("event=serve-failed listener=%s error=%r", listener.address, str(error))
            _turn_away(connection, replies.NO_THREAD)
            time.sleep(_BREATH)

    def _serve(self, connection: socket.socket, peer: Peer) -> None:
        session = Session(Wire(connection, self._door.limits.idle), self._door, peer, self._forget)
        with self._changed:
            self._sessions.add(session)
        try:
            threading.Thread(target=session.run, name=f"penstock-port-{peer.name}", daemon=True).start()
        except BaseException:
            self._forget(session)
            raise

    def _forget(self, session: Session) -> None:
        with self._changed:
            self._sessions.discard(session)
            self._changed.notify_all()

    def _peer(self, listener: Listener, address: Any) -> Peer:
        if listener.is_unix:
            return Peer("unix", listener.address, lmtp_only=True, may_xforward=True)
        client = ipaddress.ip_address(address[0].partition("%")[0])
        trusted = any(client in network for network in self._trusted)
        return Peer(f"{address[0]}:{address[1]}", listener.address, lmtp_only=False, may_xforward=trusted)

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            if listener in self._bound:
                listener.remove()
            else:
                listener.close()
        self._listeners, self._bound = [], []


def _turn_away(connection: socket.socket, reply: Reply) -> None:
    """Say why and close, without waiting for the client."""
    with connection, contextlib.suppress(OSError):
        connection.setblocking(False)
        connection.send(replies.encode(reply))
