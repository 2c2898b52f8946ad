"""`penstock send`: put a message into a mail system by SMTP or LMTP, and show what it says."""

from __future__ import annotations

import re
import smtplib
from datetime import UTC, datetime
from typing import BinaryIO, Final

import click

from ..letters import new_message_id
from ..message import EditError, Message
from ..message.compose import HeaderValue, compose
from ..port.endpoint import Endpoint
from ..verdict import Reply
from .given import Given, bare, envelope_of
from .printable import printable
from .program import Trouble
from .transaction import Parameters, reply_of, transact

_BARE_LINE_END: Final = re.compile(rb"\r\n|\r|\n")


@click.command()
@click.argument("file", type=click.File("rb"), metavar="[FILE.eml]", required=False)
@click.option("--from", "sender", metavar="ADDRESS", help="The reverse-path, <> for null; else the header's From.")
@click.option("--to", "recipients", metavar="ADDRESS", multiple=True, help="Recipient, repeatable; else the header's.")
@click.option("--subject", default="A test", show_default=True, help="The Subject, where there is no file.")
@click.option("--text", default="Hello.", show_default=True, help="The text, where there is no file.")
@click.option(
    "--host", default="127.0.0.1:25", show_default=True, metavar="ADDRESS",
    help="Where to: host:port, [v6]:port, or unix:/path (which means LMTP).",
)
@click.option("--lmtp", is_flag=True, help="Speak LMTP: one reply for each recipient.")
@click.option("--notify", metavar="WHEN", help="DSN: NEVER, or some of SUCCESS,FAILURE,DELAY.")
@click.option("--ret", type=click.Choice(["full", "hdrs"]), help="DSN: what a notice returns.")
@click.option("--envid", metavar="ID", help="DSN: an id that notices repeat, as xtext.")
@click.option("--smtputf8", is_flag=True, help="Ask for SMTPUTF8, for addresses or headers beyond ASCII.")
def send(
    file: BinaryIO | None, sender: str | None, recipients: tuple[str, ...], subject: str, text: str, host: str,
    lmtp: bool, notify: str | None, ret: str | None, envid: str | None, smtputf8: bool,
) -> None:  # fmt: skip
    """Send a message and show the replies.

    FILE.eml is the message, - for stdin; bare line ends become CRLF, all else goes out as it is. Without a file one is
    written from --subject and --text, and --from and --to must be given.

    Exit status: 0 when every recipient was taken, 1 when one was refused or the server cannot be reached.
    """
    if file is None:
        message = _written(sender, recipients, subject, text)
    else:
        message = Message(_BARE_LINE_END.sub(b"\r\n", file.read()))
    given = envelope_of(message, sender, recipients)
    parameters = Parameters(notify, ret, envid, smtputf8)
    replies = _replies(host, given, message, parameters, lmtp=lmtp)
    for remark in given.remarks:
        click.echo(click.style(remark, dim=True), err=True)
    for recipient, reply in zip(given.recipients, replies, strict=True):
        sign, colour = ("✓", "green") if reply.is_ok else ("✗", "red")
        click.echo(click.style(sign, fg=colour) + f" <{printable(recipient)}>  {_on_one_line(reply)}")
    refused = sum(not reply.is_ok for reply in replies)
    if refused:
        raise Trouble(f"{host} refused {refused} of {len(replies)} recipients")


def _replies(host: str, given: Given, message: Message, parameters: Parameters, *, lmtp: bool) -> list[Reply]:
    try:
        return transact(Endpoint.parse(host), given, bytes(message), parameters, lmtp=lmtp)
    except ValueError as error:  # of the address, or a line end or lone surrogate in what goes into a command
        raise click.UsageError(str(error)) from error
    except smtplib.SMTPResponseException as error:
        raise Trouble(f"{host} greets with {reply_of(error.smtp_code, error.smtp_error)}") from error
    except smtplib.SMTPException as error:
        raise Trouble(f"{host}: {error}") from error
    except OSError as error:
        raise Trouble(f"{host} cannot be reached: {error.strerror or error}; --host ADDRESS names another") from error


def _written(sender: str | None, recipients: tuple[str, ...], subject: str, text: str) -> Message:
    if sender is None or not recipients:
        raise click.UsageError("Without a FILE.eml, --from and --to must be given.")
    author = bare(sender) or "MAILER-DAEMON"
    headers: list[tuple[str, HeaderValue]] = [
        ("From", author),
        ("To", ", ".join(map(bare, recipients))),
        ("Subject", subject),
        ("Date", datetime.now(UTC)),
        ("Message-ID", new_message_id(author)),
    ]
    try:
        return compose(headers, plain=f"{text}\n", html=None)
    except EditError as error:
        raise click.UsageError(str(error)) from error


def _on_one_line(reply: Reply) -> str:
    return " / ".join(printable(line) for line in str(reply).split("\n"))
