"""Content transfer encodings (RFC 2045 section 6): octets out of a body, and a body out of octets.

Decoding is lenient and runs at the speed of `binascii`; octets that cannot be decoded stay as they
are. uuencode is no MIME encoding: it stays an opaque leaf.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

from ..words import from_base64

BEYOND_7BIT: Final = {"8bit", "binary"}
LONGEST_LINE: Final = 998
"""The most octets that a line may have, its ending not counted (RFC 5322 section 2.1.1)."""


def decode(body: bytes, encoding: str) -> bytes:
    """The content of a body in that encoding (lower case). Never raises."""
    if encoding == "base64":
        return from_base64(body)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(body)
    return body


def encode(content: bytes, encoding: str, eol: bytes) -> bytes:
    """Content as a body; `encoding` is one that `fitting` gave. The line ending `eol` is used where lines are made."""
    if encoding == "base64":
        return _to_base64(content, eol)
    if encoding == "quoted-printable":
        return _to_quoted_printable(content, eol)
    return content


def fitting(content: bytes, eol: bytes, *, text: bool, declared: str = "", beyond: bool = False) -> str:
    """The encoding for this content: the declared one where it serves, else the plainest that does.

    Line endings of `text` may become others; of all else they are content. Text with few octets beyond ASCII
    becomes quoted-printable, the rest base64. 8bit serves only in place of octets `beyond` ASCII: a message that
    came without any may be under way to where 8BITMIME is not known.
    """
    lines = b"\0" not in content and (text or _ends_lines_with(content, eol))
    if declared == "base64" or not lines:
        return "base64"
    if declared == "quoted-printable":
        return declared
    if not _LONG_LINE.search(content):
        if content.isascii():
            return declared if declared in BEYOND_7BIT else "7bit"
        if declared in BEYOND_7BIT and beyond:
            return declared
    return "quoted-printable" if len(_UNSAFE.findall(content)) * 6 <= len(content) else "base64"


def _ends_lines_with(content: bytes, eol: bytes) -> bool:
    return all(ending == eol for ending in _EOL.findall(content))


def _to_base64(content: bytes, eol: bytes) -> bytes:
    lines = (content[at : at + 57] for at in range(0, len(content), 57))
    return b"".join(binascii.b2a_base64(line, newline=False) + eol for line in lines)


def _to_quoted_printable(content: bytes, eol: bytes) -> bytes:
    """Line endings stay line endings; `From ` at a line's start and a lone dot are guarded against old relays."""
    lines = _EOL.split(content)
    return eol.join(_quoted_line(line, eol) for line in lines)


def _quoted_line(line: bytes, eol: bytes) -> bytes:
    coded = _UNSAFE.sub(lambda octet: b"=%02X" % octet[0][0], line)
    if coded[-1:] in (b" ", b"\t"):
        coded = coded[:-1] + b"=%02X" % coded[-1]
    if coded.startswith(b"From ") or coded == b".":
        coded = b"=%02X" % coded[0] + coded[1:]
    pieces, at = [], 0
    while len(coded) - at > 76:
        cut = at + 75
        cut -= next((back for back in (1, 2) if coded[cut - back] == _EQUALS), 0)
        pieces.append(coded[at:cut])
        at = cut
    return (b"=" + eol).join([*pieces, coded[at:]])


_EOL: Final = re.compile(rb"\r\n?|\n")
_UNSAFE: Final = re.compile(rb"[^\t\r\n !-<>-~]")
_EQUALS: Final = 0x3D
_LONG_LINE: Final = re.compile(rb"[^\r\n]{999}")
