"""Edits: what was changed, as a pure list over the offsets of the source.

The overlay is compared with the source by identity, never by text: each field and part knows where it
came from. So an edit covers only its own octets; both doors work from the list, the filter port by copying what
lies between, the milter by the field that each edit names.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class EditError(ValueError):
    """A change that would make bad mail; the text names the field or part."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace `source[start:end]` with `data`.

    For a field of the message's own header `name` is its name as spelled in the result (in the source, where it was
    removed) and `occurrence` says which field of that name in the source it was, from 1; None for an
    added one. `body` marks an edit of the message's body.
    """

    start: int
    end: int
    data: bytes
    name: str | None = None
    occurrence: int | None = None
    body: bool = False

    def as_dict(self) -> dict[str, Any]:
        """A plain form for JSON, `data` in base64; `from_dict` reads it back."""
        plain: dict[str, Any] = {"start": self.start, "end": self.end, "data": base64.b64encode(self.data).decode()}
        if self.name is not None:
            plain |= {"name": self.name, "occurrence": self.occurrence}
        return plain | {"body": True} if self.body else plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Edit:
        """Read what `as_dict` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        return cls(**{**plain, "data": base64.b64decode(plain["data"], validate=True)})


@dataclass(frozen=True, slots=True)
class Keep:
    """A span of the source that stays."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Put:
    """Octets in place of a span of the source; `start` None: new, wherever they come. `head`: for the main header."""

    data: bytes
    start: int | None = None
    end: int | None = None
    name: str | None = None
    occurrence: int | None = None
    head: bool = False


Piece = Keep | Put


def edits_of(pieces: Iterable[Piece], source: memoryview, body_start: int) -> tuple[Edit, ...]:
    """The edits that turn the source into the concatenation of the pieces.

    What no piece mentions is removed; a span that comes after a later one is copied.
    """
    return tuple(_merged(_raw_edits(pieces, source, body_start)))


def apply(source: memoryview, edits: Sequence[Edit]) -> Iterator[memoryview | bytes]:
    """The buffers whose concatenation is the source with the edits; none is empty."""
    at = 0
    for edit in edits:
        if edit.start > at:
            yield source[at : edit.start]
        if edit.data:
            yield edit.data
        at = edit.end
    if at < source.nbytes:
        yield source[at:]


def checked(edits: Iterable[Edit], size: int) -> tuple[Edit, ...]:
    """The edits, sorted, disjoint and within the source. Raises EditError where they are not."""
    found = tuple(edits)
    at = 0
    for edit in found:
        if not at <= edit.start <= edit.end <= size:
            raise EditError(f"edit of octets {edit.start} to {edit.end} overlaps another or lies outside the message")
        at = edit.end
    return found


def compose(first: Sequence[Edit], second: Sequence[Edit], source: memoryview, body_start: int) -> tuple[Edit, ...]:
    """One list for `first` on the source and then `second` on its result."""
    waiting = deque(_pieces(first, source.nbytes))
    pieces: list[Piece] = []
    at = 0
    for edit in second:
        pieces += _take(waiting, edit.start - at)
        anchors = [piece for piece in _take(waiting, edit.end - edit.start) if piece.start is not None]
        start, end = (anchors[0].start, anchors[-1].end) if anchors else (None, None)
        pieces.append(Put(edit.data, start, end, edit.name, edit.occurrence, not edit.body))
        at = edit.end
    return edits_of([*pieces, *waiting], source, body_start)


def _pieces(edits: Sequence[Edit], size: int) -> Iterator[Piece]:
    at = 0
    for edit in edits:
        if edit.start > at:
            yield Keep(at, edit.start)
        yield Put(edit.data, edit.start, edit.end, edit.name, edit.occurrence, not edit.body)
        at = edit.end
    if at < size:
        yield Keep(at, size)


def _take(waiting: deque[Piece], count: int) -> list[Piece]:
    """The next `count` octets of the pieces, and what was removed behind them."""
    taken: list[Piece] = []
    while waiting and (count > 0 or _length(waiting[0]) == 0):
        piece = waiting.popleft()
        if _length(piece) > count:
            piece, rest = _cut(piece, count)
            waiting.appendleft(rest)
        taken.append(piece)
        count -= _length(piece)
    return taken


def _length(piece: Piece) -> int:
    return piece.end - piece.start if isinstance(piece, Keep) else len(piece.data)


def _cut(piece: Piece, at: int) -> tuple[Piece, Piece]:
    """A piece in two; a replacement that is cut loses its anchor, what it replaced then stands in no piece."""
    if isinstance(piece, Keep):
        return Keep(piece.start, piece.start + at), Keep(piece.start + at, piece.end)
    return Put(piece.data[:at]), Put(piece.data[at:])


def _raw_edits(pieces: Iterable[Piece], source: memoryview, body_start: int) -> Iterator[Edit]:
    at = 0
    for piece in [*pieces, Keep(source.nbytes, source.nbytes)]:
        start, end = (at, at) if piece.start is None or piece.end is None else (piece.start, piece.end)
        data = None if isinstance(piece, Keep) else piece.data
        if start < at:
            start, end, data = at, at, bytes(source[start:end]) if data is None else data
        if start > at:
            yield Edit(at, start, b"", body=at >= body_start)
        if isinstance(piece, Put):
            body = not piece.head and start >= body_start
            yield Edit(start, end, piece.data, piece.name, piece.occurrence, body)
        elif data is not None:
            yield Edit(start, end, data, body=start >= body_start)
        at = end


def _merged(edits: Iterable[Edit]) -> Iterator[Edit]:
    """Neighbours without a name as one; those that change nothing left out."""
    last: Edit | None = None
    for edit in edits:
        if edit.start == edit.end and not edit.data:
            continue
        if last and last.end == edit.start and last.name is None and edit.name is None and last.body == edit.body:
            last = Edit(last.start, edit.end, last.data + edit.data, body=last.body)
            continue
        if last:
            yield last
        last = edit
    if last:
        yield last
