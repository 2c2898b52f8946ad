"""`penstock check`: what is wrong, all of it at once, without starting anything."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

import click

from ..config import ConfigError, Settings
from ..loading import LoadError, load_routers
from ..routing import Routers
from . import findings
from .findings import Finding
from .program import config_file, config_option, settings
from .spooled import in_spool
from .width import width

_SIGNS: Final = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}


@click.command(short_help="Find what is wrong, without starting anything.")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(context: click.Context, as_json: bool) -> None:
    """Check configuration, handlers, store, and the sockets to and from Postfix.

    A line begins with ✓ where all is well, ! for a warning, ✗ for an error. Nothing is changed, and no socket is
    bound; it may run beside the service. Run it as the user of the service, so that rights are tested as well.

    Exit status: 0 without errors (warnings do not count), 1 with errors, 2 for a wrong call.
    """
    found = list(_all())
    errors = sum(finding.level == "error" for finding in found)
    if as_json:
        click.echo(json.dumps({"ok": not errors, "findings": [asdict(finding) for finding in found]}, indent=2))
    else:
        for finding in found:
            click.echo(_spelled(finding))
    if errors:
        keep = "keeps" if errors == 1 else "keep"
        click.echo(f"Error: {errors} of these {keep} the service from working", err=True)
        context.exit(1)


def _all() -> Iterator[Finding]:
    try:
        found = settings()
    except ConfigError as error:
        yield from (Finding("error", "configuration", str(problem)) for problem in error.problems)
        return
    yield Finding("ok", "configuration", str(config_file()))
    yield from _of_the_handlers(found)
    yield from findings.in_listeners(found)
    yield from in_spool(found)
    yield from findings.in_reinjection(found)
    if os.geteuid() == 0:
        mend = "run it as the user of the service"
        yield Finding("warning", "rights", "this ran as root, so the rights on files were not tested", mend)


def _of_the_handlers(found: Settings) -> Iterator[Finding]:
    """What needs the handlers; where they do not load, no other finding would be true."""
    try:
        routers: Routers = load_routers(found)
    except LoadError as error:
        yield from (Finding("error", "handlers", finding) for finding in error.findings)
        return
    yield from findings.in_handlers(found, routers)
    yield from findings.in_domains(found, routers.filter)
    yield from findings.in_store(found, routers)


def _spelled(finding: Finding) -> str:
    sign, colour = _SIGNS[finding.level]
    head = f"{sign} {finding.area:14}"
    mend = f" ({finding.mend})" if finding.mend else ""
    room = width() - len(head)
    lines = textwrap.wrap(finding.text + mend, room, break_long_words=False, break_on_hyphens=False)
    return click.style(head, fg=colour) + ("\n" + " " * len(head)).join(lines)
