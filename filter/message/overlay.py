"""What was changed in one header block: fields of the source by number, and fields that were added.

Fields are found by identity, never by comparing texts, so two that look the same are still two. Nothing here
refers to the part that it belongs to: a message is freed as soon as nobody holds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .edits import Edit, Keep, Piece, Put
from .header import HeaderIndex


class Added:
    """A field that the source does not have."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    @property
    def name(self) -> str:
        return self.raw.partition(b":")[0].decode("ascii").rstrip(" \t")


class Overlay:
    """Changes over the fields of a header: new octets or None (removed) by number, and what comes before and after."""

    __slots__ = ("after", "before", "changes")

    def __init__(self) -> None:
        self.changes: dict[int, bytes | None] = {}
        self.before: list[Added] = []
        self.after: list[Added] = []

    def __bool__(self) -> bool:
        return bool(self.changes or self.before or self.after)

    @classmethod
    def replayed(cls, index: HeaderIndex, edits: Iterable[Edit]) -> Overlay | None:
        """The overlay that gives these edits again; None where one is not about one field, or not of the header."""
        overlay = cls()
        for edit in edits:
            if edit.body or edit.name is None:
                return None
            if edit.occurrence is not None:
                numbers = index.places.get(edit.name.lower(), [])[edit.occurrence - 1 : edit.occurrence]
                if not numbers or index.matches[numbers[0]].span() != (edit.start, edit.end):
                    return None
                overlay.changes[numbers[0]] = edit.data or None
            elif edit.start == edit.end == index.first and not overlay.changes and index.matches:
                overlay.before.append(Added(edit.data))
            elif edit.start == edit.end == index.last:
                overlay.after.append(Added(edit.data))
            else:
                return None
        return overlay

    def copy(self) -> Overlay:
        """The same changes, to go on from."""
        twin = Overlay()
        twin.changes = dict(self.changes)
        twin.before = [Added(added.raw) for added in self.before]
        twin.after = [Added(added.raw) for added in self.after]
        return twin

    def holds(self, key: int | Added) -> bool:
        """Whether that field is still in the header."""
        if isinstance(key, int):
            return self.changes.get(key, b"") is not None
        return any(key is added for added in (*self.before, *self.after))

    def remove(self, key: int | Added) -> None:
        """Take a field out; one that is out already stays so."""
        if isinstance(key, int):
            self.changes[key] = None
            return
        for fields in (self.before, self.after):
            fields[:] = [added for added in fields if added is not key]

    def replace(self, key: int | Added, raw: bytes) -> None:
        """Give a field other octets."""
        if isinstance(key, int):
            self.changes[key] = raw
        else:
            key.raw = raw

    def order(self, index: HeaderIndex) -> Iterator[int | Added]:
        """All fields of the header as it stands."""
        yield from self.before
        yield from (number for number in range(len(index.matches)) if self.holds(number))
        yield from self.after

    def named(self, index: HeaderIndex, name: str) -> Iterator[int | Added]:
        """The fields of that lower-case name as the header stands."""
        yield from (added for added in self.before if added.name.lower() == name)
        yield from (number for number in index.places.get(name, ()) if self.holds(number))
        yield from (added for added in self.after if added.name.lower() == name)

    def pieces(self, index: HeaderIndex, eol: bytes, *, main: bool) -> Iterator[Piece]:
        """The header in pieces, closed by an empty line; `main` for the message's own, whose fields are named."""
        if any(True for _ in self.order(index)):
            yield Keep(index.start, index.first)   # without a field behind them these lines would be text
        yield from (_put(added, main) for added in self.before)
        at = index.first
        for number, raw in sorted(self.changes.items()):
            match = index.matches[number]
            yield Keep(at, at := match.start())
            name, occurrence = (index.name(number), index.occurrence(number)) if main else (None, None)
            yield Put(raw or b"", at, at := match.end(), name, occurrence, main)
        yield Keep(at, index.last)
        last = len(index.matches) - 1
        if last >= 0 and not index.matches[last][3] and last not in self.changes:
            yield Put(eol, head=main)              # the source ends within its last field
        yield from (_put(added, main) for added in self.after)
        yield Keep(index.last, index.end) if index.closed else Put(eol, head=main)


def _put(added: Added, main: bool) -> Put:
    return Put(added.raw, name=added.name if main else None, head=main)
