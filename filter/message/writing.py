"""Header fields as octets: values checked, encoded and folded.

What a value may not do is end its line: CR, LF and NUL are refused, so nothing that a handler passes on can
become a field of its own. Text beyond ASCII becomes encoded words (RFC 2047), in address fields only in
display names. Lines are folded at white space below 78 characters and never pass 998 (RFC 5322 section 2.1.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Final

from ..address import Address, domain_key, parse_list
from ..words import LONGEST_WORD, encode_words, needs_encoding
from .edits import EditError
from .transfer import LONGEST_LINE

HeaderValue = str | Address | Sequence[Address] | datetime
"""What a header field can be set to; a datetime must be aware."""


def write_field(name: str, value: HeaderValue, eol: bytes) -> bytes:
    """The whole field, line ending included. Raises EditError, which names the field."""
    if not _NAME.fullmatch(name):
        raise EditError(f"{name!r} is no name for a header field")
    try:
        return _folded(name, _words(name, value), eol)
    except UnicodeEncodeError:
        raise EditError(f"{name}: the value holds a lone surrogate, which no charset can encode") from None


def _words(name: str, value: HeaderValue) -> list[str]:
    """The value as words, each with the white space before it, between which the field may be folded."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise EditError(f"{name}: a date needs a time zone")
        return format_datetime(value).split()
    if isinstance(value, str):
        _refuse_line_ends(name, value)
        return _text(name, value.strip(" \t"))
    addresses = [value] if isinstance(value, Address) else list(value)
    return _addresses(name, addresses)


def _text(name: str, text: str) -> list[str]:
    lower = name.lower()
    if lower in _ADDRESS_FIELDS and needs_encoding(text):
        return _addresses(name, _parsed(name, text))
    if not text.isascii() and lower in _STRUCTURED:
        raise EditError(f"{name}: only ASCII is allowed here, not {text!r}")
    words = _SPACED.findall(text)
    if lower in _STRUCTURED or lower in _ADDRESS_FIELDS:
        return words
    return _encoded_runs(words, _first_room(name))


def _encoded_runs(words: Iterable[str], room: int) -> list[str]:
    """Words with each run that needs encoding as encoded words; the white space within a run is encoded too."""
    found: list[str] = []
    run = ""
    for word in words:
        if needs_encoding(word) or len(word) > _LONGEST_PLAIN:
            run += word
            continue
        found += _encoded(run, LONGEST_WORD if found else room)
        found.append(word)
        run = ""
    return found + _encoded(run, LONGEST_WORD if found else room)


def _encoded(run: str, room: int) -> list[str]:
    if not run:
        return []
    text = run.lstrip(" \t")
    first, *others = encode_words(text, room)
    return [run[: len(run) - len(text)] + first, *(f" {word}" for word in others)]


def _first_room(name: str) -> int:
    """The room for an encoded word behind the name; of a very long name, enough for one character."""
    return max(_LINE - 2 - len(f"{name}: "), _SHORTEST_WORD)


def _addresses(name: str, addresses: Sequence[Address]) -> list[str]:
    found: list[str] = []
    for number, address in enumerate(addresses):
        _refuse_line_ends(name, address.name)
        comma = "," if number < len(addresses) - 1 else ""
        spec = _spec(name, address)
        if address.name:
            room = LONGEST_WORD if found else _first_room(name)
            found += _SPACED.findall(f" {_display_name(address, room)}")
            found.append(f" <{spec}>{comma}")
        else:
            found.append(f" {spec}{comma}")
    return found


def _parsed(name: str, text: str) -> list[Address]:
    if not (addresses := parse_list(text)):
        raise EditError(f"{name}: no address in {text!r}")
    return addresses


def _display_name(address: Address, room: int) -> str:
    name = " ".join(address.name.split())
    if needs_encoding(name) or len(name) > _LONGEST_PLAIN:
        return " ".join(encode_words(name, room))
    return str(Address(address.local, address.domain, name)).rpartition(" <")[0]


def _spec(name: str, address: Address) -> str:
    """The addr-spec: a domain as A-labels, unless the local part needs SMTPUTF8 anyway (RFC 6532)."""
    bare = not address.domain and not address.local.isascii()
    if not address.local or bare or _CONTROL.search(address.local):
        raise EditError(f"{name}: {address.local!r} is no local part of an address")
    domain = domain_key(address.domain) if not address.domain.isascii() and address.local.isascii() else address.domain
    if not _DOMAIN.fullmatch(domain):
        raise EditError(f"{name}: {address.domain!r} is no domain")
    return Address(address.local, domain).addr


def _folded(name: str, words: Iterable[str], eol: bytes) -> bytes:
    lines, line = [], (head := f"{name}:")
    for word in words:
        piece = word if word[:1] in (" ", "\t") else f" {word}"
        if line not in ("", head) and len(line) + len(piece) > _LINE:
            lines.append(line)
            line = ""
        line += piece
    lines.append(line)
    raw = [part.encode("utf-8") for part in lines]
    if len(longest := max(raw, key=len)) > LONGEST_LINE:
        raise EditError(f"{name}: a word of {len(longest)} octets cannot be folded below {LONGEST_LINE}")
    return eol.join(raw) + eol


def _refuse_line_ends(name: str, text: str) -> None:
    if bad := _LINE_END.search(text):
        raise EditError(f"{name}: the control character {bad[0]!r} is not allowed in a header field")


_LINE: Final = 78
_LONGEST_PLAIN: Final = 900
_SHORTEST_WORD: Final = 24
_NAME: Final = re.compile(r"[!-9;-~]{1,900}")
_LINE_END: Final = re.compile(r"[\x00\r\n]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SPACED: Final = re.compile(r"[ \t]*[^ \t]+")
_DOMAIN: Final = re.compile(r"[^\x00-\x20\x7f<>(),;:@\"\\]*|\[[^\[\]\\\x00-\x20\x7f]*\]")
_ADDRESS_FIELDS: Final = {
    *("from", "sender", "reply-to", "to", "cc", "bcc", "return-path", "errors-to", "disposition-notification-to"),
    *("resent-from", "resent-sender", "resent-reply-to", "resent-to", "resent-cc", "resent-bcc"),
}
_STRUCTURED: Final = {
    *("message-id", "in-reply-to", "references", "date", "content-type", "content-transfer-encoding", "content-id"),
    *("content-disposition", "mime-version", "received", "resent-date", "resent-message-id", "dkim-signature"),
    *("authentication-results", "arc-seal", "arc-message-signature", "arc-authentication-results"),
    *("list-id", "list-post", "list-help", "list-unsubscribe", "list-unsubscribe-post", "list-subscribe"),
    *("list-owner", "list-archive", "archived-at", "auto-submitted"),
}
