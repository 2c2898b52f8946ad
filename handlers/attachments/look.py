"""A part as rules see it, and what lies hidden in it.

Each side is looked at when it is first asked for, and then once: of most parts nobody asks for more than names
and type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import translate
from functools import lru_cache
from typing import Final

from penstock import Message, Part

from .content import needs_library, types_of
from .names import names_of, uuencoded_names
from .options import Rule


class Look:
    """A part under its rules. `kind` is the declared type, `names` are those of the part itself."""

    __slots__ = ("_every_name", "_shown", "kind", "names", "part")

    def __init__(self, part: Part) -> None:
        self.part = part
        self.kind = part.content_type
        self.names = names_of(part)
        self._every_name: tuple[str, ...] | None = None
        self._shown: dict[bool, tuple[str, ...]] = {}

    @property
    def every_name(self) -> tuple[str, ...]:
        """The names of the part, and of the files that are written out within its text."""
        if self._every_name is None:
            inside = uuencoded_names(self.part.content) if self.kind.startswith("text/") else ()
            self._every_name = (*self.names, *inside)
        return self._every_name

    def shown(self, *, thorough: bool) -> tuple[str, ...]:
        """The types that the content shows; see `types_of`."""
        if thorough not in self._shown:
            self._shown[thorough] = () if self.part.parts else types_of(self.part.content, thorough=thorough)
        return self._shown[thorough]

    def fits(self, rule: Rule) -> bool:
        """Whether all conditions of a rule hold."""
        return (
            (not rule.names or _any(self.every_name, rule.names))
            and (not rule.types or _any((self.kind,), rule.types))
            and (rule.larger_than is None or len(self.part.content) > rule.larger_than)
            and (not rule.content or _any(self.shown(thorough=_needs_library(rule.content)), rule.content))
        )

    def wrapped(self) -> Iterator[Message]:
        """The message in a part whose form hides it: encoded against RFC 2045 section 6.4, or sent as a file."""
        if self.part.parts:
            return
        if self.kind in _MESSAGES or any(name.endswith(".eml") for name in self.names):
            yield Message(self.part.content)
        elif self.kind.startswith("multipart/") and is_encoded(self.part) and (kind := self.part.field("Content-Type")):
            yield Message(kind.raw + b"\r\n" + self.part.content)


def is_encoded(part: Part) -> bool:
    """Whether the part has a transfer encoding that hides its octets."""
    return part.get("Content-Transfer-Encoding", "").strip().lower() in ("base64", "quoted-printable")


def _any(values: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    if not values:
        return False
    fits = _alternatives(patterns).fullmatch
    return any(fits(value) for value in values)


@lru_cache(maxsize=1024)
def _alternatives(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(pattern.lower()) for pattern in patterns))


_needs_library: Final = lru_cache(maxsize=1024)(needs_library)
_MESSAGES: Final = {"message/rfc822", "message/global", "message/news"}
