"""The grammar of commands (RFC 5321 section 4.1, with SIZE, 8BITMIME, SMTPUTF8 and DSN).

Strict where a guess could change what a command means, generous where Postfix may pass on what it
took: an address may lack a domain, and may hold 8-bit octets without SMTPUTF8 (UTF-8, stray octets
as surrogates). A source route is dropped, as the RFC has it.

Text in and out is decoded as UTF-8 with `surrogateescape`. What does not parse raises Refused with
the reply for the client.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

from ..envelope import NULL_PATH, Client, Envelope, Recipient
from ..verdict import Reply
from . import replies
from .xtext import is_xtext

_ATOM: Final = r"[\w.!#$%&'*+/=?^`{|}~\x80-\U0010ffff-]"
_QUOTED: Final = r'"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"'
_DOMAIN: Final = r"(?:\[[^\s\[\]<>\\\x00-\x1f\x7f]+\]|[^\s<>@\"\\(),:;\[\]\x00-\x1f\x7f]+)"
_MAILBOX: Final = re.compile(rf"(?:{_ATOM}+|{_QUOTED})(?:@{_DOMAIN})?", re.ASCII)
_ROUTE: Final = rf"@{_DOMAIN}(?:,@{_DOMAIN})*:"
_PATH: Final = re.compile(rf" ?<(?:(?:{_ROUTE})?({_MAILBOX.pattern}))?>(?: +(.*))?", re.ASCII)
_PARAMETER: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^ =\x00-\x1f\x7f][^ \x00-\x1f\x7f]*))?")
_COMMAND: Final = re.compile(rb"([!-~]*)(?: ([^\x00-\x1f\x7f]*))?\r\n")
_NOTICES: Final = frozenset({"SUCCESS", "FAILURE", "DELAY"})
_LONGEST_PATH: Final = 1000
"""Well over RFC 5321's 256 octets, and with its parameters still within the 2,048 of Postfix's `line_length_limit`."""


class Refused(Exception):
    """A command that cannot be obeyed; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


def command(line: bytes) -> tuple[str, str]:
    """The verb in upper case and the rest of a command line."""
    match = _COMMAND.fullmatch(line)
    if match is None:
        raise Refused(replies.NOT_A_LINE)
    return match[1].decode("ascii").upper(), (match[2] or b"").strip(b" ").decode("utf-8", "surrogateescape")


def mail(rest: str, client: Client, message_size: int) -> Envelope:
    """The envelope that MAIL opens, without recipients. `rest` is what stands behind the verb."""
    reverse_path, parameters = _path(rest, "FROM:", replies.BAD_SENDER)
    envelope = Envelope(reverse_path, client=client)
    parameters.pop("AUTH", None)  # RFC 4954 section 5: who does not trust the client forgets it
    if parameters:
        envelope = replace(envelope, **dict(_mail_parameter(name, value) for name, value in parameters.items()))
    if envelope.size is not None and envelope.size > message_size:
        raise Refused(replies.TOO_BIG)
    return envelope


def recipient(rest: str) -> Recipient:
    """The recipient that RCPT names. `rest` is what stands behind the verb."""
    address, parameters = _path(rest, "TO:", replies.BAD_RECIPIENT)
    if not address:
        raise Refused(replies.BAD_RECIPIENT)
    notify, orcpt = parameters.pop("NOTIFY", None), parameters.pop("ORCPT", None)
    if parameters:
        raise Refused(replies.UNKNOWN_PARAMETER)
    if notify is not None and notify.upper() != "NEVER" and not set(notify.upper().split(",")) <= _NOTICES:
        raise Refused(replies.SYNTAX)
    if orcpt is not None and not _is_orcpt(orcpt):
        raise Refused(replies.SYNTAX)
    return Recipient(address, notify, orcpt)


def is_mailbox(address: str) -> bool:
    """Whether an address can stand between angle brackets in a command."""
    return len(address) <= _LONGEST_PATH and _MAILBOX.fullmatch(address) is not None


def _path(rest: str, keyword: str, bad_address: Reply) -> tuple[str, dict[str, str]]:
    if rest[: len(keyword)].upper() != keyword:
        raise Refused(replies.SYNTAX)
    match = _PATH.fullmatch(rest, len(keyword))
    path = match and (match[1] or NULL_PATH)
    if match is None or path is None or len(path) > _LONGEST_PATH:
        raise Refused(bad_address)
    parameters: dict[str, str] = {}
    for word in (match[2] or "").split(" "):
        if not word:
            continue
        parameter = _PARAMETER.fullmatch(word)
        if parameter is None or parameter[1].upper() in parameters:
            raise Refused(replies.SYNTAX)
        parameters[parameter[1].upper()] = parameter[2] or ""
    return path, parameters


def _mail_parameter(name: str, value: str) -> tuple[str, Any]:
    """The attribute of the envelope that a parameter of MAIL sets, and its value."""
    match name:
        case "SIZE" if re.fullmatch(r"[0-9]{1,20}", value):
            return "size", int(value)
        case "BODY" if value.upper() in ("7BIT", "8BITMIME"):
            return "body", value.upper()
        case "SMTPUTF8" if not value:
            return "smtputf8", True
        case "RET" if value.upper() in ("FULL", "HDRS"):
            return "ret", value
        case "ENVID" if value and is_xtext(value):
            return "envid", value
        case "SIZE" | "BODY" | "SMTPUTF8" | "RET" | "ENVID":
            raise Refused(replies.SYNTAX)
        case _:
            raise Refused(replies.UNKNOWN_PARAMETER)


def _is_orcpt(value: str) -> bool:
    kind, _, address = value.partition(";")
    return bool(kind and address) and is_xtext(kind) and is_xtext(address)
