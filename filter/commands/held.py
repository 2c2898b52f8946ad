"""`penstock held`: mail that waits for a person: look at it, release it, delete it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import click

from ..address import domain_key, split
from ..clock import Clock
from ..config import Settings
from ..envelope import Envelope
from ..loading import load_routers
from ..releasing import Released, Releasing
from ..store import Clash, Custody, KeptMail, Store, Which
from .given import bare
from .kept import custody, person, store
from .listing import as_json as print_json
from .listing import json_option, moment, path, several, table
from .meaning import all_option, confirm, filters, meant, numbers, tell, yes_option
from .printable import printable
from .program import Trouble, config_option, settings
from .shown import Fact, block, envelope_facts, facts, header_of


def _described(kept: Custody) -> list[tuple[str, str]]:
    return [(str(mail.number), f"{mail.handler}: {mail.reason}") for mail in kept.held(Which())]


@click.group()
def held() -> None:
    """Look at held mail, release it, delete it."""


@held.command("list", short_help="List held mail.")
@config_option
@filters("handler", "since", "sender", "recipient", "reason")
@json_option
def list_(which: Which, as_json: bool) -> None:
    """List held mail, oldest first: what a handler held, what it failed at too often, what Postfix refused.

    "expires" is when the service deletes it; what a handler failed at stays until somebody deals with it. Times are
    UTC.
    """
    with custody() as kept:
        found = kept.held(which)
    if as_json:
        print_json([_plain(mail) for mail in found])
    elif found:
        titles = ("number", "held", "expires", "handler", "sender", "recipients", "reason")
        table(titles, [_cells(mail) for mail in found], loose=3)
    else:
        click.echo("No mail is held." if which.is_all else "No such mail is held.")


@held.command(short_help="Show one held message.")
@config_option
@numbers(_described, several=False)
@click.option("--eml", type=click.File("wb"), metavar="FILE", help="Write the message, octet for octet; - for stdout.")
@json_option
def show(number: int, eml: BinaryIO | None, as_json: bool) -> None:
    """Show envelope, reason, traceback and header of a held message, or write the message to a file."""
    with custody() as kept:
        mail = _found(kept, Which(numbers=(number,)))[0]
        message = kept.message(mail.content)
    if eml is not None:
        eml.writelines(message.chunks())
    elif as_json:
        details = {"envelope": mail.envelope.as_dict(), "traceback": mail.traceback, "header": header_of(message)}
        print_json({**_plain(mail), **details})
    else:
        facts(_facts(mail))
        block("Traceback", mail.traceback)
        block("Header", header_of(message))


@held.command(short_help="Let held mail go on.")
@config_option
@numbers(_described)
@filters("handler", "since", "sender", "recipient", "reason")
@all_option
@click.option("--around", is_flag=True, help="Past all handlers, straight back to Postfix.")
@click.option("--to", metavar="ADDRESS", multiple=True, help="To this address and no other; repeatable.")
def release(numbers: tuple[int, ...], which: Which, everything: bool, around: bool, to: tuple[str, ...]) -> None:
    """Release held mail: the handlers run over it again, and what they let pass goes on to Postfix.

    What a handler holds, refuses or fails at again stays held, with the new reason. --around goes past all handlers.
    What Postfix refused was through with the handlers when it did; it always goes straight back to Postfix.

    What goes on is put into the outbox in the transaction that ends the holding, so it is neither lost nor sent
    twice; the service sends it within seconds. What Postfix then refuses for good is held again, under a new number.

    Run it as the user of the service. Exit status: 0 when all was released, 1 when something stays held.
    """
    wanted = meant(numbers, which, everything=everything)
    found = settings()
    with store(found) as opened:
        kept = opened.custody(person(), Clock().now())
        mails = _found(kept, wanted)
        past = {mail.number for mail in mails if around or mail.done}
        ways = [(mail, mail.envelope.to(*map(bare, to)) if to else mail.envelope) for mail in mails]
        _not_ours([envelope for mail, envelope in ways if mail.number in past], found)
        handlers = _handlers(opened, found) if len(past) < len(mails) else None
        stay = 0
        for mail, envelope in ways:
            through = None if mail.number in past else handlers
            stay += not _release(kept, mail, envelope, through)
    if stay:
        raise Trouble(f"{stay} of {len(mails)} held messages stay held, as a whole or for some recipients")


@held.command(short_help="Delete held mail for good.")
@config_option
@numbers(_described)
@filters("handler", "since", "sender", "recipient", "reason")
@all_option
@yes_option
def delete(numbers: tuple[int, ...], which: Which, everything: bool, yes: bool) -> None:
    """Delete held mail for good. Nobody is told of it; more than one message is asked about first."""
    wanted = meant(numbers, which, everything=everything)
    with custody() as kept:
        mails = _found(kept, wanted)
        if len(numbers) != 1:
            confirm(f"Delete {len(mails)} held messages for good?", yes=yes)
        refused = kept.delete_held(mails)
        tell([f"{mail.number}: deleted" for mail in mails], refused)


def _found(kept: Custody, which: Which) -> list[KeptMail]:
    """What is meant. Raises Trouble where nothing is, or not all of the numbers."""
    found = kept.held(which)
    missing = sorted(set(which.numbers or ()) - {mail.number for mail in found})
    if missing:
        raise Trouble(f"no mail is held as {', '.join(map(str, missing))}; `penstock held list` shows what is")
    if not found:
        raise Trouble("no such mail is held; `penstock held list` shows what is")
    return found


def _handlers(opened: Store, found: Settings) -> Releasing:
    """The handlers, ready to run over held mail. Raises LoadError, and StoreError for tables that are not current."""
    routers = load_routers(found)
    opened.prepare(*routers.tables)
    return Releasing(routers.filter, opened, found, Clock())


def _not_ours(envelopes: Iterable[Envelope], found: Settings) -> None:
    """Raises Trouble for an address behind which there is nothing but handlers."""
    owned = {domain_key(domain) for domain in found.domains.owned}
    for envelope in envelopes:
        for recipient in envelope.recipients:
            if domain_key(split(recipient.address)[1]) in owned:
                raise Trouble(
                    f"<{printable(recipient.address)}> is in a domain of ours, where only handlers take mail: "
                    "there is no way around them; --to ADDRESS names another address"
                )


def _release(kept: Custody, mail: KeptMail, envelope: Envelope, handlers: Releasing | None) -> bool:
    """Release one held message, and say what came of it; returns whether nothing of it stays."""
    try:
        if handlers is None:
            letter = kept.release_around(mail, envelope)
            done = Released({r.address: f"goes to Postfix as letter {letter}" for r in envelope.recipients}, {})
        else:
            done = handlers.release(kept, mail, envelope)
    except Clash as clash:
        done = Released({}, {recipient.address: str(clash) for recipient in envelope.recipients})
    for sign, colour, told in (("✓", "green", done.gone), ("✗", "red", done.staying)):
        for address, what in told.items():
            click.echo(f"{click.style(sign, fg=colour)} {mail.number}: <{printable(address)}> {printable(what)}")
    return not done.staying


def _plain(mail: KeptMail) -> dict[str, Any]:
    return {
        "number": mail.number, "held": mail.at, "expires": mail.expires, "handler": mail.handler,
        "sender": mail.envelope.reverse_path, "recipients": mail.recipients, "size": mail.size,
        "attempts": mail.attempts, "refused_by_postfix": mail.done, "reason": mail.reason,
    }  # fmt: skip


def _cells(mail: KeptMail) -> tuple[str, ...]:
    return (
        str(mail.number), moment(mail.at), moment(mail.expires), mail.handler, path(mail.envelope.reverse_path),
        several(mail.recipients), mail.reason,
    )  # fmt: skip


def _facts(mail: KeptMail) -> Iterator[Fact]:
    yield "Number", str(mail.number)
    yield "Held", f"{moment(mail.at)} UTC, " + (f"until {moment(mail.expires)}" if mail.expires else "for good")
    yield "Handler", mail.handler
    yield "Reason", mail.reason
    yield "Attempts", str(mail.attempts)
    yield "Release", "straight to Postfix, which refused it" if mail.done else "through the handlers"
    yield from envelope_facts(mail.envelope)
    yield "Size", f"{mail.size:,} octets"
