"""From a Message and an Envelope as they are to be, to the milter operations that make Postfix's copy so.

Pure, and by identity: each edit knows the octets of the source that it is about, so no text is compared. The rules
are those of Postfix's cleanup(8):

* the Received that Postfix itself put on top is hidden from milters. Changes and deletions count the fields of a name
  from 1 without it; insertions count all fields from 0 with it;
* a deletion moves the later fields of its name up, an insertion all fields below it down. So changes and deletions go
  first, from the last field to the first, then what is appended, then insertions from the last to the first;
* what is added before the first field goes above Postfix's Received: there the filter port has it as well, and there
  trace fields belong (RFC 8601 section 4.1);
* a change to an empty value would delete the field: such a field is deleted and inserted anew;
* a field is what LF ends. A bare CR, which ends a line for `Message`, is to Postfix an octet like any other;
* the body can only be replaced as a whole, so it is left alone unless an edit lies in it.

A milter is not told where Postfix's Received stands. It is taken to be on top, where it is unless header checks
removed it or an earlier milter put several fields above it; then a field that is inserted between others comes one
place too low.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from ..filter.envelope import Envelope
from ..filter.message import Edit, Message
from ..filter.message.edits import apply
from .envelope import envelope_operations
from .operation import AddHeader, ChangeHeader, DeleteHeader, Inexpressible, InsertHeader, Operation, ReplaceBody

HEADER_SIZE_LIMIT: Final = 60_000
"""Where there are milters Postfix cuts fields at 60,000 octets, or at `header_size_limit` if that is less."""

MOST_STEPS: Final = 10_000_000
"""Fields times operations on them: Postfix walks the header for each, some 7 million fields a second."""


def operations(
    message: Message, before: Envelope, after: Envelope, *, leading_space: bool = True
) -> tuple[Operation, ...]:
    """The operations, in order, that make the arrived `message` and `before` into the edited message and `after`.

    The message is as milters see it: without the first field of the queue file, and with the empty line.
    `leading_space` says whether SMFIP_HDR_LEADSPC was negotiated: values then hold the space behind the colon, which
    otherwise Postfix supplies. Raises Inexpressible for what libmilter or Postfix cannot carry out.
    """
    return (*_message_operations(message, leading_space), *envelope_operations(before, after))


class _Change(NamedTuple):
    """New octets in place of the fields from number `first` up to `last`, none where both are the same."""

    first: int
    last: int
    edits: tuple[Edit, ...]


class _Written(NamedTuple):
    """A field to write, as libmilter wants it."""

    name: str
    value: str


class _Place(NamedTuple):
    """A field to insert before the source's number `before`; `top`: above Postfix's own Received."""

    before: int
    top: bool
    field: _Written


def _message_operations(message: Message, leading_space: bool) -> Iterator[Operation]:
    if not message.edits:
        return
    source = memoryview(message.raw).toreadonly()
    header = _Header(source)
    in_header: list[Edit] = []
    in_body: list[Edit] = []
    for edit in message.edits:
        (in_header if _is_in_header(edit, header) else in_body).append(edit)
    if in_header:
        yield from _bounded(list(_header_operations(header, in_header, leading_space)), header)
    if in_body:
        yield ReplaceBody(tuple(_crlf(apply(source[header.end :], _shifted(in_body, header.end)))))


def _bounded(said: list[Operation], header: _Header) -> list[Operation]:
    if len(said) * len(header.fields) > MOST_STEPS:
        raise Inexpressible(
            f"{len(said)} operations on a header of {len(header.fields)} fields would keep Postfix busy for long; "
            "list the handler under [filter], where they cost nothing"
        )
    return said


class _Header:
    """The fields of the header as Postfix parts them: `last` is where they end, `end` is behind the empty line."""

    __slots__ = ("end", "fields", "last", "source")

    def __init__(self, source: memoryview) -> None:
        self.source = source
        self.fields = _scan(source)
        self.last = self.fields[-1].end() if self.fields else 0
        empty = _LINE_END.match(source, self.last)
        self.end = empty.end() if empty else self.last

    def name(self, number: int) -> str:
        return self.fields[number][1].decode("ascii")

    def occurrences(self, numbers: set[int]) -> dict[int, int]:
        """For each of these fields which one of its name it is, from 1."""
        if not numbers:
            return {}
        names = {self.fields[number][1].lower(): 0 for number in numbers}
        found: dict[int, int] = {}
        for number, field in enumerate(self.fields):
            name = field[1].lower()
            if name in names:
                names[name] += 1
                if number in numbers:
                    found[number] = names[name]
        return found


def _is_in_header(edit: Edit, header: _Header) -> bool:
    """Whether the edit is about the header. Raises Inexpressible for one that is about both header and body."""
    if edit.start >= header.end and (edit.body or edit.start > header.last):
        return False
    if edit.end > header.last and (edit.start, edit.end) != (header.last, header.end):
        raise Inexpressible("an edit covers the empty line between header and body: change one of them at a time")
    return True


def _header_operations(header: _Header, edits: Sequence[Edit], leading_space: bool) -> Iterator[Operation]:
    settled: dict[int, _Written | None] = {}       # fields of the source to change, or with None to delete
    places: list[_Place] = []
    for change in _changes(header, edits):
        new = _fields(header, change, leading_space)
        old = range(change.first, change.last)
        for number, written in zip(old, new, strict=False):
            if written.value and written.name.lower() == header.name(number).lower():
                settled[number] = written
            else:
                settled[number] = None
                places.append(_Place(number, False, written))
        settled.update(dict.fromkeys(old[len(new) :]))
        top = bool(change.last == 0 and header.fields)
        places += [_Place(change.last, top, written) for written in new[len(old) :]]
    yield from _in_place(header, settled)
    yield from _placed(header, sorted(number for number, written in settled.items() if written is None), places)


def _changes(header: _Header, edits: Iterable[Edit]) -> list[_Change]:
    """The edits by the fields that they touch; those that touch one field together are one change."""
    found: list[_Change] = []
    for edit in edits:
        first = bisect_right(header.fields, edit.start, key=re.Match.end)
        last = bisect_left(header.fields, min(edit.end, header.last), key=re.Match.start)
        if found and first < found[-1].last:
            change = found.pop()
            found.append(_Change(change.first, max(last, change.last), (*change.edits, edit)))
        else:
            found.append(_Change(first, max(first, last), (edit,)))
    return found


def _fields(header: _Header, change: _Change, leading_space: bool) -> list[_Written]:
    """The fields that the change leaves in its place."""
    start = header.fields[change.first].start() if change.first < len(header.fields) else header.last
    end = header.fields[change.last - 1].end() if change.last > change.first else start
    octets = b"".join(apply(header.source[start:end], _shifted(change.edits, start)))
    if change.last == len(header.fields):
        octets = _EMPTY_ENDS.sub(b"", octets) + b"\n"   # the empty line, and the end of the last field, are Postfix's
    matches = _scan(octets)
    if octets.strip(b"\r\n") and not (matches and matches[-1].end() == len(octets) and octets.endswith(b"\n")):
        name = header.name(min(change.first, len(header.fields) - 1)) if header.fields else "header"
        raise Inexpressible(f"{name}: the change would end the header, or a bare CR stands in this field: remove it")
    return [_written(match, leading_space) for match in matches]


def _written(match: re.Match[bytes], leading_space: bool) -> _Written:
    name = match[1].decode("ascii")
    raw = _LINE_END.sub(b"\n", match[3]).removesuffix(b"\n")
    if match[2]:
        raise Inexpressible(f"{name}: white space before the colon cannot be kept; write the field without it")
    if b"\0" in raw:
        raise Inexpressible(f"{name}: NUL ends a value in the milter protocol; remove it")
    if len(name) + 1 + len(raw) > HEADER_SIZE_LIMIT:
        raise Inexpressible(f"{name}: Postfix cuts off what is beyond {HEADER_SIZE_LIMIT} octets; make it shorter")
    try:
        value = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Inexpressible(f"{name}: octets beyond ASCII that are no UTF-8; write them encoded (RFC 2047)") from None
    if leading_space:
        return _Written(name, value)
    if not value.startswith(" "):
        raise Inexpressible(f"{name}: this Postfix begins every value with a space, which here is missing; add it")
    return _Written(name, value[1:])


def _in_place(header: _Header, settled: dict[int, _Written | None]) -> Iterator[Operation]:
    occurrences = header.occurrences(set(settled))
    for number in sorted(settled, reverse=True):
        written = settled[number]
        if written is None:
            yield DeleteHeader(header.name(number), occurrences[number])
        else:
            yield ChangeHeader(written.name, occurrences[number], written.value)


def _placed(header: _Header, deleted: Sequence[int], places: Sequence[_Place]) -> Iterator[Operation]:
    kept = len(header.fields) - len(deleted)
    inserted: list[InsertHeader] = []
    for place in places:
        above = place.before - bisect_left(deleted, place.before)
        if above == kept and not place.top:
            yield AddHeader(place.field.name, place.field.value)
        else:
            inserted.append(InsertHeader(0 if place.top else above + 1, place.field.name, place.field.value))
    yield from reversed(inserted)


def _crlf(spans: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """The spans with CRLF for each bare LF: to Postfix both end a line."""
    after_cr = False
    for span in spans:
        if after_cr and span[0] == _LF:
            yield b"\n"
            span = span[1:]
        yield _BARE_LF.sub(b"\r\n", span) if _BARE_LF.search(span) else span
        after_cr = bool(len(span)) and span[-1] == _CR


def _scan(octets: bytes | memoryview) -> list[re.Match[bytes]]:
    """The fields from the beginning to the first line that is none."""
    return list(iter(_FIELD.scanner(octets).match, None))  # type: ignore[attr-defined]  # typeshed lacks it


def _shifted(edits: Iterable[Edit], start: int) -> list[Edit]:
    """The edits over what begins at `start`."""
    return [Edit(edit.start - start, edit.end - start, edit.data) for edit in edits]


_CR, _LF = b"\r\n"
_FIELD: Final = re.compile(rb"([!-9;-~]++)([ \t]*+):([^\n]*+(?:\n[ \t][^\n]*+)*+\n?+)")
_LINE_END: Final = re.compile(rb"\r?\n")
_EMPTY_ENDS: Final = re.compile(rb"\A(?:\r?\n)+|(?:\r?\n)+\Z")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
