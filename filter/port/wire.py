"""One connection as octets: what was read ahead, what waits to be sent, and the clock on both.

Replies (or commands) queue up and leave in one send when the next read would block: this is all that
PIPELINING (RFC 2920) asks of either side. Times are kept by the kernel (SO_RCVTIMEO): Python's own
timeouts cost a poll for each read.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterable
from typing import Final

Buffer = bytes | bytearray | memoryview

_BITE: Final = 256 * 1024
_JOINED: Final = 64 * 1024


class Vanished(Exception):
    """The peer closed or broke the connection."""


class TimedOut(Vanished):
    """The peer kept silent too long, or did not read."""


class TooLong(Exception):
    """What was asked for is longer than allowed; it was read and dropped, and the next follows."""


class Wire:
    """A connected, blocking socket. Every read and write raises Vanished or TimedOut."""

    def __init__(self, connection: socket.socket, timeout: float) -> None:
        self._socket = connection
        self._ahead = bytearray()
        self._queued: list[bytes] = []
        self._timeout = 0.0
        self.limit_waits(timeout)

    def limit_waits(self, seconds: float) -> None:
        """From now on no single read or write waits longer."""
        if seconds != self._timeout:
            self._timeout = seconds
            interval = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)

    def until(self, mark: bytes, limit: int, deadline: float | None = None) -> bytes:
        """Everything up to and with the first `mark`.

        Raises TooLong once the mark is found beyond `limit` octets: memory stays bounded by `limit`.
        Raises Vanished where more than ten times `limit` come without it, TimedOut at `deadline` (monotonic).
        """
        ahead, seen, dropped = self._ahead, 0, 0
        while (start := ahead.find(mark, max(0, seen - len(mark) + 1))) < 0:
            seen = len(ahead)
            if seen > limit:
                dropped += seen
                del ahead[: 1 - len(mark) or seen]
                seen = len(ahead)
            if dropped > 10 * limit:
                raise Vanished("the peer sends without end")
            if deadline is not None and time.monotonic() > deadline:
                raise TimedOut("the peer takes too long")
            self._receive()
        end = start + len(mark)
        if dropped or end > limit:
            del ahead[:end]
            raise TooLong
        with memoryview(ahead) as view:
            found = bytes(view[:end])
        del ahead[:end]
        return found

    def push_back(self, octets: bytes) -> None:
        """Put octets before all that is still to be read."""
        self._ahead[:0] = octets

    @property
    def has_line(self) -> bool:
        """Whether a whole line was read ahead."""
        return b"\n" in self._ahead

    def write(self, octets: bytes) -> None:
        """Queue octets; they leave before the next read that would block, or at `flush`."""
        self._queued.append(octets)

    def flush(self) -> None:
        """Send what is queued."""
        if self._queued:
            queued, self._queued = b"".join(self._queued), []
            self._send([queued])

    def send(self, buffers: Iterable[Buffer]) -> None:
        """Send what is queued and then the buffers: small ones joined, large ones as they are."""
        self._queued, pending = [], [b"".join(self._queued)]
        joined = len(pending[0])
        vector: list[Buffer] = []
        for buffer in buffers:
            if len(buffer) > _JOINED:
                vector += [b"".join(pending), buffer]
                pending, joined = [], 0
                continue
            pending.append(bytes(buffer))
            joined += len(buffer)
        self._send([*vector, b"".join(pending)])

    def end_reading(self) -> None:
        """Make a read that waits now, in another thread, find the end of the stream."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def abort(self) -> None:
        """Break the connection under a thread that uses it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close; what is queued is lost."""
        self._socket.close()

    def _receive(self) -> None:
        self.flush()
        try:
            octets = self._socket.recv(_BITE)
        except BlockingIOError:
            raise TimedOut("the peer keeps silent") from None
        except OSError as error:
            raise Vanished(str(error)) from error
        if not octets:
            raise Vanished("the peer closed the connection")
        self._ahead += octets

    def _send(self, buffers: list[Buffer]) -> None:
        pending = [memoryview(buffer) for buffer in buffers if len(buffer)]
        try:
            while pending:
                sent = self._socket.sendmsg(pending[:64])
                while pending and sent >= len(pending[0]):
                    sent -= len(pending.pop(0))
                if sent:
                    pending[0] = pending[0][sent:]
        except BlockingIOError:
            raise TimedOut("the peer does not read") from None
        except OSError as error:
            raise Vanished(str(error)) from error
