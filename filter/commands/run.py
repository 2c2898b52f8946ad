"""`penstock run`: the service, in the foreground, until it is told to end."""

from __future__ import annotations

import errno

import click

from ..service import Service
from .logs import log_to_stderr
from .program import Trouble, config_option, settings


@click.command()
@config_option
def run() -> None:
    """Run the service in the foreground.

    Configuration, handlers and store are checked first; a "ready" line in the log says that the doors are open.
    The log goes to stderr, one record a line. SIGTERM and SIGINT end it: what is under way is finished, for at
    most 30 seconds, and Postfix brings the rest again.

    Exit status: 0 after an orderly end, 1 when it could not start, 2 for a wrong call.
    """
    found = settings()
    log_to_stderr(found.service.log_level)
    service = Service(found)
    try:
        service.run()
    except OSError as error:
        where = error.filename or ", ".join(found.filter.listen)
        hint = "; does another penstock run?" if error.errno == errno.EADDRINUSE else ""
        raise Trouble(f"[filter] listen: cannot listen on {where}: {error.strerror or error}{hint}") from error
