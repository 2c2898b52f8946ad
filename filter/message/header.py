"""Where the fields of a header block lie: one run of one compiled pattern, kept as its matches.

A field is a name of printable ASCII without colon, perhaps white space (the obsolete syntax of RFC
5322 section 4.5), a colon, and a value that goes on over lines which begin with white space. A block ends at
an empty line, which belongs to it, or before the first line that is neither (as Postfix and the
standard library have it). CRLF, LF and CR each end a line. A leading `From ` line of mbox, and folded
lines before the first field, are no fields and are stepped over.

Few headers hold a bare CR. Where none does LF alone ends a line, and the pattern for that is several times
faster: it goes first, and the other one only where a bare CR turns up in what it took.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import replace
from typing import Final, NamedTuple

from ..words import decode_words
from .edits import Edit
from .parameters import ContentType
from .source import Source


class Defect(NamedTuple):
    """Something that the standards forbid: where it begins (an offset in the source) and what it is."""

    start: int
    text: str

    def __str__(self) -> str:
        return f"{self.text} (at octet {self.start})"


class HeaderIndex:
    """The fields of one header block by number, and where the block's parts begin and end.

    `start` … `first`: what is stepped over; `first` … `last`: the fields; `last` … `end`: the empty line, if any.
    """

    __slots__ = (
        *("source", "start", "first", "last", "end", "closed", "matches"),
        *("_values", "_places", "_type", "_encoding"),
    )

    def __init__(self, source: Source, start: int, end: int, *, nested: bool = False) -> None:
        """Index the block that begins at `start`; `nested` for a part's, where `--` begins a delimiter."""
        data = source.data
        first = start
        matches = list(iter((_PART_FIELDS if nested else _FIELDS)(data, start, end).match, None))
        if not matches and (prefix := _PREFIX.match(data, start, end)):
            first = prefix.end()
            matches = list(iter((_PART_FIELDS if nested else _FIELDS)(data, first, end).match, None))
        last = matches[-1].end() if matches else first
        if _BARE_CR.search(data, first, last):
            matches = list(iter((_PART_FIELDS_WITH_CR if nested else _FIELDS_WITH_CR)(data, first, end).match, None))
            last = matches[-1].end()
        empty = _EMPTY_LINE.match(data, last, end)
        self.source = source
        self.start = start
        self.first = first
        self.last = last
        self.end = empty.end() if empty else last
        self.closed = empty is not None
        self.matches: list[re.Match[bytes]] = matches
        self._values: dict[int, str] | None = None
        self._places: dict[str, list[int]] | None = None
        self._type: ContentType | None = None
        self._encoding: str | None = None

    @property
    def places(self) -> dict[str, list[int]]:
        """The numbers of the fields of each name, names in lower case."""
        if self._places is None:
            places: dict[str, list[int]] = {}
            self._places = places
            for number, match in enumerate(self.matches):
                name = match[1].decode("ascii").lower()
                if name in places:
                    places[name].append(number)
                else:
                    places[name] = [number]
        return self._places

    def value(self, number: int) -> str:
        """The decoded value of a field, kept once decoded."""
        if self._values is None:
            self._values = {}
        if (value := self._values.get(number)) is None:
            value = self._values[number] = decode_value(self.name(number), self.matches[number][2])
        return value

    def name(self, number: int) -> str:
        """The name of a field, in its own spelling."""
        return self.matches[number][1].decode("ascii")

    def occurrence(self, number: int) -> int:
        """Which field of its name this is, from 1."""
        return bisect_left(self.places[self.name(number).lower()], number) + 1

    def text(self, name: bytes) -> str | None:
        """The first field of that lower-case name as unfolded text, not decoded further."""
        length = len(name)
        for match in self.matches:
            if len(found := match[1]) == length and found.lower() == name:
                return unfold(match[2])
        return None

    @property
    def content_type(self) -> ContentType:
        """What Content-Type says, with the type "" where it is missing or makes no sense."""
        if self._type is None:
            self._type = ContentType(self.text(b"content-type") or "")
        return self._type

    @property
    def encoding(self) -> str:
        """The transfer encoding in lower case, "" where none is named."""
        if self._encoding is None:
            self._encoding = encoding_of(self.text(b"content-transfer-encoding"))
        return self._encoding

    def labelled(self, edit: Edit) -> Edit:
        """The edit with the name and occurrence of the field that it is about, if it is about one."""
        name, occurrence = None, None
        if not edit.body:
            number = next((n for n, m in enumerate(self.matches) if m.span() == (edit.start, edit.end)), None)
            added = _FIELD.fullmatch(edit.data) if edit.data else None
            if number is not None and (added or not edit.data):
                name, occurrence = self.name(number), self.occurrence(number)
            elif edit.start == edit.end and added:
                name = added[1].decode("ascii")
        return replace(edit, name=name, occurrence=occurrence)

    @property
    def defects(self) -> list[Defect]:
        """What is wrong with the block itself."""
        found = []
        if self.first > self.start:
            found.append(Defect(self.start, "lines before the first header field"))
        if not self.closed and self.last < self.source.size:
            found.append(Defect(self.last, "no empty line between header and body"))
        return found


