"""New messages: from header fields and text, replies, forwards; CRLF throughout, no line over 998 octets.

Text goes out as 7bit where it is ASCII, else as quoted-printable or base64, whichever is shorter, so that no
relay has cause to rewrite it. Addresses beyond ASCII need a path that has SMTPUTF8; `needs_smtputf8` tells.
Fields that are given win over those that are made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from email.utils import format_datetime
from html import escape
from typing import Final

from ..address import Address
from .message import Message
from .part import Part
from .surgery import append_copy, append_leaf
from .writing import HeaderValue, write_field

__all__ = [
    "HeaderValue",
    "compose",
    "forward",
    "forward_subject",
    "needs_smtputf8",
    "quotation",
    "quoted",
    "reply",
    "reply_headers",
]

Headers = Iterable[tuple[str, HeaderValue]]


def compose(headers: Headers, *, plain: str | None = None, html: str | None = None) -> Message:
    """A message with those fields and that text: text/plain, text/html, or multipart/alternative of both.

    MIME-Version and the Content fields are made here; those given are left out. Attachments are added
    with `Message.attach`. Raises EditError for a value that cannot stand in a header, or text that no charset holds.
    """
    fields = [write_field(name, value, _EOL) for name, value in headers if not _is_mime(name)]
    message = Message(b"".join([*fields, write_field("MIME-Version", "1.0", _EOL), _EOL]))
    texts = [(plain, "text/plain")] if plain is not None or html is None else []
    texts += [(html, "text/html")] if html is not None else []
    first, *others = texts
    message.replace(first[0] or "", type=first[1])
    if others:
        whole = message.wrap("alternative")
        for text, kind in others:
            append_leaf(whole, text or "", kind)
    return Message(bytes(message))


def reply(
    original: Message, headers: Headers, *, plain: str, html: str | None = None, everyone: bool = False
) -> Message:
    """An answer in the thread of the original, which is quoted below the text.

    With `everyone` all other addresses of From, To and Cc get a copy; give a Cc of your own to leave some out.
    Raises EditError as `compose` does.
    """
    given = list(headers)
    message = compose(_filled(given, reply_headers(original, everyone=everyone)), plain=plain, html=html)
    said = quotation(original)
    if said:
        message.append_text(f"\n{said}", f"<blockquote><pre>{escape(said)}</pre></blockquote>\n")
    return Message(bytes(message))


def forward(original: Message, headers: Headers, *, plain: str = "", attached: bool = False) -> Message:
    """The original for others, below the text, its files attached; or, with `attached`, as a whole and untouched.

    What is signed or encrypted is always attached as a whole. Raises EditError as `compose` does.
    """
    fields = _filled(list(headers), [("Subject", forward_subject(original))])
    if attached or original.sealed:
        message = compose(fields, plain=plain)
        message.attach(original)
        return Message(bytes(message))
    shown, other = original.body("plain"), original.body("html")
    start = f"{plain}\n" if plain else ""
    message = compose(fields, plain=f"{start}{_FORWARDED}{_summary(original)}\n{shown.text if shown else ''}")
    rest = [leaf for leaf in _leaves(original) if leaf is not shown and not (shown and leaf is other)]
    if rest:
        message.wrap("mixed")
    for leaf in rest:
        append_copy(message, leaf)
    return Message(bytes(message))


def reply_headers(original: Message, *, everyone: bool = False) -> list[tuple[str, HeaderValue]]:
    """To, Subject, In-Reply-To and References of a reply (RFC 5322 section 3.6.4): to Reply-To, else From.

    With `everyone` there is a Cc to all others of From, To and Cc.
    """
    target = original.addresses("Reply-To") or original.addresses("From")
    subject = original["Subject"] or ""
    headers: list[tuple[str, HeaderValue]] = [("To", target)] if target else []
    if everyone and (others := _others(original, {address.addr for address in target})):
        headers.append(("Cc", others))
    headers.append(("Subject", subject if subject[:3].lower() == "re:" else f"Re: {subject}".strip()))
    if ids := original.ids("Message-ID")[:1]:
        known = original.ids("References") or original.ids("In-Reply-To")[:1]
        thread = [known_id for known_id in known if known_id not in ids]
        headers.append(("In-Reply-To", ids[0]))
        headers.append(("References", " ".join([*_shortened(thread), *ids])))
    return headers


def forward_subject(original: Message) -> str:
    """The subject of a forwarded message."""
    subject = original["Subject"] or ""
    return subject if subject[:4].lower() == "fwd:" else f"Fwd: {subject}".strip()


def quoted(text: str) -> str:
    """The text as quoted in a reply: `> ` before each line, `>` before one that is quoted already."""
    lines = text.rstrip("\n").split("\n")
    return "".join(f"> {line}\n" if line and not line.startswith(">") else f">{line}\n" for line in lines)


def quotation(original: Message) -> str:
    """The text of the original as a reply quotes it, who wrote it first; "" where it shows no plain text.

    A signature (below a line `-- `) is left out.
    """
    shown = original.body("plain")
    text = f"\n{shown.text}".partition("\n-- \n")[0].strip("\n") if shown else ""
    if not text:
        return ""
    date = original.date
    when = f"On {format_datetime(date)}, " if date else ""
    who = ", ".join(address.name or address.addr for address in original.addresses("From")) or "someone"
    return f"{when}{who} wrote:\n{quoted(text)}"


def needs_smtputf8(message: Message) -> bool:
    """Whether a header holds octets beyond ASCII, for which the next hop must announce SMTPUTF8 (RFC 6531).

    The headers of parts count as well, those within an attached message do not.
    """
    waiting: list[Part] = [message]
    while waiting:
        part = waiting.pop()
        if not all(field.raw.isascii() for field in part.fields):
            return True
        if part.is_multipart:
            waiting += part.parts
    return False


def _filled(given: list[tuple[str, HeaderValue]], made: Headers) -> list[tuple[str, HeaderValue]]:
    names = {name.lower() for name, _ in given}
    return given + [(name, value) for name, value in made if name.lower() not in names]


def _others(original: Message, known: set[str]) -> list[Address]:
    found = []
    for address in (address for name in ("From", "To", "Cc") for address in original.addresses(name)):
        if address.addr not in known:
            known.add(address.addr)
            found.append(address)
    return found


def _summary(original: Message) -> str:
    """Who wrote what to whom, as lines of text."""
    lines = ((name, original[name]) for name in ("From", "Date", "Subject", "To", "Cc"))
    return "".join(f"{name}: {value}\n" for name, value in lines if value)


def _leaves(part: Part) -> Iterator[Part]:
    """The leaves in order; an attached message is one."""
    if not part.is_multipart:
        yield part
    for child in part.parts if part.is_multipart else ():
        yield from _leaves(child)


def _is_mime(name: str) -> bool:
    lower = name.lower()
    return lower == "mime-version" or lower in ("content-type", "content-transfer-encoding")


def _shortened(thread: Sequence[str]) -> Sequence[str]:
    """The first and the latest identifiers of a long thread; References would grow without end."""
    return thread if len(thread) <= _LONGEST_THREAD else [thread[0], *thread[1 - _LONGEST_THREAD :]]


_EOL: Final = b"\r\n"
_FORWARDED: Final = "---------- Forwarded message ----------\n"
_LONGEST_THREAD: Final = 30
