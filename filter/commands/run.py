"""`penstock run`: the service, in the foreground, until it is told to end."""

from __future__ import annotations

import click

from ...systemd.notify import Notifier
from ...systemd.passed import passed_sockets
from ..config import Settings, load
from ..service import Supervisor
from .logs import log_to_stderr
from .program import config_file, config_option


@click.command(short_help="Run the service in the foreground.")
@config_option
def run() -> None:
    """Run the service in the foreground: a supervisor, and the workers that it starts.

    Configuration, handlers and store are checked first; a "ready" line in the log says that all workers accept
    connections. The log goes to stderr, one record a line.

    SIGHUP reloads configuration and handlers without closing a door; if something is wrong with them, the log says
    what, and all goes on as before. SIGTERM and SIGINT end the service: what is under way is finished, within
    [service] drain, and Postfix brings the rest again. A second one ends it at once.

    Exit status: 0 after an orderly end, 1 when it could not start, 2 for a wrong call.
    """
    path = config_file()

    def read() -> Settings:
        settings = load(path)
        log_to_stderr(settings.service.log_level)
        return settings

    Supervisor(read, passed_sockets(), Notifier.from_environment()).run()
