"""Run the try-out: start all, send the cases, show what came of each, and stay up until Ctrl-C.

With `--once` it ends after the show. The exit status is 1 if anything came out wrong.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import click

from ....postfix.private import PostfixError
from ..site import Site
from . import page
from .cases import CASES, CONFIGURATION, MILTER, OWNED
from .trial import put_to_the_test


@click.command()
@click.option("--once", is_flag=True, help="End after the show.")
def main(once: bool) -> None:
    """Send real messages through a private Postfix and penstock, and show what becomes of them."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # what was done is seen at once
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="penstock-try-"))
    folder.chmod(0o755)
    try:
        wrong = _try_out(folder, once)
    except (PostfixError, RuntimeError, OSError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        raise click.Abort from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if wrong else 0)


def _try_out(folder: Path, once: bool) -> int:
    click.echo("Starting a private Postfix and penstock beside it …\n")
    with Site(folder, filter=CONFIGURATION, milter=MILTER, owned=(OWNED,)) as site:
        click.echo(page.opening(site))
        wrong = _show(site)
        click.echo(page.ending(site, wrong, len(CASES)))
        if not once:
            click.echo(page.how_to_go_on(site))
            with suppress(KeyboardInterrupt):
                _stay(site)
    return wrong


def _show(site: Site) -> int:
    """Run all cases; how many came out wrong."""
    wrong = 0
    for number, case in enumerate(CASES, 1):
        outcome = put_to_the_test(site, case, number)
        wrong += bool(outcome.wrong)
        click.echo(page.block(number, case, outcome))
    return wrong


def _stay(site: Site) -> None:
    """Show what is done and delivered, until interrupted or until the service ends."""
    logged, delivered = len(site.log()), len(site.sink.deliveries)
    while site.pid:
        log, deliveries = site.log(), site.sink.deliveries
        for line in (*page.doings(log[logged:]), *map(page.arrival, deliveries[delivered:])):
            click.echo(line)
        logged, delivered = len(log), len(deliveries)
        time.sleep(0.3)


if __name__ == "__main__":
    main()