def encoding_of(text: str | None) -> str:
    """The word that names a transfer encoding, in lower case; "" where there is none."""
    words = (text or "").split(maxsplit=1)
    return words[0].strip(";").lower() if words else ""


def unfold(raw: bytes) -> str:
    """The text of a raw value: unfolded (RFC 5322 section 2.2.3) and trimmed; 8-bit as UTF-8, else Windows-1252.

    Within a field white space follows each line ending, so to unfold is to leave them all out.
    """
    return guess_text(raw.translate(None, b"\r\n").strip(b" \t"))


def guess_text(raw: bytes) -> str:
    """Octets of unknown charset as text: UTF-8 where they are valid UTF-8, else Windows-1252, else Latin-1."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        pass
    try:
        return raw.decode("windows-1252")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def decode_value(name: str, raw: bytes) -> str:
    """The value of a field as a person reads it, on one line: a control character, encoded or not, is a space."""
    text = unfold(raw)
    if "=?" in text and name.lower() not in _NO_WORDS:
        text = decode_words(text).strip(" \t")
    return text if text.isprintable() else _CONTROL.sub(" ", text).strip(" \t")


_NO_WORDS: Final = {"message-id", "in-reply-to", "references", "dkim-signature", "arc-seal", "arc-message-signature"}
_EOL: Final = rb"(?:\r\n?|\n)"
_NAME: Final = rb"([!-9;-~]++)[ \t]*+:"
_REST: Final = rb"(.*+(?:\n[ \t].*+)*+)(\n?+)"
_REST_WITH_CR: Final = rb"([^\r\n]*+(?:" + _EOL + rb"[ \t][^\r\n]*+)*+)(\r\n?|\n|\Z)"
_FIELD: Final = re.compile(_NAME + _REST)
_FIELDS: Final = _FIELD.scanner  # type: ignore[attr-defined]  # typeshed lacks it
_FIELDS_WITH_CR: Final = re.compile(_NAME + _REST_WITH_CR).scanner  # type: ignore[attr-defined]
_PART_FIELDS: Final = re.compile(rb"(?!--)" + _NAME + _REST).scanner  # type: ignore[attr-defined]
_PART_FIELDS_WITH_CR: Final = re.compile(rb"(?!--)" + _NAME + _REST_WITH_CR).scanner  # type: ignore[attr-defined]
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BARE_CR: Final = re.compile(rb"\r(?!\n)")
_PREFIX: Final = re.compile(
    rb"(?:>?From (?![ \t]*:)[^\r\n]*+(?:" + _EOL + rb"|\Z))?+"
    rb"(?:(?:[ \t][^\r\n]*+" + _EOL + rb")++(?=[!-9;-~]++[ \t]*+:))?+"
)
_EMPTY_LINE: Final = re.compile(_EOL)
