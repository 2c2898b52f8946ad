"""Where the fields of a header block lie: one run of one pattern tells how far they go, and lists them when asked.

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
from collections.abc import Sequence
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
    """Where the parts of one header block are, and its fields by number once they are asked for.

    `start` … `first`: what is stepped over; `first` … `last`: the fields; `last` … `end`: the empty line, if any.
    """

    __slots__ = (
        *("source", "start", "first", "last", "end", "closed", "_fields", "_matches", "_pairs", "_names"),
        *("_firsts", "_values", "_places", "_type", "_encoding"),
    )

    def __init__(self, source: Source, start: int, end: int, *, nested: bool = False) -> None:
        """Index the block that begins at `start`; `nested` for a part's, where `--` begins a delimiter."""
        data = source.data
        fields = _BY_LF[nested]
        first, last = start, fields.run.match(data, start, end).end()  # type: ignore[union-attr]  # it matches nothing, too
        if last == start and (prefix := _PREFIX.match(data, start, end)):
            first = prefix.end()
            last = fields.run.match(data, first, end).end()  # type: ignore[union-attr]
        if _BARE_CR.search(data, first, last):
            fields = _BY_CR[nested]
            last = fields.run.match(data, first, end).end()  # type: ignore[union-attr]
        empty = _EMPTY_LINE.match(data, last, end)
        self.source = source
        self.start = start
        self.first = first
        self.last = last
        self.end = empty.end() if empty else last
        self.closed = empty is not None
        self._fields = fields
        self._matches: list[re.Match[bytes]] | None = None
        self._pairs: list[tuple[bytes, bytes]] | None = None
        self._names: list[bytes] | None = None
        self._firsts: dict[str, str | None] = {}
        self._values: dict[int, str] | None = None
        self._places: dict[bytes, list[int]] | None = None
        self._type: ContentType | None = None
        self._encoding: str | None = None

    @property
    def matches(self) -> list[re.Match[bytes]]:
        """The fields as they stand in the source: of each its name, its raw value, and its line ending."""
        if self._matches is None:
            self._matches = list(self._fields.one.finditer(self.source.data, self.first, self.last))
        return self._matches

    @property
    def pairs(self) -> list[tuple[bytes, bytes]]:
        """The name and the raw value of each field, for who only reads: they come for less."""
        if self._pairs is None:
            self._pairs = self._fields.pair.findall(self.source.data, self.first, self.last)
        return self._pairs

    @property
    def names(self) -> list[bytes]:
        """The names of the fields in order, in lower case."""
        if self._names is None:
            self._names = [name.lower() for name, _ in self.pairs]
        return self._names

    @property
    def places(self) -> dict[bytes, list[int]]:
        """The numbers of the fields of each name, names in lower case."""
        if self._places is None:
            places: dict[bytes, list[int]] = {}
            self._places = places
            for number, name in enumerate(self.names):
                if name in places:
                    places[name].append(number)
                else:
                    places[name] = [number]
        return self._places

    def numbers(self, name: str) -> Sequence[int]:
        """The numbers of the fields of that name, in any case."""
        return self.places.get(name.lower().encode("ascii"), ()) if name.isascii() else ()

    def first_value(self, name: str) -> str | None:
        """The decoded value of the first field of that name, in any case, kept once decoded; None if there is none."""
        if name in self._firsts:
            return self._firsts[name]
        raw = self._raw(name)
        value = self._firsts[name] = None if raw is None else decode_value(name, raw)
        return value

    def _raw(self, name: str) -> bytes | None:
        """The raw value of the first field of that name.

        One of those that are asked for most is looked for, which is faster than to list all fields.
        """
        if self._names is None and self._fields.by_lf and (asked := _OFTEN_ASKED.get(name)):
            data, first, last = self.source.data, self.first, self.last
            found = asked[0].match(data, first, last) or asked[1].search(data, first, last)
            return found[1] if found else None
        numbers = self.numbers(name)
        return self.pairs[numbers[0]][1] if numbers else None

    def value(self, number: int) -> str:
        """The decoded value of a field, kept once decoded."""
        if self._values is None:
            self._values = {}
        if (value := self._values.get(number)) is None:
            name, raw = self.pairs[number]
            value = self._values[number] = decode_value(name.decode("ascii"), raw)
        return value

    def name(self, number: int) -> str:
        """The name of a field, in its own spelling."""
        return self.pairs[number][0].decode("ascii")

    def occurrence(self, number: int) -> int:
        """Which field of its name this is, from 1."""
        return bisect_left(self.places[self.names[number]], number) + 1

    def text(self, name: str) -> str | None:
        """The first field of that name as unfolded text, not decoded further."""
        raw = self._raw(name)
        return None if raw is None else unfold(raw)

    @property
    def content_type(self) -> ContentType:
        """What Content-Type says, with the type "" where it is missing or makes no sense."""
        if self._type is None:
            self._type = ContentType(self.text("Content-Type") or "")
        return self._type

    @property
    def encoding(self) -> str:
        """The transfer encoding in lower case, "" where none is named."""
        if self._encoding is None:
            self._encoding = encoding_of(self.text("Content-Transfer-Encoding"))
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
    octets = raw.translate(None, b"\r\n").strip(b" \t")
    return octets.decode("ascii") if octets.isascii() else guess_text(octets)


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


