"""New messages: from header fields and text, CRLF throughout, no line over 998 octets.

Text goes out as 7bit where it is ASCII, else as quoted-printable or base64, whichever is shorter, so that no
relay has cause to rewrite it. Addresses beyond ASCII need a path that has SMTPUTF8; `needs_smtputf8` tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from .message import Message
from .surgery import append_leaf
from .writing import HeaderValue, write_field

__all__ = ["HeaderValue", "compose", "forward_subject", "needs_smtputf8", "quoted", "reply_headers"]


def compose(
    headers: Iterable[tuple[str, HeaderValue]], *, plain: str | None = None, html: str | None = None
) -> Message:
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


def reply_headers(original: Message) -> list[tuple[str, HeaderValue]]:
    """To, Subject, In-Reply-To and References of a reply (RFC 5322 section 3.6.4): to Reply-To, else From."""
    target = original.addresses("Reply-To") or original.addresses("From")
    subject = original["Subject"] or ""
    headers: list[tuple[str, HeaderValue]] = [("To", target)] if target else []
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


def needs_smtputf8(message: Message) -> bool:
    """Whether the header holds octets beyond ASCII, for which the next hop must announce SMTPUTF8 (RFC 6531)."""
    return not all(field.raw.isascii() for field in message.fields)


def _is_mime(name: str) -> bool:
    lower = name.lower()
    return lower == "mime-version" or lower in ("content-type", "content-transfer-encoding")


def _shortened(thread: Sequence[str]) -> Sequence[str]:
    """The first and the latest identifiers of a long thread; References would grow without end."""
    return thread if len(thread) <= _LONGEST_THREAD else [thread[0], *thread[1 - _LONGEST_THREAD :]]


_EOL: Final = b"\r\n"
_LONGEST_THREAD: Final = 30
