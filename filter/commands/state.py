"""`penstock state`: conversations: look at them, move them to another state, end them."""

from __future__ import annotations

from dataclasses import replace

import click

from ..clock import Clock
from ..handler import START, Handler
from ..loading import load_routers
from ..machine import HandlerError, moved, state_name
from ..store import KeptConversation, Which
from .conversations import by_name, described, found, plain
from .kept import custody
from .listing import as_json as print_json
from .listing import json_option, moment, table
from .meaning import all_option, confirm, filters, names, tell, yes_option
from .program import Trouble, config_option, settings
from .shown import facts


@click.group()
def state() -> None:
    """Look at conversations, move them to another state, end them."""


@state.command("list", short_help="List conversations and their states.")
@config_option
@filters("handler", "state", "since", "sender", "resource")
@json_option
def list_(which: Which, as_json: bool) -> None:
    """List conversations by handler, sender and resource. A conversation in START is not stored.

    Its name is HANDLER/SENDER/RESOURCE; the sender is empty where the handler leaves it out. --since is about the last
    change. Times are UTC.
    """
    with custody() as kept:
        conversations = kept.conversations(which)
    if as_json:
        print_json([plain(each) for each in conversations])
    elif conversations:
        table(("changed", "deadline", "state", "conversation"), [_cells(each) for each in conversations], loose=1)
    else:
        click.echo("No conversation is stored." if which.is_all else "No such conversation is stored.")


@state.command(short_help="Show one conversation.")
@config_option
@names(described, several=False)
@json_option
def show(name: str, as_json: bool) -> None:
    """Show state, deadline and blanks of a conversation: those of the mail that moved it last."""
    with custody() as kept:
        shown = by_name(kept, [name])[0]
    if as_json:
        print_json(plain(shown))
        return
    conversation, key = shown.conversation, shown.conversation.key
    lines = {
        "Handler": key.handler, "Sender": key.sender, "Resource": key.resource, "State": conversation.state,
        "Deadline": moment(conversation.deadline), "Changed": moment(shown.changed), **dict(conversation.blanks),
    }  # fmt: skip
    facts((title, text) for title, text in lines.items() if text)


@state.command(short_help="Move conversations to another state.")
@config_option
@names(described)
@filters("handler", "state", "since", "sender", "resource")
@all_option
@click.option("--to", metavar="STATE", required=True, help="Where to: a state of their handler.")
def move(names: tuple[str, ...], which: Which, everything: bool, to: str) -> None:
    """Move conversations to the state that --to names, with the deadline of that state.

    No function of a handler runs. It mends conversations in a state that their handler has no more, whose mail waits
    in Postfix: `penstock state move --handler lists --state OLD --to NEW`.
    """
    with custody() as kept:
        conversations = found(kept, names, which, everything=everything)
        handlers = {handler.name: handler for handler in load_routers(settings()).filter.handlers}
        now = Clock().now()
        there = [_target(handlers, each, to) for each in conversations]
        moves = [
            moved(handler, each.conversation, to, each.conversation.blanks, now)
            for handler, each in zip(there, conversations, strict=True)
        ]
        told = [f"{each.name}: {each.conversation.state} > {to}" for each in conversations]
        tell(told, kept.move(moves))


@state.command(short_help="End conversations: back to START.")
@config_option
@names(described)
@filters("handler", "state", "since", "sender", "resource")
@all_option
@yes_option
def reset(names: tuple[str, ...], which: Which, everything: bool, yes: bool) -> None:
    """Put conversations back to START, and so delete them: START is not stored.

    No handler is loaded, so it works for one that is gone, too. Rows that a handler keeps in tables of its own stay.
    More than one conversation is asked about first.
    """
    with custody() as kept:
        conversations = found(kept, names, which, everything=everything)
        if len(names) != 1:
            confirm(f"Put {len(conversations)} conversations back to START?", yes=yes)
        told = [f"{each.name}: {each.conversation.state} > {START}" for each in conversations]
        tell(told, kept.move([replace(each.conversation, state=START, deadline=None) for each in conversations]))


state.add_command(reset, "delete")


def _cells(kept: KeptConversation) -> tuple[str, ...]:
    return moment(kept.changed), moment(kept.conversation.deadline), kept.conversation.state, kept.name


def _target(handlers: dict[str, Handler], kept: KeptConversation, to: str) -> Handler:
    """The handler of a conversation, which has this state. Raises Trouble."""
    name = kept.conversation.key.handler
    if name not in handlers:
        raise Trouble(f"{name}, of {kept.name}, is no handler now; name it in [filter] handlers, or use state reset")
    try:
        state_name(handlers[name], to)
    except HandlerError as error:
        raise Trouble(str(error)) from error
    return handlers[name]
