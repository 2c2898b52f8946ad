"""One header field: what it says, and where it came from.

A field knows its origin: its number in the header of the source, or none where it was added. So a change
is found by identity and not by comparing texts, also where two fields look the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .edits import EditError, Keep, Piece, Put
from .header import decode_value, unfold
from .parameters import parameters, token, with_parameter
from .writing import HeaderValue, write_field

if TYPE_CHECKING:
    from .fields import Headed


class Field:
    """One header field of a part."""

    __slots__ = ("_number", "_owner", "_raw", "_removed")

    def __init__(self, owner: Headed, number: int | None, raw: bytes | None = None) -> None:
        """Number in the source's header, or None and the octets of a field that was added."""
        self._owner = owner
        self._number = number
        self._raw = raw
        self._removed = False

    def __repr__(self) -> str:
        return f"<Field {self.name}: {self.value!r}>"

    @property
    def name(self) -> str:
        """The name in its own spelling."""
        return self._split()[0]

    @property
    def value(self) -> str:
        """The value decoded: unfolded, encoded words as text. Setting it raises EditError for what cannot stand."""
        if self._raw is None and self._number is not None:
            return self._owner._index.value(self._number)
        return decode_value(*self._split())

    @value.setter
    def value(self, value: HeaderValue) -> None:
        self._write(write_field(self.name, value, self._owner._eol))

    @property
    def raw(self) -> bytes:
        """The octets of the whole field as they will be sent, name and line ending included."""
        if self._raw is not None:
            return self._raw
        return bytes(self._owner._index.matches[self._number or 0][0])

    @property
    def params(self) -> dict[str, str]:
        """The parameters after the first semicolon, names in lower case, values decoded (RFC 2231, RFC 2047)."""
        return parameters(self._unfolded)

    @property
    def token(self) -> str:
        """What stands before the first semicolon, in lower case, comments left out."""
        return token(self._unfolded)

    def set_param(self, name: str, value: str | None) -> None:
        """Set one parameter, or remove it with None; the others keep their text."""
        self._write(write_field(self.name, with_parameter(self._unfolded, name.lower(), value), self._owner._eol))

    def remove(self) -> None:
        """Take the field out of its header."""
        self._owner._editing(self.name)
        self._owner._changed = True
        self._removed = True

    @property
    def _unfolded(self) -> str:
        return unfold(self._split()[1])

    def _split(self) -> tuple[str, bytes]:
        if self._raw is None and self._number is not None:
            match = self._owner._index.matches[self._number]
            return match[1].decode("ascii"), match[2]
        name, _, value = (self._raw or b"").partition(b":")
        return name.decode("ascii").rstrip(" \t"), value

    def _write(self, raw: bytes) -> None:
        if self._removed:
            raise EditError(f"{self.name}: this field was removed")
        self._owner._editing(self.name)
        self._owner._changed = True
        self._raw = raw

    def _copy(self, owner: Headed) -> Field:
        twin = Field(owner, self._number, self._raw)
        twin._removed = self._removed
        return twin

    def _pieces(self, main: bool) -> Iterator[Piece]:
        """The field as it stands, none where an added one was removed; with its name in the message's own header."""
        if self._number is None:
            if not self._removed:
                yield Put(self._raw or b"", name=self.name if main else None, head=main)
            return
        match = self._owner._index.matches[self._number]
        if self._raw is None and not self._removed:
            yield Keep(match.start(), match.end())
            return
        data = b"" if self._removed else self._raw or b""
        name, occurrence = (self.name, self._owner._index.occurrence(self._number)) if main else (None, None)
        yield Put(data, match.start(), match.end(), name, occurrence, main)
