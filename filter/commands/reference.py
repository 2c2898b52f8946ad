"""What the documentation says of the commands, taken from the commands, so that the two cannot differ."""

from __future__ import annotations

from typing import Final

import click

_WIDTH: Final = 80


def sections(program: click.Group) -> list[str]:
    """For each command a section in Markdown: its name, and its help as `--help` shows it 80 columns wide."""
    return _below(click.Context(program, info_name=program.name, terminal_width=_WIDTH, **program.context_settings))


def _below(context: click.Context) -> list[str]:
    """The sections of the commands of a group, each followed by those of the commands below it."""
    found: list[str] = []
    if isinstance(context.command, click.Group):
        for name, command in context.command.commands.items():
            inner = click.Context(command, context, name)
            found += [_section(inner), *_below(inner)]
    return found


def _section(context: click.Context) -> str:
    return f"## `{context.command_path}`\n\n```\n{context.get_help()}\n```\n"
