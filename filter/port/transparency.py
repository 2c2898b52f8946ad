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
from typing import Final, NamedTuple

from .wire import Buffer

END: Final = b"\r\n.\r\n"
"""The end of data. The first CRLF belongs to the message, or to DATA where the message is empty."""

_CR, _LF, _DOT = b"\r\n."
_PIECE: Final = 1024 * 1024
_KEPT: Final = 4 * 1024 * 1024
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


def unstuffing(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The message, in pieces, in what came with the CRLF of DATA before it and END behind it."""
    held, lead = b"", 2                            # octets that may be the start of CRLF dot; of the CRLF of DATA
    for block in blocks:
        octets = held + block
        held = next((end for end in (b"\r\n", b"\r") if octets.endswith(end)), b"")
        if piece := octets[: len(octets) - len(held)].replace(b"\r\n.", b"\r\n"):
            yield piece[lead:]
            lead = 0                               # the last CRLF is that of END, and stays held


class _Rough(NamedTuple):
    """A piece that is mended when it is sent: to keep it mended would be to keep a copy."""

    piece: Buffer


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message made ready for DATA: dots doubled, line ends CRLF, the last line ended.

    `size` is what SIZE declares: octets with CRLF line ends, without the doubled dots and END (RFC 1870).
    """

    size: int
    _parts: tuple[Buffer | _Rough, ...]

    @property
    def buffers(self) -> Iterator[Buffer]:
        """What is to be followed by `.` CRLF. It may be asked for more than once."""
        for part in self._parts:
            yield _mended(part.piece)[1] if isinstance(part, _Rough) else part


def outgoing(chunks: Iterable[Buffer]) -> Outgoing:
    """Make a message ready. Nothing is copied but the pieces (of 1 MiB at most) that change, and few are kept."""
    size, copied = 0, 0
    parts: list[Buffer | _Rough] = []
    line_start, held_cr = True, False
    for piece in _pieces(chunks):
        if held_cr:                                # whether it was bare, this piece tells; it leaves as CRLF anyway
            size += 2
            parts.append(b"\r\n")
            line_start = True
            piece = piece[1:] if piece[0] == _LF else piece
        held_cr = len(piece) > 0 and piece[-1] == _CR
        if held_cr:
            piece = piece[:-1]
        if len(piece):
            if line_start and piece[0] == _DOT:
                parts.append(b".")
            length, mended = _mended(piece)
            size += length
            copied += 0 if mended is piece else length
            parts.append(mended if mended is piece or copied <= _KEPT else _Rough(piece))
            line_start = mended[-1] == _LF
    if held_cr or not line_start:
        size += 2
        parts.append(b"\r\n")
    return Outgoing(size, tuple(parts))


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
