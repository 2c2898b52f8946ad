"""Delivery status notifications (RFC 3464): what became of a message, for its sender and for programs.

A multipart/report (RFC 6522) of three parts: words for a person, fields for a program, and the message itself or its
header. RET=FULL asks for the whole message, and is heard where something failed (RFC 3461 section 4.3).
All of it is ASCII but for the returned message; addresses beyond ASCII are written as RFC 6533 section 3 has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from ..address import Address, split
from ..envelope import Envelope
from .compose import compose
from .message import Message
from .surgery import append_leaf
from .writing import HeaderValue, write_field

Action = Literal["failed", "delayed", "delivered", "relayed", "expanded"]


@dataclass(frozen=True, slots=True)
class ReportedRecipient:
    """What became of one recipient.

    `status` is an enhanced status code (`5.7.1`, RFC 3463), `diagnostic` what a mail system said, its kind in
    front (`smtp; 550 5.7.1 no`), `orcpt` the ORCPT parameter, verbatim.
    """

    address: str
    action: Action
    status: str
    diagnostic: str | None = None
    orcpt: str | None = None


def delivery_status(
    original: Message,
    *,
    envelope: Envelope,
    reporting_mta: str,
    recipients: Sequence[ReportedRecipient],
    sender_address: str,
    message_id: str,
    date: datetime,
    text: str,
) -> Message:
    """The notice to `envelope.reverse_path` about these recipients of `original`.

    `reporting_mta` is a host name, `sender_address` the author of the notice, `message_id` its identifier in angle
    brackets, `date` aware, `text` the words for a person. Raises EditError for values that no header can hold.
    """
    actions = {recipient.action for recipient in recipients}
    notice = compose(
        [
            ("From", Address(*split(sender_address), "Mail Delivery System")),
            *_addressee(envelope.reverse_path),
            ("Subject", next((_SUBJECTS[action] for action in _SUBJECTS if action in actions), "Delivery report")),
            ("Date", date),
            ("Message-ID", message_id),
            ("Auto-Submitted", "auto-replied"),
        ],
        plain=text,
    )
    notice.wrap("report")
    content_type = notice.field("Content-Type")
    assert content_type is not None                # wrap has just set it
    content_type.set_param("report-type", "delivery-status")
    fields = _status(envelope, reporting_mta, recipients)
    append_leaf(notice, fields, "message/delivery-status")
    full = (envelope.ret or "").upper() == "FULL" and "failed" in actions
    append_leaf(notice, original if full else header_of(original), None if full else _HEADERS)
    return Message(bytes(notice))


def _addressee(reverse_path: str) -> list[tuple[str, HeaderValue]]:
    """The field To, which is left out for an address that no header can hold: the envelope has it."""
    address = Address(*split(reverse_path))
    try:
        write_field("To", address, _EOL)
    except ValueError:
        return []
    return [("To", address)]


def header_of(message: Message) -> bytes:
    """The header of a message as it stands, with the empty line."""
    raws = [field.raw for field in message.fields]
    return b"".join(raw if raw.endswith((b"\r", b"\n")) else raw + b"\r\n" for raw in raws) + b"\r\n"


def _status(envelope: Envelope, reporting_mta: str, recipients: Iterable[ReportedRecipient]) -> bytes:
    """The content of message/delivery-status: one group of fields for the message, one for each recipient."""
    groups: list[list[tuple[str, str | None]]] = [
        [
            ("Original-Envelope-Id", _from_xtext(envelope.envid) if envelope.envid else None),
            ("Reporting-MTA", f"dns; {reporting_mta}"),
        ]
    ]
    for recipient in recipients:
        kind, _, address = (recipient.orcpt or "").partition(";")
        groups.append(
            [
                ("Original-Recipient", f"{kind}; {_from_xtext(address)}" if recipient.orcpt else None),
                ("Final-Recipient", _typed(recipient.address)),
                ("Action", recipient.action),
                ("Status", recipient.status),
                ("Diagnostic-Code", recipient.diagnostic),
            ]
        )
    return _EOL.join(b"".join(_line(name, value) for name, value in group if value) for group in groups)


def _line(name: str, value: HeaderValue) -> bytes:
    return write_field(name, _ascii(str(value)), _EOL)


def _ascii(text: str) -> str:
    return _CONTROLS.sub(" ", text).encode("ascii", "replace").decode("ascii")


def _typed(address: str) -> str:
    if address.isascii():
        return f"rfc822; {address}"
    plain = "".join(c if c in _XTEXT_PLAIN else f"\\x{{{ord(c):X}}}" for c in address)
    return f"utf-8; {plain}"


def _from_xtext(text: str) -> str:
    """Undo xtext (RFC 3461 section 4)."""
    return re.sub(r"\+([0-9A-F]{2})", lambda octet: chr(int(octet[1], 16)), text)


_EOL: Final = b"\r\n"
_HEADERS: Final = "text/rfc822-headers"
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]+")
_XTEXT_PLAIN: Final = frozenset(chr(code) for code in range(0x21, 0x7F)) - set("\\+=")
_SUBJECTS: Final = {
    "failed": "Undelivered mail returned to sender",
    "delayed": "Delayed mail (still being retried)",
    "delivered": "Successful mail delivery report",
    "relayed": "Successful mail delivery report",
    "expanded": "Successful mail delivery report",
}
