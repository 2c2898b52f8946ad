"""Encoded words (RFC 2047): text in headers beyond ASCII.

Decoding is lenient: a word that makes no sense is shown as it is. Neighbouring words of one charset are
joined as octets before they become text, since many senders cut characters in two.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator
from typing import Final

from .charset import codec, decode

LONGEST_WORD: Final = 75
"""The most characters that an encoded word may have (RFC 2047 section 2)."""


def decode_words(text: str) -> str:
    """The text with its encoded words decoded; white space between two of them is dropped (section 6.2)."""
    shown: list[str] = []
    pieces: list[bytes] = []                       # the octets of words that are joined
    charset, done = "", 0                          # their charset, and where the last one ends
    at = text.find("=?")
    while at >= 0 and (match := _WORD.search(text, at)):
        name, encoding, encoded = match.groups()
        start, end = match.span()
        at = text.find("=?", end)
        if (more := _octets(encoding, encoded)) is None or (known := codec(name)) is None:
            continue                               # stays in the text between two good ones
        between = text[done:start]
        if pieces and (not between or between.isspace()):
            if known == charset:
                pieces.append(more)
                done = end
                continue
            between = ""
        if pieces:
            shown.append(decode(b"".join(pieces), charset))
        shown.append(between)
        charset, pieces, done = known, [more], end
    if not pieces:
        return text
    return f"{''.join(shown)}{decode(b''.join(pieces), charset)}{text[done:]}"


def encode_words(text: str, first: int = LONGEST_WORD) -> list[str]:
    """The text as encoded words in UTF-8; B or Q, whichever is shorter. None is longer than 75 characters.

    `first` is the room for the first one, which shares its line with the field's name.
    Raises UnicodeEncodeError for a lone surrogate.
    """
    raw = text.encode("utf-8")
    if _q_cost(raw) <= (len(raw) + 2) // 3 * 4:
        return [_q_word(piece) for piece in _pieces(text, first - _FRAME, LONGEST_WORD - _FRAME, _q_cost)]
    room, next_room = ((length - _FRAME) // 4 * 3 for length in (first, LONGEST_WORD))
    return [_b_word(piece) for piece in _pieces(text, room, next_room, len)]


def from_base64(body: bytes) -> bytes:
    """The octets that base64 holds, as many as there are in damaged text. Never raises."""
    try:
        return binascii.a2b_base64(body)
    except binascii.Error:
        kept = _NOT_BASE64.sub(b"", body)
    return binascii.a2b_base64(kept[: len(kept) - (len(kept) % 4 == 1)] + b"==")


def needs_encoding(text: str) -> bool:
    """Whether a word of a header must be encoded: it is not plain ASCII, or would be taken for an encoded word."""
    return not text.isascii() or "=?" in text or _CONTROL.search(text) is not None


_WORD: Final = re.compile(r"=\?([!-)+->@-~]{1,64})(?:\*[!->@-~]{0,64})?\?([BbQq])\?([^?\r\n]*+)\?=")
_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/ ")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]+")
_FRAME: Final = len("=?utf-8?q??=")


def _octets(encoding: str, encoded: str) -> bytes | None:
    if not encoded.isascii():
        return None
    raw = encoded.encode("ascii")
    if encoding in "Qq":
        return binascii.a2b_qp(raw, header=True)
    return from_base64(raw) or (None if raw.strip(b"= ") else b"")


def _pieces(text: str, room: int, next_room: int, cost: Callable[[bytes], int]) -> Iterator[str]:
    """The text in pieces that cost no more than the room for them; no character is cut (section 5)."""
    first, spent = 0, 0
    for at, character in enumerate(text):
        price = cost(character.encode("utf-8"))
        if spent + price > room:
            yield text[first:at]
            first, spent, room = at, 0, next_room
        spent += price
    if first < len(text):
        yield text[first:]


def _q_cost(raw: bytes) -> int:
    return sum(1 if octet in _PLAIN else 3 for octet in raw)


def _q_word(piece: str) -> str:
    coded = "".join(chr(o) if o in _PLAIN else f"={o:02X}" for o in piece.encode("utf-8"))
    return f"=?utf-8?q?{coded.replace(' ', '_')}?="


def _b_word(piece: str) -> str:
    return f"=?utf-8?b?{binascii.b2a_base64(piece.encode('utf-8'), newline=False).decode('ascii')}?="
