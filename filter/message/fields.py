"""A header block as a mapping, over the index of the source.

As long as nothing is changed, reading `part["Subject"]` goes straight to the index; Field objects are made
when they are first asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar, overload

from ..address import Address, parse_list
from .edits import Keep, Piece, Put
from .field import Field
from .header import HeaderIndex
from .writing import HeaderValue, write_field

T = TypeVar("T")


class Headed:
    """A header block with an overlay: what a part and a message have in common."""

    __slots__ = ("_changed", "_index", "_overlay")

    def __init__(self, index: HeaderIndex) -> None:
        self._index = index
        self._overlay: list[Field] | None = None   # made when a Field is first asked for
        self._changed = False

    @property
    def fields(self) -> tuple[Field, ...]:
        """All header fields in order."""
        return tuple(field for field in self._all_fields() if not field._removed)

    def __iter__(self) -> Iterator[str]:
        """The names of the fields in order, each in its own spelling, repeated as they are."""
        if not self._changed:
            return map(self._index.name, range(len(self._index.matches)))
        return iter([field.name for field in self.fields])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._find(name))

    def __getitem__(self, name: str) -> str | None:
        """The decoded value of the first field of that name, None if absent."""
        return self.get(name)

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: T) -> str | T: ...
    def get(self, name: str, default: T | None = None) -> str | T | None:
        """The decoded value of the first field of that name, or the default."""
        if not self._changed:
            numbers = self._index.places.get(name.lower())
            return self._index.value(numbers[0]) if numbers else default
        found = self._find(name)
        return found[0].value if found else default

    def get_all(self, name: str) -> list[str]:
        """The decoded values of all fields of that name, in order."""
        if not self._changed:
            return [self._index.value(number) for number in self._index.places.get(name.lower(), ())]
        return [field.value for field in self._find(name)]

    def field(self, name: str) -> Field | None:
        """The first field of that name, None if absent."""
        found = self._find(name)
        return found[0] if found else None

    def __setitem__(self, name: str, value: HeaderValue) -> None:
        """Replace the first field of that name and remove the others; append one where there is none."""
        found = self._find(name)
        if not found:
            self.add(name, value)
            return
        found[0].value = value
        for other in found[1:]:
            other.remove()

    def __delitem__(self, name: str) -> None:
        """Remove all fields of that name; none is fine."""
        for found in self._find(name):
            found.remove()

    def add(self, name: str, value: HeaderValue, first: bool = False) -> None:
        """Add another field at the end of the header, or before all others."""
        raw = write_field(name, value, self._eol)
        self._editing(name)
        self._add_raw(raw, first=first)

    def addresses(self, name: str) -> list[Address]:
        """The addresses in all fields of that name."""
        return [address for text in self._texts(name) for address in parse_list(text)]

    def ids(self, name: str) -> list[str]:
        """The message identifiers in all fields of that name, each in its angle brackets (RFC 5322 section 3.6.4)."""
        return [found for text in self._texts(name) for found in _MESSAGE_ID.findall(text)]

    @property
    def date(self) -> datetime | None:
        """The Date field, aware (a zone of `-0000` is taken as UTC); None where it is missing or makes no sense."""
        for text in self._texts("date")[:1]:
            try:
                found = parsedate_to_datetime(text[:_LONGEST_DATE])
                return found if found.tzinfo else found.replace(tzinfo=UTC)
            except (ValueError, TypeError, IndexError, OverflowError):
                return None
        return None

    @property
    def _eol(self) -> bytes:
        raise NotImplementedError

    def _editing(self, name: str) -> None:
        """Called before any change of a header field: raises EditError where it may not be changed."""
        raise NotImplementedError

    def _texts(self, name: str) -> list[str]:
        """Unfolded text of the fields of that name, encoded words left as they are."""
        return [field._unfolded for field in self._find(name)]

    def _all_fields(self) -> list[Field]:
        if self._overlay is None:
            self._overlay = [Field(self, number) for number in range(len(self._index.matches))]
        return self._overlay

    def _find(self, name: str) -> list[Field]:
        lower = name.lower()
        if not self._changed:
            return [self._all_fields()[number] for number in self._index.places.get(lower, ())]
        return [field for field in self._all_fields() if not field._removed and field.name.lower() == lower]

    def _add_raw(self, raw: bytes, first: bool = False) -> None:
        fields = self._all_fields()
        fields.insert(0 if first else len(fields), Field(self, None, raw))
        self._changed = True

    def _copy_header(self, original: Headed) -> None:
        """Take over the overlay of another header on the same index."""
        self._changed = original._changed
        if original._changed:
            self._overlay = [field._copy(self) for field in original._all_fields()]

    def _header_pieces(self, *, main: bool = False, closing: bool = False) -> Iterator[Piece]:
        """The header block in pieces; `main` for the message's own, `closing` wants an empty line at the end."""
        index = self._index
        if not self._changed and not (closing and not index.closed):
            yield Keep(index.start, index.end)
            return
        yield Keep(index.start, index.first)
        open_line = False                          # the last field of the source may lack its line ending
        for field in self._all_fields():
            for piece in field._pieces(main):
                if open_line:
                    yield Put(self._eol, head=main)
                    open_line = False
                yield piece
                open_line = isinstance(piece, Keep) and not index.matches[field._number or 0][3]
        if index.closed:
            yield Keep(index.last, index.end)
        else:
            yield Put(self._eol * (2 if open_line else 1), head=main)


_LONGEST_DATE: Final = 200
_MESSAGE_ID: Final = re.compile(r"<[^<>\s]++>")
