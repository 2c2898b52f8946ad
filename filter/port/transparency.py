"""Dots and line ends of a message on the wire (RFC 5321 sections 2.3.8, 4.1.1.4 and 4.5.2).

Inward, CRLF.CRLF ends the message and nothing else does, and a dot goes only after CRLF: whatever
stands around a bare LF or CR is data. Two servers that disagree on this can be made to see two
messages where one was sent (SMTP smuggling). Outward we are stricter than the RFC asks: a bare LF or
CR becomes CRLF and a dot after any line end is doubled, since some servers take LF.CRLF for the end.
A message that needs none of this leaves as the very buffers that it came in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from .wire import Buffer

END: Final = b"\r\n.\r\n"
"""The end of data. The first CRLF belongs to the message, or to DATA where the message is empty."""

_CR, _LF, _DOT = b"\r\n."
_PIECE: Final = 1024 * 1024
_STUFFED_DOT: Final = re.compile(rb"\n(?=\.)")  # a single literal and a lookahead: the fastest search there is
_LF_TROUBLE: Final = re.compile(rb"\n(?:\.|(?<!\r\n))")
_CR_TROUBLE: Final = re.compile(rb"\r(?!\n)")
_LINE_END: Final = re.compile(rb"\r\n?|\n")


def unstuffed(content: bytes) -> bytes:
    """The message in what came between DATA and the final dot."""
    if content.startswith(b"."):
        content = content[1:]
    if _STUFFED_DOT.search(content):
        return content.replace(b"\r\n.", b"\r\n")
    return content


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message made ready for DATA: dots doubled, line ends CRLF, the last line ended.

    `size` is what SIZE declares: octets with CRLF line ends, without the doubled dots and END (RFC 1870).
    `buffers` are to be followed by `.` CRLF.
    """

    size: int
    buffers: tuple[Buffer, ...]


def outgoing(chunks: Iterable[Buffer]) -> Outgoing:
    """Make a message ready. Nothing is copied but the pieces (of 1 MiB at most) that change."""
    size, buffers = 0, list[Buffer]()
    line_start, held_cr = True, False
    for piece in _pieces(chunks):
        if held_cr:
            piece = b"\r" + bytes(piece)
        held_cr = piece[-1] == _CR  # whether it is bare, the next piece tells
        if held_cr:
            piece = piece[:-1]
        if len(piece):
            if line_start and piece[0] == _DOT:
                buffers.append(b".")
            length, mended = _mended(piece)
            size += length
            buffers.append(mended)
            line_start = mended[-1] == _LF
    if held_cr or not line_start:
        size += 2
        buffers.append(b"\r\n")
    return Outgoing(size, tuple(buffers))


def _mended(piece: Buffer) -> tuple[int, Buffer]:
    """The piece with CRLF line ends and doubled dots, and its length without these dots."""
    if not (_LF_TROUBLE.search(piece) or _CR_TROUBLE.search(piece)):
        return len(piece), piece
    plain = bytes(piece)
    if plain.count(b"\r\n") != plain.count(b"\n") or _CR_TROUBLE.search(plain):
        plain = _LINE_END.sub(b"\r\n", plain)
    return len(plain), plain.replace(b"\n.", b"\n..")


def _pieces(chunks: Iterable[Buffer]) -> Iterator[Buffer]:
    for chunk in chunks:
        if len(chunk) <= _PIECE:
            if len(chunk):
                yield chunk
            continue
        view = memoryview(chunk)
        for start in range(0, len(view), _PIECE):
            yield view[start : start + _PIECE]
