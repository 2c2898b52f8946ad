"""`penstock db`: the tables of the store and of the handlers, and how they change from release to release."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import click

from ..loading import load_routers
from ..store.schemas import Branch, Found, State, find
from .program import Trouble, config_option, settings
from .stores import missing_file, placed


@dataclass(frozen=True, slots=True)
class Line:
    """A branch: the store's own, the ledger's, or a handler's. `revision` is the database's, `head` the code's."""

    branch: str
    state: str
    revision: str | None
    head: str | None


@click.group()
def db() -> None:
    """Bring the database up to date, and look how far it is."""


@db.command("list", short_help="Show how far the database is.")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """Show the revisions at which the tables of the store and of the handlers are.

    "current" is as this release needs it; "older" and "untracked" (made before there were revisions) and, on
    PostgreSQL, "missing" wait for `penstock db upgrade`; "newer" was made by a later release. Nothing is changed.
    """
    with _branches() as branches:
        lines = [_line(branch) for branch in branches]
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines], indent=2))
        return
    width = max(len(line.branch) for line in lines)
    for line in lines:
        click.echo(f"{line.branch:{width}}  {line.state:9}  {_progress(line)}".rstrip())


@db.command(short_help="Bring the database up to date.")
@config_option
def upgrade() -> None:
    """Run all revisions that the database has not had, of the store and of every handler.

    Make a backup before. Each branch is one transaction: it is upgraded as a whole or not at all. Tables that were
    made before there were revisions are taken over, if they are those of the first one. Run it as the user of the
    service, and once for a database, however many hosts use it.

    Exit status: 0 when all is current, 1 when something could not be upgraded.
    """
    from ..store.upgrading import upgrade as run  # Alembic is slow to import

    if path := missing_file(settings().store.url):
        raise Trouble(f"{path} is not there yet; the service makes it at its first start")
    with _branches() as branches:
        for branch in branches:
            before, after = run(branch)
            click.echo(f"{branch.name}: {_change(before, after)}")


@db.command(short_help="Write a revision for a handler's tables.")
@config_option
@click.argument("handler", metavar="HANDLER")
@click.option("-m", "--message", default="change", show_default=True, help="What changes, in a few words.")
def revision(handler: str, message: str) -> None:
    """Write the revision that leads from the last one of HANDLER to its tables as they are in the code.

    It becomes a file in the folder that the handler's module names as `migrations`. Read it before it is run: a
    renamed column looks like one that goes and another that comes. The database is not looked at.
    """
    from ..store.upgrading import write_revision

    with _branches() as branches:
        named = {branch.name: branch for branch in branches}
        if handler not in named:
            raise click.UsageError(f"No tables of {handler}; there are those of {', '.join(named)}.")
        path = write_revision(named[handler], message)
    if path is None:
        click.echo(f"{handler}: the last revision makes the tables as they are in the code; nothing was written")
    else:
        click.echo(f"{path}")


@contextmanager
def _branches() -> Iterator[list[Branch]]:
    found = settings()
    routers = load_routers(found)
    with placed(found.store.url) as store:
        yield store.branches(*routers.tables)


def _line(branch: Branch) -> Line:
    with branch.database.reading() as connection:
        found = find(branch, connection)
    return Line(branch.name, str(found.state), found.revision, branch.head)


def _progress(line: Line) -> str:
    if line.revision == line.head:
        return line.head or ""
    return f"{line.revision or 'none'} of {line.head}"


def _change(before: Found, after: Found) -> str:
    if before.state is State.CURRENT:
        return "current"
    return f"{before.revision or before.state} > {after.revision or after.state}"
