"""Charset names as mail has them, and text out of octets that may not be what they say.

A declared charset is believed where its octets agree with it; then UTF-8, whose validity is no accident,
is tried, then Windows-1252. Superset charsets stand in for those that senders mislabel, as the WHATWG
encoding standard has it. Codecs that are no charsets, or not linear in time, are not used.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import Final


def codec(charset: str) -> str | None:
    """Python's name for a charset as mail names it, or None where there is none to decode text with."""
    return _known(charset)[1]


def decode(raw: bytes, charset: str) -> str:
    """Octets as text: by the declared charset ("" for none), else by guessing. Never raises."""
    declared = codec(charset) if charset else None
    if declared == "utf-7":
        return raw.decode("utf-7", "replace").encode("utf-16", "replace").decode("utf-16")  # it lets surrogates through
    if declared and declared not in ("ascii", "utf-8") and (text := _strictly(raw, declared)) is not None:
        return text
    if raw.isascii():
        return _escaped(raw)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        pass
    else:
        return text.removeprefix("\ufeff")
    if declared == "utf-8" and _UTF_8_SEQUENCE.search(raw):
        return raw.decode("utf-8", "replace")      # UTF-8 with a wound, not another charset
    return _strictly(raw, "windows-1252") or raw.decode("latin-1")


def encode(text: str, charset: str) -> bytes | None:
    """The text in that charset, or None where the charset is unknown or lacks a character."""
    if (name := _known(charset)[0]) is None:
        return None
    try:
        return text.encode(name)
    except (UnicodeError, LookupError):
        return None


def with_line_endings(text: str, eol: bytes) -> str:
    """The text with each of its line endings (CRLF, CR, LF) as `eol`."""
    return _EOL.sub(eol.decode("ascii"), text)


@lru_cache(maxsize=512)
def _known(charset: str) -> tuple[str | None, str | None]:
    """Python's name for a charset, and for the one that stands in for it."""
    exact = _exact(charset)
    return exact, _SUPERSETS.get(exact, exact) if exact else None


def _exact(charset: str) -> str | None:
    name = charset.strip().strip("\"'").lower()
    if not _NAME.fullmatch(name):
        return None
    try:
        info = codecs.lookup(_ALIASES.get(name, name))
        "".encode(info.name)                       # raises LookupError where the codec is not one for text
    except (LookupError, ValueError):
        return None
    return None if info.name in _NOT_FOR_TEXT else info.name


def _strictly(raw: bytes, name: str) -> str | None:
    try:
        return raw.decode(name)
    except (UnicodeError, LookupError):
        return None


def _escaped(raw: bytes) -> str:
    """ASCII octets as text; ISO-2022-JP is ASCII octets too, and is often not declared."""
    if b"\x1b$" in raw and (text := _strictly(raw, "iso2022_jp_2")) is not None:
        return text
    return raw.decode("ascii")


_EOL: Final = re.compile(r"\r\n?|\n")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.:+()-]{0,62}")
_UTF_8_SEQUENCE: Final = re.compile(rb"[\xc3-\xf4][\x80-\xbf]")
_NOT_FOR_TEXT: Final = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"}
_SUPERSETS: Final = {
    "iso8859-1": "windows-1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
    "iso8859-9": "cp1254",
    "tis-620": "cp874",
}
_ALIASES: Final = {
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "x-sjis": "cp932",
    "x-gbk": "gb18030",
    "x-euc-jp": "euc_jp",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-8-e": "iso8859-8",
    "iso-8859-6-i": "iso8859-6",
    "unicode-1-1-utf-7": "utf-7",
    "unicode-1-1-utf-8": "utf-8",
    "utf8mb4": "utf-8",
    "windows-874": "cp874",
    "windows-31j": "cp932",
    "cp-850": "cp850",
    "ansi": "windows-1252",
    "x-ansi": "windows-1252",
    "x-unknown": "windows-1252",
    "unknown-8bit": "windows-1252",
    "default": "windows-1252",
}
