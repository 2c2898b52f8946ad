"""What a milter can ask of the MTA at the end of a message, as values.

Each maps onto one call of libmilter, with its arguments as libmilter wants them: text is strict UTF-8 without NUL,
the lines of a folded value are parted by LF alone, addresses stand in angle brackets. What does not fit
raises `Inexpressible` before anything is said, so mail is never altered in another way than was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

CHUNK: Final = 65_535
"""The most octets of a body that one packet carries (libmilter's MILTER_CHUNK_SIZE)."""


class Inexpressible(ValueError):
    """A change that libmilter or Postfix cannot carry out; the text names what it is about and how to mend it."""


@dataclass(frozen=True, slots=True)
class AddHeader:
    """`smfi_addheader`: a field behind all others."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class InsertHeader:
    """`smfi_insheader`: a field before the one at `index`, which counts from 0 in the message as delivered.

    There Postfix's own Received is number 0, unless another milter has put a field above it.
    """

    index: int
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class ChangeHeader:
    """`smfi_chgheader`: another value for a field. `occurrence` counts that name from 1 in the message as received.

    `value` is not empty: Postfix would delete the field.
    """

    name: str
    occurrence: int
    value: str


@dataclass(frozen=True, slots=True)
class DeleteHeader:
    """`smfi_chgheader` without a value: a field less, so that later ones of that name count one lower."""

    name: str
    occurrence: int


@dataclass(frozen=True, slots=True)
class ReplaceBody:
    """`smfi_replacebody`, once for each of `chunks` and with nothing else between.

    `spans` are buffers of lines that end in CRLF, views of the message's source where nothing was changed.
    """

    spans: tuple[bytes | memoryview, ...]

    def chunks(self) -> Iterator[bytes]:
        """The body in pieces of at most `CHUNK` octets, all but the last full; one empty piece for an empty body."""
        waiting = b""
        for span in self.spans:
            start = CHUNK - len(waiting)
            if len(span) < start:
                waiting += bytes(span)
                continue
            yield waiting + bytes(span[:start])
            full = start + (len(span) - start) // CHUNK * CHUNK
            for at in range(start, full, CHUNK):
                yield bytes(span[at : at + CHUNK])
            waiting = bytes(span[full:])
        if waiting or not any(len(span) for span in self.spans):
            yield waiting


@dataclass(frozen=True, slots=True)
class AddRecipient:
    """`smfi_addrcpt_par`: one more recipient, in angle brackets; `parameters` may be NOTIFY and ORCPT (RFC 3461)."""

    address: str
    parameters: str = ""


@dataclass(frozen=True, slots=True)
class DeleteRecipient:
    """`smfi_delrcpt`: every recipient of that address, as it was in RCPT, and all that Postfix made of it."""

    address: str


@dataclass(frozen=True, slots=True)
class ChangeSender:
    """`smfi_chgfrom`: another reverse-path, in angle brackets; `parameters` may be RET and ENVID (RFC 3461)."""

    address: str
    parameters: str = ""


Operation = (
    AddHeader
    | InsertHeader
    | ChangeHeader
    | DeleteHeader
    | ReplaceBody
    | AddRecipient
    | DeleteRecipient
    | ChangeSender
)