class _Grammar(NamedTuple):
    """How fields are told: `run` matches all that follow each other, `one` each, `pair` its name and value alone."""

    run: re.Pattern[bytes]
    one: re.Pattern[bytes]
    pair: re.Pattern[bytes]
    by_lf: bool


def _grammar(value: bytes, ending: bytes, *, by_lf: bool, nested: bool) -> _Grammar:
    before, name, colon = (rb"(?!--)" if nested else b""), rb"[!-9;-~]++", rb"[ \t]*+:"
    return _Grammar(
        run=re.compile(b"".join([b"(?:", before, name, colon, value, ending, b")*+"])),
        one=re.compile(b"".join([before, b"(", name, b")", colon, b"(", value, b")(", ending, b")"])),
        pair=re.compile(b"".join([before, b"(", name, b")", colon, b"(", value, b")", ending])),
        by_lf=by_lf,
    )


_VALUE: Final = rb".*+(?:\n[ \t].*+)*+"
_EOL: Final = rb"(?:\r\n?|\n)"
_VALUE_WITH_CR: Final = rb"[^\r\n]*+(?:" + _EOL + rb"[ \t][^\r\n]*+)*+"
_BY_LF: Final = tuple(_grammar(_VALUE, rb"\n?+", by_lf=True, nested=nested) for nested in (False, True))
_BY_CR: Final = tuple(
    _grammar(_VALUE_WITH_CR, rb"(?:\r\n?|\n|\Z)", by_lf=False, nested=nested) for nested in (False, True)
)
_FIELD: Final = _BY_LF[0].one
_OFTEN_ASKED: Final = {
    spelled: tuple(
        re.compile(start + name.encode() + rb"[ \t]*+:(" + _VALUE + rb")", re.IGNORECASE) for start in (b"", rb"\n")
    )
    for name in (
        *("From", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Reply-To"),
        *("Content-Type", "Content-Transfer-Encoding", "Content-Disposition"),
    )
    for spelled in (name, name.lower())
}
"""For fields that are mostly asked for alone: the pattern of the first field of a header, and of a later one."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BARE_CR: Final = re.compile(rb"\r(?!\n)")
_PREFIX: Final = re.compile(
    rb"(?:>?From (?![ \t]*:)[^\r\n]*+(?:" + _EOL + rb"|\Z))?+"
    rb"(?:(?:[ \t][^\r\n]*+" + _EOL + rb")++(?=[!-9;-~]++[ \t]*+:))?+"
)
_EMPTY_LINE: Final = re.compile(_EOL)
