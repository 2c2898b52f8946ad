"""A header block as a mapping, over the index of the source.

As long as nothing is changed, reading `part["Subject"]` goes straight to the index. Field objects are made
when they are asked for and hold nothing of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar, overload

from ..address import Address, parse_list
from .edits import Keep, Piece
from .field import Field
from .header import HeaderIndex
from .overlay import Added, Overlay
from .writing import HeaderValue, write_field

T = TypeVar("T")


class Fields:
    """The header of a part or message: what both have in common."""

    __slots__ = ("_index", "_overlay")

    _index: HeaderIndex
    _overlay: Overlay | None

    @property
    def fields(self) -> tuple[Field, ...]:
        """All header fields in order."""
        keys = self._overlay.order(self._index) if self._overlay else range(len(self._index.pairs))
        return tuple(Field(self, key) for key in keys)

    def __iter__(self) -> Iterator[str]:
        """The names of the fields in order, each in its own spelling, repeated as they are."""
        if not self._overlay:
            return map(self._index.name, range(len(self._index.pairs)))
        return iter([field.name for field in self.fields])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.field(name) is not None

    def __getitem__(self, name: str) -> str | None:
        """The decoded value of the first field of that name, None if absent."""
        return self.get(name) if self._overlay else self._index.first_value(name)

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: T) -> str | T: ...
    def get(self, name: str, default: T | None = None) -> str | T | None:
        """The decoded value of the first field of that name, or the default."""
        if not self._overlay:
            value = self._index.first_value(name)
            return default if value is None else value
        found = self.field(name)
        return found.value if found else default

    def get_all(self, name: str) -> list[str]:
        """The decoded values of all fields of that name, in order."""
        if not self._overlay:
            return [self._index.value(number) for number in self._index.numbers(name)]
        return [field.value for field in self._find(name)]

    def fields_named(self, name: str) -> list[Field]:
        """All fields of that name, in order."""
        return list(self._find(name))

    def field(self, name: str) -> Field | None:
        """The first field of that name, None if absent."""
        return next(self._find(name), None)

    def __setitem__(self, name: str, value: HeaderValue) -> None:
        """Replace the first field of that name and remove the others; append one where there is none."""
        found = list(self._find(name))
        if not found:
            self.add(name, value)
            return
        found[0].value = value
        for other in found[1:]:
            other.remove()

    def __delitem__(self, name: str) -> None:
        """Remove all fields of that name; none is fine."""
        for field in list(self._find(name)):
            field.remove()

    def add(self, name: str, value: HeaderValue, first: bool = False) -> None:
        """Add another field at the end of the header, or before all others."""
        raw = write_field(name, value, self._eol)
        self._editing(name)
        self._add_raw(raw, first=first)

    def insert(self, position: int, name: str, value: HeaderValue) -> None:
        """Add another field before the one at that position among `fields`, as `list.insert` counts."""
        raw = write_field(name, value, self._eol)
        self._editing(name)
        later = [field._key for field in self.fields[position:]]
        if later:
            self._overlaid().add_before(Added(raw), later[0])
        else:
            self._add_raw(raw)

    def addresses(self, name: str) -> list[Address]:
        """The addresses in all fields of that name."""
        return [address for field in self._find(name) for address in parse_list(field._unfolded)]

    def ids(self, name: str) -> list[str]:
        """The message identifiers in all fields of that name, each in its angle brackets (RFC 5322 section 3.6.4)."""
        return [found for field in self._find(name) for found in _MESSAGE_ID.findall(field._unfolded)]

    @property
    def date(self) -> datetime | None:
        """The Date field, aware (a zone of `-0000` is taken as UTC); None where it is missing or makes no sense."""
        field = self.field("Date")
        if field is None:
            return None
        try:
            found = parsedate_to_datetime(field._unfolded[:_LONGEST_DATE])
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    @property
    def _eol(self) -> bytes:
        raise NotImplementedError

    def _editing(self, name: str) -> None:
        """Called before any change of a header field: raises EditError where it may not be changed."""
        raise NotImplementedError

    def _find(self, name: str) -> Iterator[Field]:
        lower = name.lower()
        keys = self._overlay.named(self._index, lower) if self._overlay else self._index.numbers(lower)
        return (Field(self, key) for key in keys)

    def _overlaid(self) -> Overlay:
        """The overlay, to change it."""
        if self._overlay is None:
            self._overlay = Overlay()
        return self._overlay

    def _add_raw(self, raw: bytes, first: bool = False) -> None:
        if first:
            self._overlaid().add(Added(raw), 0, 0)
        else:
            self._overlaid().add(Added(raw), len(self._index.matches))

    def _header_pieces(self, *, main: bool = False, closing: bool = False) -> Iterator[Piece]:
        """The header block in pieces; `main` for the message's own, `closing` wants an empty line at the end."""
        index = self._index
        if self._overlay or (closing and not index.closed):
            return (self._overlay or Overlay()).pieces(index, self._eol, main=main)
        return iter([Keep(index.start, index.end)])


_LONGEST_DATE: Final = 200
_MESSAGE_ID: Final = re.compile(r"<[^<>\s]++>")
