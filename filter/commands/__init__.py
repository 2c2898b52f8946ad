"""The commands: `penstock COMMAND`, one file a command.

`program.py` has what they share: where the configuration is found, and how a mistake is told.
"""

from __future__ import annotations

from .check import check
from .explain import explain
from .program import program as main
from .run import run

__all__ = ["main"]

for command in (run, check, explain):
    main.add_command(command)
