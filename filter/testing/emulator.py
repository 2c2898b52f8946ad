"""What Postfix makes of milter operations, without a Postfix: a queue file to which they are applied.

    queued = QueueFile(raw, Envelope("ann@example.org", (Recipient("bob@example.org"),)))
    message = Message(queued.seen)                  # what a milter gets
    message["Subject"] = "Changed"
    queued.apply(operations(message, queued.envelope, queued.envelope))
    assert bytes(queued) == ...                     # what is delivered

It follows cleanup(8) of Postfix 3.7 operation by operation; the tests hold it to a live one, byte by byte. The rules:

* the field that Postfix itself put on top, its Received, is hidden from milters wherever it comes to stand. Changes
  and deletions count the visible fields of a name from 1, insertions all fields from 0. A change beyond the last
  of its name appends, an insertion beyond the last field too, a deletion beyond it does nothing;
* a value is stored line by line: one that begins without white space gets a tab. Of a field 60,000 octets are kept,
  less where it can be cut between lines for a tenth of that (without milters `header_size_limit` would count);
* a body comes in lines that LF ends, with or without a CR, and in one run of chunks;
* recipients are removed by their original address, unquoted; one that is added twice, with equal parameters, is added
  once, but one that came may be added again;
* RET and ENVID stay as they were unless they are given with the sender.

On the way in smtpd(8) ends lines at LF and makes any other CR a space; white space before a colon, and what follows
a NUL in the line of a field, are left out; where no empty line parts header and body, one is put in. What depends on
the site is not done here: fields dropped, added and rewritten, header checks, aliases. Nor is this followed: a Received
without a word on its first line, inserted above Postfix's own, is hidden from then on, and Postfix's own is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from ...milter.edits import HEADER_SIZE_LIMIT
from ...milter.operation import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    DeleteHeader,
    DeleteRecipient,
    InsertHeader,
    Operation,
    ReplaceBody,
)
from ..envelope import Envelope, Recipient

RECEIVED: Final = b"""\
Received: from client.penstock.test (unknown [192.0.2.25])
\tby mx.penstock.test (Postfix) with ESMTP id 4F00000000
\tfor <bob@b.test>; Thu,  1 Jan 2026 00:00:00 +0000 (UTC)
"""
"""A field such as Postfix puts above a message that comes in."""


@dataclass(frozen=True, slots=True)
class _Field:
    """One field as stored: its lines end in LF, the last one without."""

    text: bytes
    hidden: bool = False

    @property
    def name(self) -> bytes:
        return self.text.partition(b":")[0].lower()


class QueueFile:
    """A message in Postfix's queue, between its last dot and its delivery.

    `envelope` is as the operations left it.
    """

    def __init__(self, content: bytes, envelope: Envelope, *, received: bytes = RECEIVED) -> None:
        """`content` is what came between DATA and the final dot, `received` what Postfix puts on top."""
        self.envelope = replace(envelope, recipients=tuple(dict.fromkeys(envelope.recipients)))
        self._added: set[Recipient] = set()
        lines = _lines(content)
        fields = _FIELDS.match(lines)
        assert fields is not None                  # it matches the empty header, too
        own = [_Field(_stored(received.replace(b"\r\n", b"\n")), hidden=True)] if received else []
        self._fields = own + [_Field(_stored(text)) for text in _FIELD.findall(fields[0])]
        self._body = lines[fields.end() :]
        self._parted = bool(self._body)            # by an empty line, which Postfix puts in where it lacks
        if self._body.startswith(b"\n"):
            self._body = self._body[1:]

    def __bytes__(self) -> bytes:
        """The message as Postfix delivers it, in CRLF lines."""
        header = b"".join(field.text + b"\n" for field in self._fields)
        return _crlf(header + (b"\n" if self._parted else b"")) + _crlf(self._body)

    @property
    def seen(self) -> bytes:
        """The message as a milter sees it, that has negotiated leading spaces: without Postfix's own field."""
        header = b"".join(field.text + b"\n" for field in self._fields if not field.hidden)
        return _crlf(header + b"\n") + _crlf(self._body)

    def apply(self, operations: Iterable[Operation]) -> None:
        """Do what a milter asks for at the end of the message, in order.

        Raises ValueError for what Postfix takes as a mistake in its configuration (the client gets a 451).
        """
        replaced = False
        for is_body, run in groupby(operations, lambda operation: isinstance(operation, ReplaceBody)):
            if is_body and replaced:
                raise ValueError("a body is replaced in one run of chunks, with no other operation between")
            replaced |= is_body
            if is_body:
                self._replace_body(b"".join(_octets(operation) for operation in run))
                continue
            for operation in run:
                self._apply(operation)

    def _apply(self, operation: Operation) -> None:
        match operation:
            case AddHeader(name, value):
                self._fields.append(_written(name, value))
            case InsertHeader(index, name, value):
                if index < 0:
                    raise ValueError(f"{name}: a field is inserted at 0 or later, not at {index}")
                self._fields.insert(index, _written(name, value))
            case ChangeHeader(name, occurrence, value):
                self._change(name, occurrence, _written(name, value) if value else None)
            case DeleteHeader(name, occurrence):
                self._change(name, occurrence, None)
            case AddRecipient(address, parameters):
                self._add_recipient(_unbracketed(address), _parameters(parameters))
            case DeleteRecipient(address):
                self._delete_recipient(_internal(_unbracketed(address)))
            case ChangeSender(address, parameters):
                self._change_sender(_unbracketed(address), _parameters(parameters))

    def _change(self, name: str, occurrence: int, new: _Field | None) -> None:
        if occurrence < 1:
            raise ValueError(f"{name}: fields of a name are counted from 1, not from {occurrence}")
        wanted = name.encode().lower()
        places = [place for place, field in enumerate(self._fields) if field.name == wanted and not field.hidden]
        place = places[occurrence - 1] if occurrence <= len(places) else len(self._fields)
        self._fields[place : place + 1] = [new] if new else []

    def _replace_body(self, octets: bytes) -> None:
        lines = octets.replace(b"\r\n", b"\n")
        self._body = lines if lines.endswith(b"\n") or not lines else lines + b"\n"
        self._parted = True

    def _add_recipient(self, address: str, parameters: dict[str, str]) -> None:
        added = Recipient(address, parameters.get("NOTIFY"), parameters.get("ORCPT"))
        if added not in self._added:
            self._added.add(added)
            self.envelope = replace(self.envelope, recipients=(*self.envelope.recipients, added))

    def _delete_recipient(self, address: str) -> None:
        kept = tuple(recipient for recipient in self.envelope.recipients if _internal(recipient.address) != address)
        self._added.intersection_update(kept)
        self.envelope = replace(self.envelope, recipients=kept)

    def _change_sender(self, address: str, parameters: dict[str, str]) -> None:
        ret, envid = parameters.get("RET", self.envelope.ret), parameters.get("ENVID", self.envelope.envid)
        self.envelope = replace(self.envelope, reverse_path=address, ret=ret, envid=envid)


