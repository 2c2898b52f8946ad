"""From one Envelope to another in milter operations: recipients to remove and to add, another sender.

Postfix removes by address: whoever is in the envelope twice, with different DSN parameters, goes twice. It removes
before it adds, so parameters change by removing a recipient and adding it anew. `smfi_chgfrom` sets RET and ENVID
and cannot take them away. A parameter that Postfix does not understand it passes over with a warning, so
parameters are checked here (RFC 3461 section 4). So are addresses: to Postfix `a(b)@c` is `a@c`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ..filter.envelope import Envelope, Recipient
from .operation import AddRecipient, ChangeSender, DeleteRecipient, Inexpressible, Operation


def envelope_operations(before: Envelope, after: Envelope) -> Iterator[Operation]:
    """The operations that make `before` into `after`. The order of recipients is no difference.

    Raises Inexpressible for addresses and parameters that libmilter or Postfix cannot take.
    """
    for name in ("body", "smtputf8"):
        if getattr(before, name) != getattr(after, name):
            raise Inexpressible(f"envelope: {name} cannot be changed before the queue")
    if before.recipients != after.recipients:
        yield from _recipients(before.recipients, after.recipients)
    if (before.reverse_path, before.ret, before.envid) != (after.reverse_path, after.ret, after.envid):
        yield _sender(before, after)


def _recipients(before: tuple[Recipient, ...], after: tuple[Recipient, ...]) -> Iterator[Operation]:
    wanted = set(after)
    gone = dict.fromkeys(recipient.address for recipient in before if recipient not in wanted)
    for address in gone:
        yield DeleteRecipient(_bracketed(address))
    there = {recipient for recipient in before if recipient.address not in gone}
    for recipient in dict.fromkeys(after):
        if recipient not in there:
            yield AddRecipient(_bracketed(recipient.address), _recipient_parameters(recipient))


def _recipient_parameters(recipient: Recipient) -> str:
    words = []
    if recipient.notify is not None:
        words.append(_checked("NOTIFY", recipient.notify, _NOTIFY))
    if recipient.orcpt is not None:
        words.append(_checked("ORCPT", recipient.orcpt, _ORCPT))
    return " ".join(words)


def _sender(before: Envelope, after: Envelope) -> ChangeSender:
    words = []
    for name, old, new, pattern in (
        ("RET", before.ret, after.ret, _RET),
        ("ENVID", before.envid, after.envid, _ENVID),
    ):
        if new is not None:
            words.append(_checked(name, new, pattern))
        elif old is not None:
            raise Inexpressible(f"{name} can be changed before the queue, but not taken away: keep {old}")
    return ChangeSender(_bracketed(after.reverse_path) if after.reverse_path else "<>", " ".join(words))


def _checked(name: str, value: str, pattern: re.Pattern[str]) -> str:
    if not pattern.fullmatch(value):
        raise Inexpressible(f"{name}={value!r} is no such parameter of RFC 3461")
    return f"{name}={value}"


def _bracketed(address: str) -> str:
    if not _ADDRESS.fullmatch(address):
        raise Inexpressible(f"{address!r}: Postfix would read another address; write it as RFC 5321 has it, in UTF-8")
    return f"<{address}>"


_ATOM: Final = r"[^\x00-\x20\x7f()<>\[\]:;@\\,\"\ud800-\udfff]+"
_QUOTED: Final = r'"(?:[^\x00-\x1f\x7f"\\\ud800-\udfff]|\\[\x20-\x7e])*"'
_ADDRESS: Final = re.compile(rf"(?:{_ATOM}|{_QUOTED})(?:@(?:{_ATOM}|\[[0-9A-Za-z.:]+\]))?")
_NOTIFY: Final = re.compile(r"NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY))*", re.IGNORECASE)
_RET: Final = re.compile(r"FULL|HDRS", re.IGNORECASE)
_XTEXT: Final = r"(?:[!-*,-<>-~\x80-\ud7ff\ue000-\U0010ffff]|\+[0-9A-Fa-f]{2})*"
_ENVID: Final = re.compile(_XTEXT)
_ORCPT: Final = re.compile(rf"[A-Za-z0-9-]+;{_XTEXT}")
