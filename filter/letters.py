"""Letters: mail that a handler makes.

A letter has its Message-ID from the moment it is made, and stays editable until the handler returns.
Replies and notices go out from the null reverse-path with `Auto-Submitted` (RFC 3834), so that no two
automatic correspondents ever talk to each other for long; a redirected message keeps its own header.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from .envelope import NULL_PATH
from .guard import HOPS, hops
from .message import Message
from .message.compose import HeaderValue, compose
from .views import View


@dataclass(slots=True)
class Letter:
    """A message and where it goes. `sender` is its reverse-path; `verp` asks for one per recipient."""

    message: Message
    sender: str
    recipients: tuple[str, ...]
    verp: bool = False
    smtputf8: bool = False
    handler: str = ""

    @property
    def message_id(self) -> str:
        return self.message["Message-ID"] or ""


def written(
    view: View, *, to: Sequence[str], author: str, now: datetime, automatic: Sequence[tuple[str, str]], hop: int
) -> Letter:
    """A letter from a rendered template. `automatic` are the fields that mark it; the template's head wins.

    A template may set any field; From, To, Date, Message-ID and the marks are filled in where it does not.
    """
    headers: list[tuple[str, HeaderValue]] = list(view.headers)
    given = {name.lower() for name, _ in headers}
    standard: list[tuple[str, HeaderValue]] = [
        ("From", author),
        ("To", ", ".join(to)),
        ("Date", now),
        ("Message-ID", new_message_id(author)),
        *automatic,
        (HOPS, str(hop)),
    ]
    headers += [(name, value) for name, value in standard if name.lower() not in given]
    return Letter(compose(headers, plain=view.plain, html=view.html), NULL_PATH, tuple(to))


def redirected(message: Message, *, to: Iterable[str], sender: str, verp: bool, now: datetime, author: str) -> Letter:
    """The message itself for other recipients, with a hop counted; it keeps everything else."""
    copy = message.copy()
    count = hops(copy) + 1
    del copy[HOPS]
    copy.add(HOPS, str(count), first=True)
    if "Message-ID" not in copy:
        copy["Message-ID"] = new_message_id(author)
    if "Date" not in copy:
        copy["Date"] = now
    return Letter(copy, sender, tuple(to), verp)


def new_message_id(author: str) -> str:
    """A fresh Message-ID (RFC 5322 section 3.6.4) under the domain of an address."""
    domain = author.rpartition("@")[2].strip("<> ") or "localhost"
    return f"<{secrets.token_hex(16)}@{domain}>"
