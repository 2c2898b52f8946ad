"""Which of the things that are kept a command is about: numbers, or what they have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from ..config import duration
from ..service import EXPECTED
from ..store import Custody, Which
from .kept import custody
from .printable import printable
from .program import Trouble

Describe = Callable[[Custody], list[tuple[str, str]]]
"""What may be named, for completion: names, and a word about each."""


def _since(context: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    """A time: `2h` before now, or one in ISO 8601; without an offset it is UTC."""
    if value is None:
        return None
    with suppress(ValueError):
        return datetime.now(UTC) - duration(value)
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is no time; write it like 2h, 3d, 2025-12-31 or 2025-12-31T08:00."
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_OPTIONS: Final[dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]]] = {
    "handler": click.option("--handler", metavar="NAME", help="Those of this handler."),
    "state": click.option("--state", metavar="STATE", help="Those in this state."),
    "since": click.option(
        "--since", callback=_since, metavar="TIME", help="Those not older: 2h, 3d, 2025-12-31T08:00 (UTC)."
    ),
    "sender": click.option("--sender", metavar="ADDRESS", help="Those of this sender, <> for null; * for anything."),
    "recipient": click.option("--recipient", metavar="ADDRESS", help="Those for this recipient; * for anything."),
    "resource": click.option("--resource", metavar="TEXT", help="Those about this resource."),
    "reason": click.option("--reason", metavar="TEXT", help="Those with this in their reason."),
}


def filters(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options for what is meant; the command gets them as `which`."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def call(**given: Any) -> Any:
            said = {name: given.pop(name) for name in names}
            if said.get("sender") == "<>":
                said["sender"] = ""
            return command(which=Which(**said), **given)

        found: Callable[..., Any] = call
        for name in reversed(names):
            found = _OPTIONS[name](found)
        return found

    return decorate


def numbers(describe: Describe, *, several: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The argument NUMBER, which the shell completes; `numbers` where there may be none, or several."""
    complete = _completing(describe)
    if several:
        return click.argument("numbers", type=int, nargs=-1, metavar="[NUMBER]...", shell_complete=complete)
    return click.argument("number", type=int, metavar="NUMBER", shell_complete=complete)


def names(describe: Describe, *, several: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The argument NAME of a conversation, which the shell completes; `names` where there may be none, or several."""
    complete = _completing(describe)
    if several:
        return click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete)
    return click.argument("name", metavar="NAME", shell_complete=complete)


def _completing(describe: Describe) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            with context.scope(cleanup=False), custody() as kept:
                found = describe(kept)
        except (click.ClickException, *EXPECTED):
            return []  # a line that is being typed is no place for errors
        return [CompletionItem(name, help=printable(about)) for name, about in found if name.startswith(incomplete)]

    return complete


all_option: Final = click.option("--all", "everything", is_flag=True, help="All there are.")
"""`--all`, for what is done to all."""

yes_option: Final = click.option("--yes", is_flag=True, help="Do not ask.")
"""`--yes`, for what would ask."""


def meant(numbers: tuple[int, ...], which: Which, *, everything: bool) -> Which:
    """Numbers or filters or all, as one. Raises click.UsageError where it is none of them, or several."""
    one_way("numbers", numbers, which, everything=everything)
    return Which(numbers=numbers) if numbers else which


def one_way(what: str, given: tuple[object, ...], which: Which, *, everything: bool) -> None:
    """Raises click.UsageError unless it is said in one way alone what is meant."""
    if bool(given) + (not which.is_all) + everything != 1:
        raise click.UsageError(
            f"Give {what}, or say which by options like --handler, or say --all: one of the three."
        )


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone. Raises click.Abort, and click.UsageError where nobody answers."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody is there to ask; say --yes.")
    click.confirm(question, abort=True)


def tell(done: Sequence[str], refused: Mapping[int, str]) -> None:
    """Say what was done with each, but for those that were refused. Raises Trouble where any was."""
    for place, text in enumerate(done):
        if place not in refused:
            click.echo(printable(text))
    if refused:
        raise Trouble("\n".join(map(printable, refused.values())))
