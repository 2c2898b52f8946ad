"""xtext (RFC 3461 section 4): printable ASCII as it is, `+` and `=` and all else as `+XX`."""

from __future__ import annotations

import re
from typing import Final

_VALID: Final = re.compile(r"(?:[!-*,-<>-~\x80-\U0010ffff]|\+[0-9A-Fa-f]{2})*")
_ENCODED: Final = re.compile(rb"\+([0-9A-Fa-f]{2})")
_SPECIAL: Final = re.compile(rb"[^!-*,-<>-~]")


def is_xtext(value: str) -> bool:
    """Whether this is xtext; characters outside of ASCII are let through, as RFC 6533 has them."""
    return _VALID.fullmatch(value) is not None


def decode(value: str) -> str:
    """What xtext stands for, read as UTF-8, stray octets as surrogates. What is not encoded stays."""
    if "+" not in value:
        return value
    octets = _ENCODED.sub(lambda match: bytes([int(match[1], 16)]), value.encode("utf-8", "surrogateescape"))
    return octets.decode("utf-8", "surrogateescape")


def encode(value: str) -> str:
    """The xtext for any text; the inverse of `decode`."""
    octets = value.encode("utf-8", "surrogateescape")
    return _SPECIAL.sub(lambda match: b"+%02X" % match[0][0], octets).decode("ascii")
