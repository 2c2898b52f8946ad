"""A message that is kept, shown: its envelope and its header."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from ..envelope import Envelope
from ..message import Message
from .printable import printable

Fact = tuple[str, str]
"""What it is about, and what is so."""


def facts(found: Iterable[Fact]) -> None:
    """Print facts, a line each."""
    for name, text in found:
        click.echo(f"{name + ':':12}{printable(text)}")


def block(title: str, text: str | None) -> None:
    """Print text of several lines below a title, if there is any."""
    if text:
        click.echo(click.style(f"\n{title}", bold=True))
        click.echo("\n".join(f"  {printable(line)}" for line in text.splitlines()))


def header_of(message: Message) -> str:
    """The header as text; stray octets become lone surrogates."""
    return bytes(message.raw[: message.body_start]).decode("utf-8", "surrogateescape")


def envelope_facts(envelope: Envelope) -> Iterator[Fact]:
    """Sender, recipients with their DSN parameters, and the client where it is known."""
    yield "Sender", f"<{envelope.reverse_path}>"
    for recipient in envelope.recipients:
        parameters = {"NOTIFY": recipient.notify, "ORCPT": recipient.orcpt}
        yield "Recipient", " ".join([f"<{recipient.address}>", *(f"{k}={v}" for k, v in parameters.items() if v)])
    client = envelope.client
    about = {"": client.name, "IP": client.address, "HELO": client.helo, "login": client.login, "id": client.ident}
    if told := [f"{name} {value}".strip() for name, value in about.items() if value is not None]:
        yield "Client", ", ".join(told)
