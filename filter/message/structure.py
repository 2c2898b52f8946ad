"""The MIME tree by offsets (RFC 2046): one pass over the lines that begin with `--`.

A stack of open multiparts and a dictionary of their boundaries decide each such line in constant
time, so that the pass is linear in the size whatever the nesting; a delimiter of an outer multipart ends all that
is open within it. Delimiter lines match whole: a boundary that is the prefix of another is not mistaken
for it. Past the limits the rest is one opaque leaf, and a defect says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from .header import Defect, HeaderIndex
from .source import Source


@dataclass(frozen=True, slots=True)
class Limits:
    """How deep, and into how many parts, a message is taken apart."""

    depth: int = 100
    parts: int = 10_000


class Node:
    """One part by offsets: header from `start`, body from `body` to `end`; `end` excludes the delimiter's line ending.

    `type` is the media type in lower case, the default where none is declared (RFC 2045 section 5.2).
    `delimiters[i]` is where the delimiter line before `children[i]` begins; `close` is where the closing
    one begins, None where it is missing. A message/rfc822 has one child and no delimiters.
    """

    __slots__ = (
        *("header", "start", "body", "end", "type", "default", "content"),
        *("boundary", "children", "delimiters", "close"),
    )

    def __init__(self, header: HeaderIndex, end: int, default: str) -> None:
        self.header = header
        self.start = header.start
        self.body = header.end
        self.end = end
        self.type = header.content_type.type or default
        self.default = default
        self.boundary: bytes | None = None
        self.children: list[Node] = []
        self.delimiters: list[int] = []
        self.close: int | None = None
        self.content: bytes | None = None


class Index:
    """What is known of one source, shared by all messages over it: the header at once, the tree when asked for."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self.source = source
        self.limits = limits
        self.header = HeaderIndex(source, 0, source.size)
        self._scan: tuple[Node, list[Defect]] | None = None

    @property
    def tree(self) -> Node:
        """The root of the MIME tree."""
        return self._scanned[0]

    @property
    def _scanned(self) -> tuple[Node, list[Defect]]:
        if self._scan is None:
            root = Node(self.header, self.source.size, "text/plain")
            self._scan = root, _Scan(self.source, self.limits).run(root) if root.type.startswith(_WITH_PARTS) else []
        return self._scan

    @property
    def defects(self) -> tuple[Defect, ...]:
        """What is wrong with header and structure, in the order of the source."""
        return tuple(sorted(self.header.defects + self._scanned[1]))

    @cached_property
    def eol(self) -> bytes:
        """The line ending for what is added: LF where the message has no other, else CRLF.

        A bare CR is never added, and LF never where one may come before it: the two would be one line ending.
        """
        size = self.source.size
        return b"\n" if self.source.find(b"\r", 0, size) < 0 <= self.source.find(b"\n", 0, size) else b"\r\n"

    @cached_property
    def sealed(self) -> bool:
        """Whether anything in the tree, attached messages aside, is signed or encrypted (RFC 1847, 8551, 9580)."""
        waiting = [self.tree]
        while waiting:
            node = waiting.pop()
            if node.type in _SEALED or (node.type.startswith("text/") and self._is_armored(node)):
                return True
            if node.type.startswith("multipart/"):
                waiting += node.children
        return False

    def _is_armored(self, node: Node) -> bool:
        return _ARMOR.search(self.source.data, node.body, node.end) is not None


