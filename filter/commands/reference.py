"""What the documentation says of the commands, taken from the commands, so that the two cannot differ."""

from __future__ import annotations

from typing import Final

import click

_WIDTH: Final = 80


def sections(program: click.Group) -> list[str]:
    """For each command a section in Markdown: its name, and its help as `--help` shows it 80 columns wide."""
    whole = click.Context(program, info_name=program.name, terminal_width=_WIDTH, **program.context_settings)
    return [_section(click.Context(command, whole, name)) for name, command in program.commands.items()]


def _section(context: click.Context) -> str:
    return f"## `{context.command_path}`\n\n```\n{context.get_help()}\n```\n"
