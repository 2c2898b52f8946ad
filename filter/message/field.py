"""One header field: what it says, and where it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .edits import EditError
from .header import decode_value, unfold
from .overlay import Added
from .parameters import parameters, token, with_parameter
from .writing import HeaderValue, write_field

if TYPE_CHECKING:
    from .fields import Fields


class Field:
    """One header field of a part. Equal to another if it is the same field of the same part."""

    __slots__ = ("_key", "_owner")

    def __init__(self, owner: Fields, key: int | Added) -> None:
        """Not for handlers: fields come from a message or part."""
        self._owner = owner
        self._key = key

    def __repr__(self) -> str:
        return f"<Field {self.name}: {self.value!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Field) and (self._owner, self._key) == (other._owner, other._key)

    def __hash__(self) -> int:
        return hash((self._owner, self._key))

    @property
    def name(self) -> str:
        """The name in its own spelling."""
        return self._key.name if isinstance(self._key, Added) else self._owner._index.name(self._key)

    @property
    def value(self) -> str:
        """The value decoded: unfolded, encoded words as text. Setting it raises EditError for what cannot stand."""
        if self._changed is None and isinstance(self._key, int):
            return self._owner._index.value(self._key)
        return decode_value(self.name, self._raw_value)

    @value.setter
    def value(self, value: HeaderValue) -> None:
        self._write(write_field(self.name, value, self._owner._eol))

    @property
    def raw(self) -> bytes:
        """The octets of the whole field as they will be sent, name and line ending included."""
        changed = self._changed
        return self._owner._index.matches[self._number][0] if changed is None else changed

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
        self._owner._overlaid().remove(self._key)

    @property
    def _number(self) -> int:
        assert isinstance(self._key, int)
        return self._key

    @property
    def _changed(self) -> bytes | None:
        """The octets of a field that was added or changed."""
        if isinstance(self._key, Added):
            return self._key.raw
        overlay = self._owner._overlay
        return overlay.changes.get(self._key) if overlay else None

    @property
    def _raw_value(self) -> bytes:
        changed = self._changed
        if changed is None:
            return self._owner._index.pairs[self._number][1]
        return changed.partition(b":")[2]

    @property
    def _unfolded(self) -> str:
        return unfold(self._raw_value)

    def _write(self, raw: bytes) -> None:
        overlay = self._owner._overlay
        if overlay is not None and not overlay.holds(self._key):
            raise EditError(f"{self.name}: this field was removed")
        self._owner._editing(self.name)
        self._owner._overlaid().replace(self._key, raw)
