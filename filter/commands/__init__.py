"""The commands: `penstock COMMAND`, one file a command.

`program.py` has what they share: where the configuration is found, and how a mistake is told.
"""

from __future__ import annotations

from .audit import audit
from .capture import capture
from .check import check
from .db import db
from .explain import explain
from .held import held
from .outbox import outbox
from .program import program as main
from .routes import routes
from .run import run
from .send import send
from .state import state
from .systemd import systemd
from .timers import timers

__all__ = ["main"]

for command in (run, check, explain, routes, send, capture, systemd, db, held, outbox, state, timers, audit):
    main.add_command(command)
