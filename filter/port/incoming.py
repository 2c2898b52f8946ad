"""The message that follows DATA, into memory or, where it is large, straight into the spool.

What comes is looked at in blocks, and dots are unstuffed on the way, so that of a large message no more than a
block is ever in memory. Whatever is wrong, its size or the disk, it is read to its end: the client hears of
it in the reply to its dot, and the session goes on.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Iterable, Iterator

from ..spool import Spool
from . import transparency
from .limits import Limits
from .wire import TooLong, Wire


class NoRoom(Exception):
    """The spool cannot take the message, which was read and dropped; the cause is an OSError."""


def receive(wire: Wire, limits: Limits, spool: Spool) -> bytes | mmap.mmap:
    """The message. Raises TooLong or NoRoom once it is read to its end, and what the wire raises."""
    most = limits.message_size * 4 // 3 + 5        # doubled dots add a third at most
    deadline = time.monotonic() + limits.data
    wire.push_back(b"\r\n")                        # END may begin with the CRLF of DATA
    if not wire.reaches(transparency.END, min(spool.above, most), deadline):
        return _spooled(wire.blocks(transparency.END, 10 * most, deadline), limits.message_size, spool)
    message = transparency.unstuffed(wire.until(transparency.END, most, trim=(2, 3)))
    if len(message) > limits.message_size:
        raise TooLong
    return message


def _spooled(blocks: Iterator[bytes], limit: int, spool: Spool) -> bytes | mmap.mmap:
    try:
        return spool.keep(_limited(transparency.unstuffing(blocks), limit))
    except OSError as error:
        _drop(blocks)
        raise NoRoom from error
    except TooLong:
        _drop(blocks)
        raise


def _limited(pieces: Iterable[bytes], limit: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise TooLong
        yield piece


def _drop(blocks: Iterable[bytes]) -> None:
    for _ in blocks:
        pass
