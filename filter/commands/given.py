"""A message and its envelope, as they are given on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from ..envelope import NULL_PATH
from ..message import Message


@dataclass(frozen=True, slots=True)
class Given:
    """Sender and recipients of a message. `remarks` say what was taken from its header for want of an option."""

    sender: str
    recipients: tuple[str, ...]
    remarks: tuple[str, ...]


def envelope_of(message: Message, sender: str | None, recipients: Sequence[str]) -> Given:
    """The envelope from the options, else from the header: From; To, Cc and Bcc.

    A `sender` of `<>` or "" is the null reverse-path. Raises click.UsageError where neither gives one.
    """
    remarks = []
    if sender is None:
        sender = next((author.addr for author in message.addresses("From")), None)
        if sender is None:
            raise click.UsageError("The message has no From to take the sender from; give --from ADDRESS.")
        remarks.append("The sender is taken from the header; --from ADDRESS gives another.")
    if not recipients:
        found = (each.addr for name in ("To", "Cc", "Bcc") for each in message.addresses(name))
        recipients = tuple(dict.fromkeys(found))
        if not recipients:
            raise click.UsageError("The message has no To to take recipients from; give --to ADDRESS.")
        remarks.append("The recipients are taken from the header; --to ADDRESS gives others.")
    return Given(bare(sender), tuple(map(bare, recipients)), tuple(remarks))


def bare(address: str) -> str:
    """An address without its angle brackets; `<>` is the null reverse-path."""
    return NULL_PATH if address == "<>" else address.removeprefix("<").removesuffix(">")
