"""What a content is, by its first octets, whatever name and type it comes under.

Programs are told by a few marks of our own, at next to no cost. The library with its thousands of marks is asked
only where a rule wants something that these do not tell: it takes a quarter of a millisecond for each part.
Many formats begin alike (every Office document is a ZIP archive), so a content may be of several types.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import puremagic

PE: Final = "application/vnd.microsoft.portable-executable"
ELF: Final = "application/x-elf"
MACH_O: Final = "application/x-mach-binary"
JAVA_CLASS: Final = "application/java-vm"
SHORTCUT: Final = "application/x-ms-shortcut"
EXECUTABLES: Final = (PE, ELF, MACH_O, JAVA_CLASS, SHORTCUT)
"""The types that are told without the library: programs, and shortcuts that start them."""

HEAD: Final = 4096
"""How many octets are looked at."""


def types_of(content: bytes, *, thorough: bool) -> tuple[str, ...]:
    """The media types in lower case that a content may be of; none where it shows nothing.

    Not `thorough`: only the `EXECUTABLES` are told.
    """
    head = content[:HEAD]
    known: tuple[str, ...] = ()
    if head.startswith(_ANY_MARK) and _is_binary(head):
        known = tuple(kind for mark, kind in _MARKS if head.startswith(mark))
    return known or (tuple(_by_library(head)) if thorough else ())


def needs_library(patterns: Iterable[str]) -> bool:
    """Whether one of these patterns of types can match something that only the library tells."""
    return any(pattern.lower() not in EXECUTABLES for pattern in patterns)


def _is_binary(head: bytes) -> bool:
    """Text that begins with the letters MZ is still text: a program has NULs in its header."""
    return b"\0" in head[:64]


def _by_library(head: bytes) -> Iterable[str]:
    """The types of the best matches, each once. The library raises ValueError for an empty or unknown content."""
    try:
        matches = puremagic.magic_string(head)
    except (ValueError, puremagic.PureError):
        return ()
    best = max((match.confidence for match in matches), default=0)
    return dict.fromkeys(m.mime_type.lower() for m in matches if m.mime_type and m.confidence == best)


_MARKS: Final = (
    (b"MZ", PE),
    (b"\x7fELF", ELF),
    (b"\xfe\xed\xfa\xce", MACH_O),
    (b"\xfe\xed\xfa\xcf", MACH_O),
    (b"\xce\xfa\xed\xfe", MACH_O),
    (b"\xcf\xfa\xed\xfe", MACH_O),
    (b"\xca\xfe\xba\xbe\x00\x00\x00", JAVA_CLASS),
    (b"L\x00\x00\x00\x01\x14\x02\x00", SHORTCUT),
)
_ANY_MARK: Final = tuple(mark for mark, _ in _MARKS)
