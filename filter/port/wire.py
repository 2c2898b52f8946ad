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
from collections.abc import Iterable, Iterator
from typing import Final

Buffer = bytes | bytearray | memoryview

_BITES: Final = (16 * 1024, 256 * 1024)
"""Octets asked for at once: few while commands go to and fro, more where more was there than was asked for.

A large buffer costs a mapping and a page fault each time, which at 4 kB a message is a third of the whole.
"""
_JOINED: Final = 64 * 1024
_BATCH: Final = 4 * 1024 * 1024
_VECTOR: Final = 64


class Vanished(Exception):
    """The peer closed or broke the connection."""


class TimedOut(Vanished):
    """The peer kept silent too long, or did not read."""


class TooLong(Exception):
    """What was asked for is longer than allowed; it was read and dropped, and the next follows."""


class Wire:
    """A connected, blocking socket. Every read and write raises Vanished or TimedOut."""

    def __init__(self, connection: socket.socket, timeout: float) -> None:
        """No single read or write waits longer than `timeout` seconds."""
        self._socket = connection
        self._ahead = bytearray()
        self._queued: list[bytes] = []
        interval = struct.pack("ll", int(timeout), int(timeout % 1 * 1_000_000))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)

    def until(self, mark: bytes, limit: int, trim: tuple[int, int] = (0, 0)) -> bytes:
        """Everything up to and with the first `mark`, but for the octets that `trim` counts at both ends.

        Raises TooLong once the mark is found beyond `limit` octets: memory stays bounded by `limit`.
        Raises Vanished where more than ten times `limit` come without it.
        """
        ahead = self._ahead
        if not ahead:
            octets = self._receive(_BITES[0])
            if 0 <= octets.find(mark) == len(octets) - len(mark) and len(octets) <= limit:
                return octets[trim[0] : len(octets) - trim[1]]  # by far the most common: one line, all that came
            ahead += octets
        start = ahead.find(mark)
        if start < 0:
            start = self._search_on(mark, limit)
        end = start + len(mark)
        if end > limit:
            del ahead[:end]
            raise TooLong
        with memoryview(ahead) as view:
            found = bytes(view[trim[0] : end - trim[1]])
        del ahead[:end]
        return found

    def reaches(self, mark: bytes, most: int, deadline: float) -> bool:
        """Read on until `mark` is there, for `until` to take; False where it is not among the first `most` octets.

        Raises TimedOut at `deadline` (monotonic).
        """
        ahead = self._ahead
        seen, bite = 0, _BITES[0]
        while ahead.find(mark, max(0, seen - len(mark)), most) < 0:
            if (seen := len(ahead)) >= most:
                return False
            bite = self._read_on(bite, deadline)
        return True

    def blocks(self, mark: bytes, most: int, deadline: float) -> Iterator[bytes]:
        """Everything up to and with the first `mark`, in blocks as it comes.

        Raises Vanished where more than `most` octets come without it, TimedOut at `deadline` (monotonic).
        """
        ahead, overlap = self._ahead, len(mark) - 1
        while (start := ahead.find(mark)) < 0:
            if (count := len(ahead) - overlap) > 0:
                most -= count
                yield self._taken(count)
            if most < 0:
                raise Vanished("the peer sends without end")
            self._read_on(_BITES[1], deadline)
        yield self._taken(start + len(mark))

    def push_back(self, octets: bytes) -> None:
        """Put octets before all that is still to be read."""
        self._ahead[:0] = octets

    def write(self, octets: bytes) -> None:
        """Queue octets; they leave before the next read that would block, or at `flush`."""
        self._queued.append(octets)

    def flush(self) -> None:
        """Send what is queued."""
        if self._queued:
            queued = self._queued[0] if len(self._queued) == 1 else b"".join(self._queued)
            self._queued.clear()
            self._send(queued)

    def send(self, buffers: Iterable[Buffer]) -> None:
        """Send what is queued and then the buffers: small ones joined, large ones as they are.

        They are asked for as they are sent, and none is kept: so a message of any size may be made on the way.
        """
        small: list[Buffer] = [*self._queued]
        large: list[Buffer] = []
        self._queued.clear()
        waiting = 0
        for buffer in buffers:
            if waiting > _BATCH:
                self._send_all([*large, b"".join(small)])
                small, large, waiting = [], [], 0
            waiting += len(buffer)
            if len(buffer) > _JOINED:
                large += [b"".join(small), buffer]
                small = []
            else:
                small.append(buffer)
        self._send_all([*large, b"".join(small)])

    def end_reading(self) -> None:
        """Make a read that waits now, in another thread, find the end of the stream."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def abort(self) -> None:
        """Break the connection under a thread that uses it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close; what is queued is lost. What the peer sent in vain is read, or it would lose our last words (RST)."""
        with self._socket, contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.recv(_BITES[1], socket.MSG_DONTWAIT)

    def _search_on(self, mark: bytes, limit: int) -> int:
        """Read until `mark` is there and return where; TooLong where it comes beyond `limit`, all before it dropped."""
        ahead, overlap = self._ahead, len(mark) - 1
        dropped, start, bite = 0, -1, _BITES[0]
        while start < 0:
            seen = len(ahead)
            if seen > limit:
                dropped += seen - overlap
                del ahead[: seen - overlap]
                seen = overlap
            if dropped > 10 * limit:
                raise Vanished("the peer sends without end")
            bite = self._read_on(bite)
            start = ahead.find(mark, max(0, seen - overlap))
        if dropped:
            del ahead[: start + len(mark)]
            raise TooLong
        return start

    def _read_on(self, bite: int, deadline: float | None = None) -> int:
        """Read what there is, at most `bite` octets; returns how many to ask for next."""
        if deadline is not None and time.monotonic() > deadline:
            raise TimedOut("the peer takes too long")
        octets = self._receive(bite)
        self._ahead += octets
        return _BITES[1] if len(octets) == bite else bite

    def _taken(self, count: int) -> bytes:
        """The first octets that were read ahead."""
        with memoryview(self._ahead) as view:
            octets = bytes(view[:count])
        del self._ahead[:count]
        return octets

    def _receive(self, bite: int) -> bytes:
        if self._queued:
            self.flush()
        try:
            octets = self._socket.recv(bite)
        except BlockingIOError:
            raise TimedOut("the peer keeps silent") from None
        except OSError as error:
            raise Vanished(str(error)) from error
        if not octets:
            raise Vanished("the peer closed the connection")
        return octets

    def _send(self, octets: bytes) -> None:
        try:
            self._socket.sendall(octets)
        except BlockingIOError:
            raise TimedOut("the peer does not read") from None
        except OSError as error:
            raise Vanished(str(error)) from error

    def _send_all(self, buffers: list[Buffer]) -> None:
        """As `_send`, without a copy: the last octets of a message and its dot leave in one segment."""
        pending = [memoryview(buffer) for buffer in buffers if buffer]
        try:
            while pending:
                sent = self._socket.sendmsg(pending[:_VECTOR])
                while pending and sent >= len(pending[0]):
                    sent -= len(pending.pop(0))
                if sent:
                    pending[0] = pending[0][sent:]
        except BlockingIOError:
            raise TimedOut("the peer does not read") from None
        except OSError as error:
            raise Vanished(str(error)) from error
