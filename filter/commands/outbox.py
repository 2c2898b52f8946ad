"""`penstock outbox`: letters that wait for Postfix: look at them, hurry them on, hold or delete them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import click

from ..store import Custody, KeptLetter, Which
from .kept import custody
from .listing import as_json as print_json
from .listing import json_option, moment, path, several, table
from .meaning import all_option, confirm, filters, meant, numbers, tell, yes_option
from .program import Trouble, config_option
from .shown import Fact, block, envelope_facts, facts, header_of


def _described(kept: Custody) -> list[tuple[str, str]]:
    found = kept.letters(Which())
    return [(str(letter.number), f"{letter.waiting.handler}: {several(letter.waiting.recipients)}") for letter in found]


@click.group(short_help="Look at letters that wait; retry, hold, delete.")
def outbox() -> None:
    """Look at letters that wait for Postfix, retry, hold, or delete them."""


@outbox.command("list", short_help="List the letters in the outbox.")
@config_option
@filters("handler", "since", "sender", "recipient", "reason")
@json_option
def list_(which: Which, as_json: bool) -> None:
    """List the letters in the outbox, oldest first: when they were made, when they are tried next, what Postfix said.

    A letter is "sending" while it is leased to a worker. Times are UTC. --reason is about what Postfix said last.
    """
    with custody() as kept:
        found = kept.letters(which)
    if as_json:
        print_json([_plain(letter) for letter in found])
    elif found:
        titles = ("number", "made", "due", "tries", "handler", "sender", "recipients", "last reply")
        table(titles, [_cells(letter) for letter in found], loose=3)
    else:
        click.echo("The outbox is empty." if which.is_all else "No such letter is in the outbox.")


@outbox.command(short_help="Show one letter.")
@config_option
@numbers(_described, several=False)
@click.option("--eml", type=click.File("wb"), metavar="FILE", help="Write the message, octet for octet; - for stdout.")
@json_option
def show(number: int, eml: BinaryIO | None, as_json: bool) -> None:
    """Show envelope and header of a letter, or write the message to a file."""
    with custody() as kept:
        letter = _found(kept, Which(numbers=(number,)))[0]
        message = kept.message(letter.waiting.content)
    if eml is not None:
        eml.writelines(message.chunks())
    elif as_json:
        print_json({**_plain(letter), "envelope": letter.envelope.as_dict(), "header": header_of(message)})
    else:
        facts(_facts(letter))
        block("Header", header_of(message))


@outbox.command(short_help="Try letters now.")
@config_option
@numbers(_described)
@filters("handler", "since", "sender", "recipient", "reason")
@all_option
def retry(numbers: tuple[int, ...], which: Which, everything: bool) -> None:
    """Make letters due: the service tries them within seconds, however long they were put off."""
    wanted = meant(numbers, which, everything=everything)
    with custody() as kept:
        letters = _found(kept, wanted)
        tell([f"letter {letter.number} is due now" for letter in letters], kept.retry_letters(letters))


@outbox.command(short_help="Keep letters from being sent.")
@config_option
@numbers(_described)
@filters("handler", "since", "sender", "recipient", "reason")
@all_option
def hold(numbers: tuple[int, ...], which: Which, everything: bool) -> None:
    """Take letters out of the outbox and hold them; `penstock held release` puts them back."""
    wanted = meant(numbers, which, everything=everything)
    with custody() as kept:
        letters = _found(kept, wanted)
        tell([f"letter {letter.number} is held" for letter in letters], kept.hold_letters(letters))


@outbox.command(short_help="Delete letters for good.")
@config_option
@numbers(_described)
@filters("handler", "since", "sender", "recipient", "reason")
@all_option
@yes_option
def delete(numbers: tuple[int, ...], which: Which, everything: bool, yes: bool) -> None:
    """Delete letters for good. Nobody is told of it; more than one letter is asked about first."""
    wanted = meant(numbers, which, everything=everything)
    with custody() as kept:
        letters = _found(kept, wanted)
        if len(numbers) != 1:
            confirm(f"Delete {len(letters)} letters for good?", yes=yes)
        tell([f"letter {letter.number} is deleted" for letter in letters], kept.delete_letters(letters))


def _found(kept: Custody, which: Which) -> list[KeptLetter]:
    """What is meant. Raises Trouble where nothing is, or not all of the numbers."""
    found = kept.letters(which)
    missing = sorted(set(which.numbers or ()) - {letter.number for letter in found})
    if missing or not found:
        named = f"no letter {', '.join(map(str, missing))}" if missing else "no such letter"
        raise Trouble(f"{named} is in the outbox; `penstock outbox list` shows what is")
    return found


def _plain(letter: KeptLetter) -> dict[str, Any]:
    waiting = letter.waiting
    return {
        "number": letter.number, "made": waiting.created, "due": waiting.due, "leased_until": letter.leased,
        "attempts": waiting.attempts, "handler": waiting.handler, "sender": letter.envelope.reverse_path,
        "recipients": waiting.recipients, "verp": waiting.verp, "message_id": waiting.message_id, "size": letter.size,
        "last_reply": waiting.last_reply,
    }  # fmt: skip


def _cells(letter: KeptLetter) -> tuple[str, ...]:
    waiting = letter.waiting
    return (
        str(letter.number), moment(waiting.created), "sending" if letter.leased else moment(waiting.due),
        str(waiting.attempts), waiting.handler, path(letter.envelope.reverse_path), several(waiting.recipients),
        waiting.last_reply or "",
    )  # fmt: skip


def _facts(letter: KeptLetter) -> Iterator[Fact]:
    waiting = letter.waiting
    yield "Letter", str(letter.number)
    yield "Made", f"{moment(waiting.created)} UTC"
    yield "Due", f"{moment(waiting.due)} UTC" + (f", sending until {moment(letter.leased)}" if letter.leased else "")
    yield "Handler", waiting.handler
    yield "Attempts", str(waiting.attempts)
    if waiting.last_reply:
        yield "Last reply", waiting.last_reply
    yield from envelope_facts(letter.envelope)
    if waiting.verp:
        yield "XVERP", "a return path for each recipient"
    yield "Message-ID", waiting.message_id
    yield "Size", f"{letter.size:,} octets"
