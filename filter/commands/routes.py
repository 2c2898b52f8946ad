"""`penstock routes`: who would see mail for which address, in the order in which it is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import click

from ..handler import Handler, Route
from ..loading import load_routers
from ..pattern import EVERY, Blank, Pattern
from ..quantities import spell_duration
from ..routing import Router, Routers
from .given import bare
from .program import config_option, settings

Kind = Literal["whole", "stateless", "state", "otherwise", "at_rcpt"]


Door = Literal["filter", "milter", "preview"]


@dataclass(frozen=True, slots=True)
class Line:
    """One function with one of its patterns.

    `door` is `milter` before the queue and `filter` behind it; `preview` for a handler of both, before the queue.
    `order` is the handler's place at that door, from 1; `pattern` has the shapes of all blanks, those of `[routing]`
    too; `timeout` is a duration and the function that then runs; `sees` says whether the address that was asked about
    matches here, None where none was asked about.
    """

    order: int
    handler: str
    kind: Kind
    function: str
    pattern: str = ""
    switches: tuple[str, ...] = ()
    timeout: str = ""
    sees: bool | None = None
    door: Door = "filter"


@click.command(short_help="Show who sees mail for which addresses.")
@config_option
@click.option("--address", metavar="ADDRESS", help="Mark what sees mail for this address.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def routes(address: str | None, as_json: bool) -> None:
    """Show all routes, the handlers in the order in which they are asked.

    Kinds: "whole" sees each message once, for all recipients; "stateless" once for each recipient that matches.
    They run before all others, and mail passes on. A "state" takes mail while its conversation is in it, and
    "otherwise" what does not fit the state. Of the handlers with states the first that reads an address takes it, by
    the pattern with most literals. "at_rcpt" runs before the queue alone.

    Doors, where handlers stand at both: "milter" is before the queue, "filter" behind it. A "preview" runs before the
    queue only to tell there what it would refuse behind it.
    """
    routers = load_routers(settings())
    asked = bare(address) if address else None
    lines = list(_at_both_doors(routers, asked))
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines], indent=2))
        return
    for text in _table(lines) if lines else [_NONE]:
        click.echo(text)
    if asked is not None:
        click.echo(f"\n{_answer(routers.filter, asked)}")


def _at_both_doors(routers: Routers, address: str | None) -> Iterator[Line]:
    previewed = {handler.name for handler in routers.previews.handlers}
    for order, handler in enumerate(routers.milter.handlers, 1):
        is_preview = handler.name in previewed
        for line in _lines(routers.previews if is_preview else routers.alone, handler, order, address):
            if line.kind == "at_rcpt":
                yield replace(line, door="milter", sees=None if address is None else True)
            else:
                yield replace(line, door="preview" if is_preview else "milter")
    for order, handler in enumerate(routers.filter.handlers, 1):
        for line in _lines(routers.filter, handler, order, address):
            if line.kind != "at_rcpt" or handler.name not in previewed:
                yield line


def _lines(router: Router, handler: Handler, order: int, address: str | None) -> Iterator[Line]:
    taken = _taken_by(router, handler, address)
    passing = [p.stateless.function for p in router.passages(address)] if address is not None else []
    asked = address is not None
    for each in handler.stateless:
        name = each.function.__name__
        for route in each.routes:
            sees = each.function in passing if asked else None
            yield Line(order, handler.name, "stateless", name, _spelled(route.pattern), _switches(route), sees=sees)
        if not each.routes:
            yield Line(order, handler.name, "whole", name, sees=True if asked else None)
    for route in handler.routes:
        sees = route.pattern is taken if asked else None
        timeout = _timeout(handler, route.state)
        yield Line(order, handler.name, "state", route.state, _spelled(route.pattern), _switches(route), timeout, sees)
    for name in handler.states.keys() - {route.state for route in handler.routes}:
        yield Line(order, handler.name, "state", name, timeout=_timeout(handler, name), sees=False if asked else None)
    if handler.routes:
        name = handler.otherwise.__name__ if handler.otherwise else "550 5.7.1"
        yield Line(order, handler.name, "otherwise", name, sees=taken is not None if asked else None)
    for function in handler.at_rcpt:
        yield Line(order, handler.name, "at_rcpt", function.__name__, sees=False if asked else None)


def _taken_by(router: Router, handler: Handler, address: str | None) -> Pattern | None:
    """The pattern by which this handler takes the address, if it does."""
    taker = router.taker(address) if address is not None else None
    return taker.reading.pattern if taker and taker.handler is handler else None


def _spelled(pattern: Pattern) -> str:
    """A pattern with the shapes that its blanks have."""
    if pattern.text == EVERY:
        return EVERY
    return "".join(part if isinstance(part, str) else _blank(part) for part in pattern.parts)


def _blank(blank: Blank) -> str:
    if blank.words:
        return f"{{{blank.name}:{'|'.join(blank.words)}}}"
    guarded, _, repeat = blank.regex.rpartition(")")  # a class of its own is kept from matching @
    shape = guarded.removeprefix("(?:(?!@)")
    return f"{{{blank.name}:{shape}{repeat}}}" if shape else f"{{{blank.name}}}"


def _switches(route: Route) -> tuple[str, ...]:
    return tuple(name for name in ("always", "bounces", "automatic") if getattr(route, name))


def _timeout(handler: Handler, state: str) -> str:
    found = handler.timeouts.get(state)
    return f"{spell_duration(found.after)} {found.function.__name__}" if found else ""


_NONE = "No handler is loaded: neither [filter] handlers nor [milter] handlers names any."
_TITLES = ("", "door", "#", "handler", "kind", "function", "pattern", "switches", "timeout")


def _table(lines: Sequence[Line]) -> Iterator[str]:
    doors = len({line.door for line in lines}) > 1 or lines[0].door != "filter"
    rows = [_TITLES, *(_cells(line, line.door if doors else "") for line in lines)]
    used = [column for column in range(len(_TITLES)) if any(row[column] for row in rows[1:])]
    widths = {column: max(len(row[column]) for row in rows) for column in used}
    for number, row in enumerate(rows):
        text = "  ".join(row[column].ljust(widths[column]) for column in used).rstrip()
        yield click.style(text, bold=number == 0, fg="green" if row[0] == "→" else None)


def _cells(line: Line, door: str) -> tuple[str, ...]:
    mark = "→" if line.sees else ""
    switches = ", ".join(line.switches)
    return (mark, door, str(line.order), line.handler, line.kind, line.function, line.pattern, switches, line.timeout)


def _answer(router: Router, address: str) -> str:
    """Who takes mail for an address, in a sentence."""
    if refused := router.refuse(address):
        return f"{address} is refused at RCPT: {refused}"
    taker = router.taker(address)
    if taker is None:
        return f"{address} is taken by no handler: mail for it passes."
    blanks = ", ".join(f"{name}={value}" for name, value in taker.reading.blanks.items())
    return f"{address} is taken by {taker.handler.name}, with {blanks or 'no blanks'}."
