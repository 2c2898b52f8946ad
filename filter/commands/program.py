"""The program that the commands belong to: where the configuration is, and how trouble is told.

A mistake of the person at the keyboard, or of the system around, is told on stderr as what, where and how
to mend it, with exit status 1; never as a traceback. A traceback is a mistake of ours. Exit status 2 is a command
that was typed wrong.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any, Final

import click

from ..config import Settings, find, load
from ..service import EXPECTED, words

_CONFIG: Final = f"{__name__}.config"


class Trouble(click.ClickException):
    """What keeps a command from its work."""


class Program(click.Group):
    """A group of commands whose expected failures are told as `Trouble`."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # `penstock routes | head`: click ends quietly
            raise
        except EXPECTED as error:
            raise Trouble(words(error)) from error


def _remember(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.meta[_CONFIG] = value


config_option: Final = click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    expose_value=False,
    callback=_remember,
    help="The configuration; else $PENSTOCK_CONFIG, else /etc/penstock/penstock.toml.",
)
"""`--config FILE`, before the command's name or behind it."""


def config_file() -> Path:
    """The configuration file that this call means. Raises ConfigError when it is not there."""
    named: Path | None = click.get_current_context().meta.get(_CONFIG)
    return find(named)


def settings() -> Settings:
    """The configuration that this call means. Raises ConfigError."""
    return load(config_file())


_CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group("penstock", cls=Program, context_settings=_CONTEXT)
@config_option
@click.version_option(package_name="penstock", message="%(prog)s %(version)s")
def program() -> None:
    """Mail applications beside Postfix: handlers that rewrite, refuse or answer mail."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 is no reason to fail
