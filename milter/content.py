"""The message as it comes, field by field and then in pieces of the body, put together again octet for octet.

libmilter hands over a field as its name, and its value with LF for each line end. With the leading space negotiated
(SMFIP_HDR_LEADSPC) all else of the value is as it came. Postfix shows its own Received to no milter. A NUL ends
what a milter sees of a field: values are C strings on the wire.
"""

from __future__ import annotations

import mmap
from typing import Final

from ..filter.spool import Heap, Spool

_EMPTY_LINE: Final = b"\r\n"


class TooLarge(Exception):
    """The message is above the limit; its octets were dropped."""


class Content:
    """Header and body of one message, of at most `limit` octets; what is large lies in the spool."""

    __slots__ = ("_fields", "_heap", "_left", "_lost", "_spaced", "_spool")

    def __init__(self, limit: int, spool: Spool, *, spaced: bool) -> None:
        """`spaced`: the leading space of a value is given with it; else each had one, for all that we know."""
        self._left = limit - len(_EMPTY_LINE)
        self._spool = spool
        self._spaced = spaced
        self._fields: list[bytes] = []
        self._heap: Heap | None = None
        self._lost: Exception | None = None

    def field(self, name: str, value: bytes) -> None:
        """The next field of the header."""
        if b"\n" in value:
            value = value.replace(b"\n", b"\r\n")
        field = b"%b:%b\r\n" % (name.encode(), value if self._spaced else b" " + value)
        self._left -= len(field)
        if self._left >= 0:
            self._fields.append(field)
        else:
            self._lose(TooLarge())

    def piece(self, octets: bytes) -> None:
        """The next piece of the body."""
        self._left -= len(octets)
        if self._left < 0:
            self._lose(TooLarge())
            return
        try:
            if self._heap is None:
                self._heap = self._begin_body()
            self._heap.add(octets)
        except OSError as error:
            self._lose(error)

    def whole(self) -> bytes | mmap.mmap:
        """The message. Raises TooLarge, and OSError where the spool could not take it."""
        if self._lost is not None:
            raise self._lost
        return (self._heap or self._begin_body()).whole()

    def _begin_body(self) -> Heap:
        heap = Heap(self._spool)
        heap.add(b"".join((*self._fields, _EMPTY_LINE)))
        self._fields.clear()
        return heap

    def _lose(self, why: Exception) -> None:
        """Take no more; the first reason counts."""
        self._left = -1
        self._lost = self._lost or why
        self._fields.clear()
        self._heap = None
