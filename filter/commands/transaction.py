"""One mail transaction as `penstock send` makes it, by SMTP or LMTP (RFC 2033), octets as they are.

smtplib's own `sendmail` would say one reply for all, and does not know what LMTP answers after the dot.
"""

from __future__ import annotations

import re
import smtplib
from dataclasses import dataclass
from typing import Final

from ..port.endpoint import Endpoint
from ..verdict import Reply
from .given import Given

_PATIENCE: Final = 330.0
"""Seconds for a reply; RFC 5321 section 4.5.3.2 asks for at least 5 minutes at most places."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of MAIL and RCPT, as given; None for what is not."""

    notify: str | None = None
    ret: str | None = None
    envid: str | None = None
    smtputf8: bool = False


def transact(to: Endpoint, given: Given, content: bytes, parameters: Parameters, *, lmtp: bool) -> list[Reply]:
    """Send `content` (CRLF lines); one reply for each recipient.

    Raises OSError, smtplib.SMTPException, and ValueError for what no command can carry.
    """
    kind = smtplib.LMTP if lmtp or to.path is not None else smtplib.SMTP
    with kind(to.path or to.host, to.port, timeout=_PATIENCE) as session:
        session.command_encoding = "utf-8"
        hello = reply_of(*session.ehlo())
        opened = _said(session, _mail(session, given.sender, content, parameters)) if hello.is_ok else hello
        if not opened.is_ok:
            return [opened] * len(given.recipients)
        notify = f" NOTIFY={parameters.notify}" if parameters.notify else ""
        replies = [_said(session, f"RCPT TO:<{recipient}>{notify}") for recipient in given.recipients]
        return _with_content(session, replies, content) if any(reply.is_ok for reply in replies) else replies


def reply_of(code: int, text: bytes | str) -> Reply:
    """A reply as smtplib has it; the enhanced status stays in the text."""
    return Reply(code, None, text if isinstance(text, str) else text.decode("utf-8", "replace"))


def _mail(session: smtplib.SMTP, sender: str, content: bytes, parameters: Parameters) -> str:
    """MAIL with what was asked for, and with what the server needs to know where it says so."""
    words = [f"MAIL FROM:<{sender}>"]
    words += [f"SIZE={len(content)}"] if session.has_extn("size") else []
    words += ["BODY=8BITMIME"] if session.has_extn("8bitmime") and not content.isascii() else []
    words += [f"RET={parameters.ret.upper()}"] if parameters.ret else []
    words += [f"ENVID={parameters.envid}"] if parameters.envid else []
    return " ".join([*words, *(["SMTPUTF8"] if parameters.smtputf8 else [])])


def _with_content(session: smtplib.SMTP, replies: list[Reply], content: bytes) -> list[Reply]:
    """Send the message; each recipient that was taken gets what is said after the dot: over LMTP a reply of its own."""
    data = _said(session, "DATA")
    if data.code != 354:
        return [data if reply.is_ok else reply for reply in replies]
    stuffed = re.sub(rb"(?m)^\.", b"..", content)
    session.send(stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n")
    each = isinstance(session, smtplib.LMTP)
    last = None
    for number, reply in enumerate(replies):
        if reply.is_ok:
            last = reply_of(*session.getreply()) if each or last is None else last
            replies[number] = last
    return replies


def _said(session: smtplib.SMTP, command: str) -> Reply:
    return reply_of(*session.docmd(command))
