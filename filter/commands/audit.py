"""`penstock audit`: who did what with what penstock keeps."""

from __future__ import annotations

from typing import Any

import click

from ..store import Entry, Which
from .kept import custody
from .listing import as_json as print_json
from .listing import json_option, moment, table
from .meaning import filters
from .program import config_option


@click.command(short_help="Show who released, deleted or moved what.")
@config_option
@filters("handler", "since")
@json_option
def audit(which: Which, as_json: bool) -> None:
    """Show what persons did with what is kept, oldest first: who released, held, deleted, moved, or ran what, and when.

    Each row was written in the transaction that did it. --json has the details: sender, recipients, reason, where it
    went. Times are UTC.
    """
    with custody() as kept:
        entries = kept.audit(which)
    if as_json:
        print_json([_plain(entry) for entry in entries])
    elif entries:
        table(("when", "who", "deed", "kind", "which", "handler"), [_cells(entry) for entry in entries], loose=2)
    else:
        click.echo("Nothing was done.")


def _plain(entry: Entry) -> dict[str, Any]:
    done = entry.done
    return {
        "at": entry.at, "who": entry.who, "deed": done.deed, "kind": done.kind, "subject": done.subject,
        "handler": done.handler, "details": done.details,
    }  # fmt: skip


def _cells(entry: Entry) -> tuple[str, ...]:
    done = entry.done
    return moment(entry.at), entry.who, done.deed, done.kind, done.subject, done.handler
