"""`penstock explain`: which routes and states match a message, and what would happen to it."""

from __future__ import annotations

import ipaddress
import json
from typing import BinaryIO

import click

from ..arrival import Arrival
from ..config import Settings
from ..envelope import Client, Envelope
from ..handler import START
from ..loading import load_routers
from ..message import Message
from ..pipeline import Pipeline
from ..routing import Routers
from .explained import Report, explained
from .given import Given, envelope_of
from .page import page
from .program import config_option, settings
from .stores import missing_file, opened
from .width import width


def _ip(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """An IP address as it was given: one that is mistyped would be in no network, and explain another message."""
    try:
        return value if value is None else str(ipaddress.ip_address(value))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not an IP address.") from None


@click.command(short_help="Show what would happen to a message.")
@config_option
@click.argument("file", type=click.File("rb"), metavar="FILE.eml")
@click.option("--from", "sender", metavar="ADDRESS", help="The reverse-path, <> for null; else the header's From.")
@click.option("--to", "recipients", metavar="ADDRESS", multiple=True, help="Recipient, repeatable; else the header's.")
@click.option(
    "--source",
    type=click.Choice(["local", "remote"]),
    default="remote",
    show_default=True,
    help="Where the message came from. A local sender counts as verified, and is told of a refusal.",
)
@click.option(
    "--client-address", metavar="IP", callback=_ip, help="The address of the client that brought it to Postfix."
)
@click.option("--client-name", metavar="NAME", help="Its host name, as Postfix found it.")
@click.option("--helo", metavar="NAME", help="What it called itself.")
@click.option("--state", metavar="STATE", help="Suppose that every conversation is in this state.")
@click.option("--smtp", is_flag=True, help="Postfix speaks SMTP to the filter (one reply for all), not LMTP.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(
    file: BinaryIO, sender: str | None, recipients: tuple[str, ...], source: str, client_address: str | None,
    client_name: str | None, helo: str | None, state: str | None, smtp: bool, as_json: bool,
) -> None:  # fmt: skip
    """Show what would happen to a message: routes, states, verdicts, changes, letters.

    FILE.eml is the message as it stands in a file, - for stdin. The handlers run as they would at the milter, before
    Postfix's queue, and then at the filter port, behind it, and all that they did is undone: no state moves, no letter
    is sent, nothing is counted.
    What a handler does outside of penstock (a file, a call to a server) is not. First comes the message itself: the
    tree of its parts, where it has more than one, and its defects, where something is wrong with its form.

    The store is read as it is now; where there is none yet, an empty one is supposed.
    """
    found = settings()
    routers = load_routers(found)
    _known(routers, state)
    message = Message(file.read())
    given = envelope_of(message, sender, recipients)
    client = Client(name=client_name, address=client_address, helo=helo, source=source.upper())
    envelope = Envelope(given.sender, client=client).to(*given.recipients)
    arrival = Arrival(envelope, message, found.filter.listen[0], found.service.hostname, replies_each=not smtp)
    report = _explained(found, routers, arrival, state)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        _show(report, given, found, state)


def _explained(found: Settings, routers: Routers, arrival: Arrival, state: str | None) -> Report:
    with opened(found.store.url, routers, state=state) as store:
        pipeline = Pipeline(routers, store, found)
        try:
            return explained(pipeline, arrival)
        finally:
            pipeline.close()


def _known(routers: Routers, state: str | None) -> None:
    """Raises click.UsageError for a state that no handler has."""
    states = {name for handler in routers.handlers for name in handler.states} | {START}
    if state is not None and state not in states:
        raise click.UsageError(f"No handler has a state {state}; known are {', '.join(sorted(states))}.")


def _show(report: Report, given: Given, found: Settings, state: str | None) -> None:
    for line in page(report, width()):
        click.echo(line)
    for remark in given.remarks:
        click.echo(click.style(remark, dim=True))
    if state is None and missing_file(found.store.url):
        click.echo(click.style("There is no store yet: all conversations are supposed to be in START.", dim=True))
