"""`penstock timers`: deadlines of conversations: look at them, run them now."""

from __future__ import annotations

import click

from ..clock import Clock
from ..loading import load_routers
from ..store import Custody, KeptConversation, Which, is_store_failure
from ..timers import Timers
from ..tokens import Tokens
from ..watch import GivenUp
from .conversations import found, plain
from .kept import custody, person, store
from .listing import as_json as print_json
from .listing import json_option, moment, table
from .meaning import all_option, filters, names
from .printable import printable
from .program import Trouble, config_option, settings


def _described(kept: Custody) -> list[tuple[str, str]]:
    timed = kept.timed(Which())
    return [(each.name, f"{each.conversation.state}, {moment(each.conversation.deadline)}") for each in timed]


@click.group()
def timers() -> None:
    """Look at the deadlines of conversations, run them now."""


@timers.command("list", short_help="List deadlines.")
@config_option
@filters("handler", "state", "since", "sender", "resource")
@click.option("--due", is_flag=True, help="Those that have come.")
@json_option
def list_(which: Which, due: bool, as_json: bool) -> None:
    """List the deadlines of conversations, the first one first. --since is about the last change. Times are UTC.

    One that has come runs within seconds; one whose function failed, or is running, is put off by some minutes.
    """
    with custody() as kept:
        timed = kept.timed(which, Clock().now() if due else None)
    if as_json:
        print_json([plain(each) for each in timed])
    elif timed:
        rows = [(moment(each.conversation.deadline), each.conversation.state, each.name) for each in timed]
        table(("deadline", "state", "conversation"), rows, loose=1)
    else:
        click.echo("There is no deadline." if which.is_all and not due else "There is no such deadline.")


@timers.command(short_help="Run deadlines now.")
@config_option
@names(_described)
@filters("handler", "state", "since", "sender", "resource")
@all_option
def run(names: tuple[str, ...], which: Which, everything: bool) -> None:
    """Run what the @timeout of a conversation's state names, as if its deadline had come.

    Run it as the user of the service: the handler's function runs here. What it does is committed as always; where it
    fails, nothing is, and the service tries it again some minutes later. What follows from it leaves within seconds.
    """
    configured = settings()
    routers = load_routers(configured)
    with store(configured, routers) as opened:
        kept = opened.custody(person(), Clock().now())
        wanted = [each for each in found(kept, names, which, everything=everything) if each.conversation.deadline]
        if not wanted:
            raise Trouble("no such conversation has a deadline; `penstock timers list` shows which have")
        known = {handler.name for handler in routers.filter.handlers}
        runner = Timers(routers.filter, opened, configured, Tokens(opened.secret()), Clock())
        failed = sum(not _run(runner, kept, each, known) for each in wanted)
    if failed:
        raise Trouble(f"{failed} of {len(wanted)} deadlines did not run")


def _run(runner: Timers, kept: Custody, each: KeptConversation, known: set[str]) -> bool:
    """Run one deadline, and say what came of it; returns whether it ran."""
    before = each.conversation
    if before.key.handler not in known:
        return _told(each, f"{before.key.handler} is no handler now", ran=False)
    try:
        ran = runner.run(before, kept.noting(kept.deed_on(before, "timer run")))
    except GivenUp:
        return _told(each, "its function takes too long", ran=False)
    except Exception as error:
        if is_store_failure(error):
            raise
        return _told(each, f"{type(error).__name__}: {error}; the service tries it again some minutes later", ran=False)
    after = kept.named([each.name]).get(each.name)
    moved = f"{before.state} > {after.conversation.state if after else 'START'}"
    return _told(each, moved if ran else "another was quicker", ran=ran)


def _told(each: KeptConversation, what: str, *, ran: bool) -> bool:
    sign, colour = ("✓", "green") if ran else ("✗", "red")
    click.echo(f"{click.style(sign, fg=colour)} {printable(each.name)}: {printable(what)}")
    return ran
