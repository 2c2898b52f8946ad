"""What was changed in one header block: fields of the source by number, and fields that were added.

Fields are found by identity, never by comparing texts, so two that look the same are still two. Nothing here
refers to the part that it belongs to: a message is freed as soon as nobody holds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter

from .edits import Edit, Keep, Piece, Put
from .header import HeaderIndex
from .source import Source


class Added:
    """A field that the source does not have."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    @property
    def name(self) -> str:
        return self.raw.partition(b":")[0].decode("ascii").rstrip(" \t")


class Overlay:
    """Changes over the fields of a header: new octets or None (removed) by number, and what was added before which.

    `added[n]` stands before field number n of the source; where the source has n fields, behind the last.
    """

    __slots__ = ("added", "changes")

    def __init__(self) -> None:
        self.changes: dict[int, bytes | None] = {}
        self.added: dict[int, list[Added]] = {}

    def __bool__(self) -> bool:
        return bool(self.changes or self.added)

    @classmethod
    def replayed(cls, index: HeaderIndex, edits: Iterable[Edit]) -> Overlay | None:
        """The overlay that gives these edits again; None where one is not about one field, or not of the header."""
        starts = {match.start(): number for number, match in enumerate(index.matches)} | {
            index.last: len(index.matches)
        }
        overlay = cls()
        for edit in edits:
            if edit.body or edit.name is None or (number := starts.get(edit.start)) is None:
                return None
            if edit.start == edit.end and edit.occurrence is None:
                overlay.add(Added(edit.data), number)
            elif number < len(index.matches) and index.matches[number].end() == edit.end:
                overlay.changes[number] = edit.data or None
            else:
                return None
        return overlay

    @classmethod
    def rewritten(cls, index: HeaderIndex, header: bytes) -> Overlay | None:
        """The overlay that makes all of the block these octets; None where they are no such block.

        Nor where they describe the body otherwise, which then reads otherwise. Equal fields at both ends stay.
        """
        new = HeaderIndex(Source(header), 0, len(header))
        if not new.matches or new.end < len(header) or _frame(new) != _frame(index):
            return None
        old, raws = [match[0] for match in index.matches], [match[0] for match in new.matches]
        head = _alike(old, raws)
        tail = _alike(old[head:][::-1], raws[head:][::-1])
        overlay = cls()
        overlay.changes = dict.fromkeys(range(head, len(old) - tail))
        if added := [Added(raw) for raw in raws[head : len(raws) - tail]]:
            overlay.added[len(old) - tail] = added
        return overlay

    def copy(self) -> Overlay:
        """The same changes, to go on from."""
        twin = Overlay()
        twin.changes = dict(self.changes)
        twin.added = {number: [Added(added.raw) for added in fields] for number, fields in self.added.items()}
        return twin

    def add(self, added: Added, number: int, place: int | None = None) -> None:
        """Put a field before the source's field of that number: behind others there, or at that place among them."""
        there = self.added.setdefault(number, [])
        there.insert(len(there) if place is None else place, added)

    def add_before(self, added: Added, key: int | Added) -> None:
        """Put a field right before another that is in the header."""
        if isinstance(key, int):
            self.add(added, key)
            return
        for number, fields in self.added.items():
            if any(key is other for other in fields):
                self.add(added, number, next(place for place, other in enumerate(fields) if key is other))
                return

    def holds(self, key: int | Added) -> bool:
        """Whether that field is still in the header."""
        if isinstance(key, int):
            return self.changes.get(key, b"") is not None
        return any(key is added for fields in self.added.values() for added in fields)

    def remove(self, key: int | Added) -> None:
        """Take a field out; one that is out already stays so."""
        if isinstance(key, int):
            self.changes[key] = None
            return
        self.added = {
            number: left
            for number, fields in self.added.items()
            if (left := [added for added in fields if added is not key])
        }

    def replace(self, key: int | Added, raw: bytes) -> None:
        """Give a field other octets."""
        if isinstance(key, int):
            self.changes[key] = raw
        else:
            key.raw = raw

    def order(self, index: HeaderIndex) -> Iterator[int | Added]:
        """All fields of the header as it stands."""
        for number in range(len(index.matches)):
            yield from self.added.get(number, ())
            if self.holds(number):
                yield number
        yield from self.added.get(len(index.matches), ())

    def named(self, index: HeaderIndex, name: str) -> Iterator[int | Added]:
        """The fields of that lower-case name as the header stands."""
        found: list[tuple[int, int, int | Added]] = [
            (number, 1, number) for number in index.numbers(name) if self.holds(number)
        ]
        for number, fields in self.added.items():
            found += [(number, 0, added) for added in fields if added.name.lower() == name]
        return iter([key for _, _, key in sorted(found, key=itemgetter(0, 1))])

    def pieces(self, index: HeaderIndex, eol: bytes, *, main: bool) -> Iterator[Piece]:
        """The header in pieces, closed by an empty line; `main` for the message's own, whose fields are named."""
        if any(True for _ in self.order(index)):
            yield Keep(index.start, index.first)   # without a field behind them these lines would be text
            if index.source.cut(index.start, index.first)[-1:] not in (b"", b"\r", b"\n"):
                yield Put(eol, head=main)          # the source ends within them
        at, behind = index.first, len(index.matches)
        for number in sorted({*self.changes, *self.added} - {behind}):
            match = index.matches[number]
            yield Keep(at, at := match.start())
            yield from (_put(added, main) for added in self.added.get(number, ()))
            if number in self.changes:
                name, occurrence = (index.name(number), index.occurrence(number)) if main else (None, None)
                yield Put(self.changes[number] or b"", at, at := match.end(), name, occurrence, main)
        yield Keep(at, index.last)
        if behind and not index.matches[-1][3] and behind - 1 not in self.changes:
            yield Put(eol, head=main)              # the source ends within its last field
        yield from (_put(added, main) for added in self.added.get(behind, ()))
        if index.closed and not self._frees_cr(index):
            yield Keep(index.last, index.end)
        else:
            yield Put(eol, index.last, index.end, head=main)

    def _frees_cr(self, index: HeaderIndex) -> bool:
        """Whether a bare CR comes to stand before the LF of the empty line: the two would be one line ending."""
        source, behind = index.source, len(index.matches)
        if self.changes.get(behind - 1, b"") is not None or source.cut(index.last, index.end) != b"\n":
            return False
        left = next((n for n in range(behind, -1, -1) if self.added.get(n) or (n < behind and self.holds(n))), None)
        if left is None:
            return source.cut(max(index.start - 1, 0), index.start) == b"\r"
        return left < behind and self.holds(left) and (self.changes.get(left) or index.matches[left][0]).endswith(b"\r")


def _put(added: Added, main: bool) -> Put:
    return Put(added.raw, name=added.name if main else None, head=main)


def _frame(index: HeaderIndex) -> tuple[bytes | str | None, ...]:
    """What of a block an overlay cannot change, or not without another reading of the body."""
    start, end = index.source.cut(index.start, index.first), index.source.cut(index.last, index.end)
    return start, end, index.text("Content-Type"), index.text("Content-Transfer-Encoding")


def _alike(one: list[bytes], other: list[bytes]) -> int:
    """How many octet strings at the beginning are equal."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (a, b) in pairs if a != b), min(len(one), len(other)))
