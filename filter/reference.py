"""What the documentation says of settings, taken from the dataclasses, so that the two cannot differ."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import MISSING, Field, dataclass, fields
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, get_type_hints

from .problems import key_of
from .quantities import spell_duration, spell_size
from .tables import noun_of


@dataclass(frozen=True, slots=True)
class Row:
    """One key of a table: what it takes in words, its default as TOML has it or in words, and its meaning."""

    key: str
    kind: str
    default: str
    meaning: str


def describe(cls: type[Any]) -> list[Row]:
    """The keys of a dataclass of settings or options, in its order."""
    hints = get_type_hints(cls, include_extras=True)
    rows = []
    for field in fields(cls):
        kind = noun_of(hints[field.name])
        meaning = field.metadata.get("meaning", "")
        rows.append(Row(key_of(field.name), kind, _default(field, kind), meaning))
    return rows


def as_table(rows: Iterable[Row]) -> str:
    """The rows as a table in Markdown."""
    lines = ["| key | takes | default | meaning |", "|---|---|---|---|"]
    for row in rows:
        cells = [text.replace("|", r"\|") for text in (f"`{row.key}`", row.kind, row.default, row.meaning)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _default(field: Field[Any], kind: str) -> str:
    if field.metadata.get("default"):
        return str(field.metadata["default"])
    if field.default is MISSING and field.default_factory is MISSING:
        return "must be given"
    value = field.default if field.default_factory is MISSING else field.default_factory()
    return "none" if value is None else f"`{_toml(value, kind)}`"


def _toml(value: Any, kind: str) -> str:
    """A default as it would be written in the file. Raises TypeError for a table with keys."""
    if isinstance(value, timedelta):
        return f'"{spell_duration(value)}"'
    if kind == "a size":
        return f'"{spell_size(value)}"' if value >= 10_000 else str(value)
    if isinstance(value, Path | str):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, Enum):
        return _toml(value.value, kind)
    if isinstance(value, tuple | list | set | frozenset):
        return "[" + ", ".join(_toml(item, "") for item in value) + "]"
    return json.dumps(value)
