"""The overlay as pieces: what stays of the source, and the octets that come in its place.

What is unchanged is one span, however much it holds. A changed multipart keeps its own delimiter lines; a
new part gets one, and a line ending before the next.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from .edits import Keep, Piece, Put
from .source import Source
from .structure import Node

if TYPE_CHECKING:
    from .part import Part


def message_pieces(root: Part, main: Source) -> Iterator[Piece]:
    """The whole message on its source `main`; the fields of its own header are named."""
    if root._tree is None:                         # nobody has looked into the body, so it is as it came
        yield from root._header_pieces(main=True)
        yield Keep(root._index.end, main.size)
        return
    yield from root._header_pieces(main=True, closing=_body_is_changed(root))
    yield from _body_pieces(root, main)


def body_octets(part: Part) -> bytes:
    """The body of a part as it stands."""
    source = part._node.header.source
    pieces = _body_pieces(part, source)
    return b"".join(source.cut(p.start, p.end) if isinstance(p, Keep) else p.data for p in pieces)


def _part_pieces(part: Part, main: Source) -> Iterator[Piece]:
    node = part._node
    if not part._is_changed:
        yield from _on(main, node.header.source, Keep(node.start, node.end))
        return
    yield from _on(main, part._index.source, *part._header_pieces(closing=_body_is_changed(part)))
    yield from _body_pieces(part, main)


def _body_pieces(part: Part, main: Source) -> Iterator[Piece]:
    node = part._node
    if part._body is not None:
        yield from _on(main, node.header.source, Put(part._body, node.body, node.end))
    elif not _body_is_changed(part):
        yield from _on(main, node.header.source, Keep(node.body, node.end))
    elif node.boundary is None:
        yield from _part_pieces(part._children()[0], main)
    else:
        yield from _multipart_pieces(part, node.boundary, main)


def _multipart_pieces(part: Part, boundary: bytes, main: Source) -> Iterator[Piece]:
    node, eol = part._node, part._eol
    source = node.header.source
    places = {id(child): number for number, child in enumerate(node.children)}
    if node.delimiters:
        yield from _on(main, source, Keep(node.body, node.delimiters[0]))
    ended = True                                   # whether a line ending stands before what comes
    for child in part._children():
        if not ended:
            yield Put(eol)
        if (place := places.get(id(child._place))) is not None:
            ended = yield from _in_place(part, child, place, main)
        else:
            yield Put(b"--" + boundary + eol)
            yield from _part_pieces(child, main)
            ended = False
    if node.close is not None:
        if not ended:
            yield Put(eol)
        yield from _on(main, source, Keep(node.close, node.end))
    elif not (node.children and part._children()[-1]._place is node.children[-1]):
        yield Put((b"" if ended else eol) + b"--" + boundary + b"--" + eol)


def _in_place(part: Part, child: Part, place: int, main: Source) -> Generator[Piece, None, bool]:
    """A part that stands where the source had one, delimiter line first; returns whether a line ending follows it."""
    node = part._node
    source, origin, next_line = node.header.source, node.children[place], _next_line(node, place)
    changed = child._is_changed or child._node is not origin
    yield from _on(main, source, Keep(node.delimiters[place], origin.start))
    followed = changed or child is not part._children()[-1]
    if followed and source.cut(origin.start - 1, origin.start) not in (b"\r", b"\n"):
        yield Put(part._eol)                       # the source ends within the delimiter line
    yield from _part_pieces(child, main)
    if next_line is None or (origin.end == next_line and _ends_anew(child, origin)):
        return False
    if origin.start == next_line == node.close and child is not part._children()[-1]:
        return False                               # nothing parts the two delimiter lines, which would be read as one
    yield from _on(main, source, Keep(origin.end, next_line))
    return True


def _ends_anew(part: Part, origin: Node) -> bool:
    """Whether the last octets of a part are others than its place in the source had; a header's are the same."""
    if part._node is not origin or part._body is not None or part._reshaped:
        return True
    if part._parts is None or origin.close is not None or not origin.children:
        return False
    return _ends_anew(part._parts[-1], origin.children[-1])


def _next_line(node: Node, place: int) -> int | None:
    """Where the delimiter line after that child begins, None where there is none."""
    return node.delimiters[place + 1] if place + 1 < len(node.delimiters) else node.close


def _on(main: Source, source: Source, *pieces: Piece) -> Iterator[Piece]:
    """Pieces over `source` as pieces over `main`: those of another source are octets there."""
    if source is main:
        yield from pieces
        return
    for piece in pieces:
        yield Put(source.cut(piece.start, piece.end) if isinstance(piece, Keep) else piece.data)


def _body_is_changed(part: Part) -> bool:
    return part._body is not None or part._reshaped or any(child._is_changed for child in part._parts or ())