def _lines(content: bytes) -> bytes:
    """The content as smtpd(8) passes it on: lines that end in LF, and no other CR."""
    lines = _LINE_END.sub(b"\n", content).replace(b"\r", b" ")
    return lines if lines.endswith(b"\n") or not lines else lines + b"\n"


def _stored(text: bytes) -> bytes:
    """A field of the content as cleanup(8) keeps it."""
    return b"\n".join(_kept_lines(_BLANKS.sub(rb"\1:", _NUL.sub(b"", text.removesuffix(b"\n")), count=1)))


def _written(name: str, value: str) -> _Field:
    """A field as a milter gave it, as cleanup(8) writes it."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r}: Postfix would not know this name for that of a field")
    return _Field(b"\n".join(_kept_lines(f"{name}:{value}".encode().partition(b"\0")[0])))


def _kept_lines(text: bytes) -> Iterator[bytes]:
    """The lines of a field that are kept, all but the first with white space before them."""
    at = 0
    for number, line in enumerate(text.split(b"\n")):
        over = at + len(line) > HEADER_SIZE_LIMIT
        if over and at > 0.9 * HEADER_SIZE_LIMIT:
            return
        kept = line[: HEADER_SIZE_LIMIT - at] if over else line
        yield kept if number == 0 or kept.startswith((b" ", b"\t")) else b"\t" + kept
        if over:
            return
        at += len(line) + 1


def _octets(operation: Operation) -> bytes:
    return b"".join(operation.chunks()) if isinstance(operation, ReplaceBody) else b""


def _crlf(lines: bytes) -> bytes:
    return lines.replace(b"\n", b"\r\n")


def _unbracketed(address: str) -> str:
    if not (address.startswith("<") and address.endswith(">")):
        raise ValueError(f"{address!r}: an address stands in angle brackets, else Postfix reads it as a list")
    return address[1:-1]


def _internal(address: str) -> str:
    """The address without the quoting of RFC 5321 section 4.1.2."""
    return _QUOTING.sub(r"\1", address)


def _parameters(text: str) -> dict[str, str]:
    """The parameters, their names in upper case. Those that Postfix does not know it passes over."""
    return {name.upper(): value for name, _, value in (word.partition("=") for word in text.split())}


_LINE_END: Final = re.compile(rb"\r*\n")
_NAME: Final = re.compile(r"[!-9;-~]+")
_FIELD: Final = re.compile(rb"[!-9;-~]++[ \t]*+:[^\n]*+\n(?:[ \t][^\n]*+\n)*+")
_FIELDS: Final = re.compile(rb"(?:%s)*+" % _FIELD.pattern)
_NUL: Final = re.compile(rb"\0[^\n]*+")
_BLANKS: Final = re.compile(rb"\A([!-9;-~]++)[ \t]++:")
_QUOTING: Final = re.compile(r'\\(.)|"')
