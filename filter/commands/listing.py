"""Listings: a table that fits the terminal, or JSON with all of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

from .printable import cut, printable
from .width import width

json_option: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
"""`--json`."""

_NARROWEST: Final = 6
_GAP: Final = 2


def as_json(value: Any) -> None:
    """Print JSON: times as RFC 3339 has them, UTC; stray octets as escapes."""
    click.echo(json.dumps(value, indent=2, default=_plain))


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], loose: int) -> None:
    """Print a table; where it is wider than the terminal the last `loose` columns are cut, the widest first."""
    for number, line in enumerate(_lines(titles, rows, loose, width())):
        click.echo(click.style(line, bold=True) if number == 0 else line)


def moment(at: datetime | None) -> str:
    """A time as tables have it: UTC, to the minute."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def path(address: str) -> str:
    """A reverse-path or recipient as tables have it; the null one is `<>`."""
    return address or "<>"


def several(addresses: Sequence[str]) -> str:
    """The first of some addresses, after how many there are."""
    first = path(addresses[0]) if addresses else ""
    return first if len(addresses) < 2 else f"({len(addresses):,}) {first}"


def _lines(titles: Sequence[str], rows: Sequence[Sequence[str]], loose: int, most: int) -> Iterator[str]:
    shown = [tuple(titles), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(titles))]
    stiff = sum(widths[:-loose]) + _GAP * (len(widths) - 1)
    widths[-loose:] = _fitted(widths[-loose:], most - stiff)
    for row in shown:
        cells = (cut(cell, wide).ljust(wide) for cell, wide in zip(row, widths, strict=True))
        yield (" " * _GAP).join(cells).rstrip()


def _fitted(widths: Sequence[int], most: int) -> list[int]:
    """Widths that come to `most` together, if it must be: those that want little get it, the others share the rest."""
    fitted = [min(wide, _NARROWEST) for wide in widths]
    while sum(fitted) < most and (hungry := [n for n, wide in enumerate(widths) if fitted[n] < wide]):
        narrowest = min(hungry, key=lambda n: fitted[n])
        fitted[narrowest] += 1
    return fitted


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(f"{value!r} has no form in JSON")