class _Scan:
    """The pass: `running` holds the parts that have not ended yet, outermost first; `places` where in it each open
    boundary's multipart stands. A boundary that is open already stays with the outer multipart."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self.source = source
        self.limits = limits
        self.defects: list[Defect] = []
        self.running: list[Node] = []
        self.places: dict[bytes, int] = {}
        self.count = 0

    def run(self, root: Node) -> list[Defect]:
        """Build the tree below the root; what is wrong in it."""
        self._begin(root)
        at: int | None = root.body
        while self.places and at is not None:
            at = self._next_delimiter(at)
        self._end_from(0, self.source.size)
        return self.defects

    def _next_delimiter(self, at: int) -> int | None:
        """Find the next delimiter line of an open multipart and act on it; where to go on, None at the end."""
        places = self.places
        while (start := self._next_dashes(at)) is not None:
            line = _LINE.match(self.source.data, start)
            assert line is not None                # anything has a first line
            text, at = line[1].rstrip(b" \t"), line.end()
            place, closed = places.get(text), places.get(text[:-2]) if text.endswith(b"--") else None
            if closed is not None and (place is None or closed < place):
                self._close(closed, start)
                return at
            if place is not None:
                return self._begin_part(place, start, self._after_repeats(text, at))
        return None

    def _after_repeats(self, text: bytes, at: int) -> int:
        """Step over the same delimiter line again: no line ending is left to part the two (section 5.1.1)."""
        data = self.source.data
        while data[at : at + 2] == b"--" and (line := _LINE.match(data, at)) and line[1].rstrip(b" \t") == text:
            at = line.end()
        return at

    def _next_dashes(self, at: int) -> int | None:
        """The next line that begins with `--`: leap to a dash, then look at one window with the pattern."""
        size = self.source.size
        while (dash := self.source.find(b"-", at, size)) >= 0:
            at = min(dash + _WINDOW, size)
            if found := _DASHES.search(self.source.data, dash, at):
                return found.start()
            if at == size:
                break
            at -= 1                                # a pair of dashes may lie across
        return None

    def _begin_part(self, place: int, delimiter: int, start: int) -> int:
        """Begin the part behind a delimiter line; where to look for the next one: no header holds a delimiter."""
        source, parent = self.source, self.running[place]
        self._end_from(place + 1, self._before(delimiter))
        parent.delimiters.append(delimiter)
        if self.count >= self.limits.parts:
            self.defects.append(Defect(start, "too many parts: the rest is left unread"))
            node = Node(HeaderIndex(source, start, start), source.size, "application/octet-stream")
            self.running.append(node)
            self.places.clear()
        else:
            default = "message/rfc822" if parent.type == "multipart/digest" else "text/plain"
            node = Node(HeaderIndex(source, start, source.size, nested=True), source.size, default)
            self.defects += node.header.defects
            self._begin(node)
        parent.children.append(node)
        return self.running[-1].body

    def _begin(self, node: Node) -> None:
        """Open a part, and the messages that it holds from its first octet on."""
        self._run(node)
        while _holds_message(node.type) and node.header.encoding not in _ENCODED and self._may_descend(node):
            header = HeaderIndex(self.source, node.body, self.source.size, nested=True)
            self.defects += header.defects
            node.children.append(Node(header, self.source.size, "text/plain"))
            node = node.children[0]
            self._run(node)
        if node.type.startswith("multipart/") and self._may_descend(node):
            self._open(node)

    def _run(self, node: Node) -> None:
        self.count += 1
        self.running.append(node)

    def _may_descend(self, node: Node) -> bool:
        if len(self.running) <= self.limits.depth:
            return True
        self.defects.append(Defect(node.start, "nested too deep: this part is left unread"))
        return False

    def _open(self, node: Node) -> None:
        boundary = node.header.content_type.params.get("boundary", "").rstrip().encode("utf-8", "replace")
        if not boundary:
            self.defects.append(Defect(node.start, "multipart without a boundary"))
        elif boundary in self.places:
            self.defects.append(Defect(node.start, "multipart with the boundary of one around it"))
        else:
            node.boundary = boundary
            self.places[boundary] = len(self.running) - 1
            if node.header.encoding in _ENCODED:
                self.defects.append(Defect(node.start, "multipart in an encoding that hides its parts"))

    def _close(self, place: int, delimiter: int) -> None:
        node = self.running[place]
        self._end_from(place + 1, self._before(delimiter))
        node.close = delimiter
        del self.places[node.boundary or b""]

    def _end_from(self, place: int, end: int) -> None:
        """End all running parts from `place` on; an inner one may have nothing after a header that ends later."""
        while len(self.running) > place:
            node = self.running.pop()
            node.end = end = max(end, node.body)
            if node.boundary is not None and node.close is None:
                self.places.pop(node.boundary, None)
                text = "multipart without its closing delimiter" if node.children else "multipart without a delimiter"
                self.defects.append(Defect(node.start, text))

    def _before(self, delimiter: int) -> int:
        """Where the line ending before a delimiter begins: it belongs to the delimiter (RFC 2046 section 5.1.1)."""
        return delimiter - (2 if self.source.data[delimiter - 2 : delimiter] == b"\r\n" else 1)


def _holds_message(kind: str) -> bool:
    """Whether that type is a message, or fields that read like one; delivery-status has several groups of them."""
    return kind.startswith("message/") and not kind.endswith("delivery-status")


DEFAULT_LIMITS: Final = Limits()
_WITH_PARTS: Final = ("multipart/", "message/")
_SEALED: Final = {
    *("multipart/signed", "multipart/encrypted"),
    *("application/pkcs7-mime", "application/x-pkcs7-mime"),
}
_ARMOR: Final = re.compile(rb"-----BEGIN PGP (?:SIGNED )?MESSAGE-----")
_WINDOW: Final = 1 << 16
_ENCODED: Final = {"base64", "quoted-printable", "x-uuencode", "uuencode", "x-uue"}
_DASHES: Final = re.compile(rb"--(?<=[\r\n]--)")
_LINE: Final = re.compile(rb"--([^\r\n]*+)(?:\r\n?|\n|\Z)")
