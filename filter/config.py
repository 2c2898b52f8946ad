"""The configuration: one TOML file into frozen settings, wrong in nothing or refused with all that is wrong.

A mail system that starts with half of what its administrator meant loses mail quietly. So an unknown
table or key, a wrong type and a bad value each stop the start, and all are told at once. A key of a later
release is an unknown key here: it would ask for something that does not happen.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from .problems import ConfigError, Problem, unknown
from .quantities import duration
from .settings import SECTIONS, DomainSettings, FilterSettings, MilterSettings, ServiceSettings, Settings, StoreSettings
from .tables import read
from .values import Blank

__all__ = [
    "ConfigError",
    "DomainSettings",
    "FilterSettings",
    "MilterSettings",
    "Problem",
    "ServiceSettings",
    "Settings",
    "StoreSettings",
    "duration",
    "find",
    "from_table",
    "load",
    "options",
    "parse",
]

T = TypeVar("T")

DEFAULT_FILE: Final = Path("/etc/penstock/penstock.toml")
VARIABLE: Final = "PENSTOCK_CONFIG"


def find(explicit: Path | None = None) -> Path:
    """The configuration file: `explicit` (from `--config`), else `$PENSTOCK_CONFIG`, else `DEFAULT_FILE`.

    Raises ConfigError when that one is not a file; it does not fall back on the next.
    """
    named = os.environ.get(VARIABLE)
    path = explicit or (Path(named) if named else DEFAULT_FILE)
    if path.is_file():
        return path
    source = "--config" if explicit else f"${VARIABLE}" if named else "the default place"
    what = "a folder, not a file" if path.is_dir() else "no such file"
    raise ConfigError.of(path, f"{what} ({source}); name one with --config or ${VARIABLE}, or create it")


def load(path: Path) -> Settings:
    """Read a file. Raises ConfigError with all that is wrong with it."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError.of(path, f"cannot be read: {error}") from error
    return parse(text, path)


def parse(text: str, origin: Path | str = "configuration") -> Settings:
    """Read TOML text; `origin` is its file, or a word that stands for it in messages. Raises ConfigError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError.of(origin, f"not TOML: {error}") from error
    return from_table(table, origin)


def from_table(table: Mapping[str, Any], origin: Path | str = "configuration") -> Settings:
    """Make settings from what a TOML file holds. Raises ConfigError with all that is wrong with it."""
    problems = list(_unknown_tables(table, origin))
    found: dict[str, Any] = {"origin": origin if isinstance(origin, Path) else None}
    for name, kind in _KINDS.items():
        try:
            found[name] = read(kind, table.get(name, {}), origin, name)
        except ConfigError as error:
            problems += error.problems
    if found.keys() >= {"filter", "milter", "handlers"}:
        problems += _misnamed_handlers(found["filter"].handlers, found["milter"].handlers, found["handlers"], origin)
    if problems:
        raise ConfigError(problems)
    return Settings(**found)


def options(cls: type[T], table: Mapping[str, Any], origin: Path | str | None, name: str) -> T:
    """A handler's `Options`, a frozen dataclass, from its table `[handlers.NAME]`. Raises ConfigError."""
    return read(cls, table, origin or "configuration", f"handlers.{name}")


def short_name(module: str) -> str:
    """The name of a handler in `[handlers.NAME]`: the last part of its module's."""
    return module.rpartition(".")[2]


_KINDS: Final[Mapping[str, Any]] = {
    **SECTIONS,
    "routing": dict[str, Blank],
    "handlers": dict[str, dict[str, Any]],
}


def _unknown_tables(table: Mapping[str, Any], origin: Path | str) -> Iterator[Problem]:
    for name, value in table.items():
        if name in _KINDS:
            continue
        if isinstance(value, dict):
            yield Problem(str(origin), name, "", f"unknown table; known are {', '.join(_KINDS)}")
        else:
            yield Problem(str(origin), "", name, "outside any table; move it below the header of its table")


def _misnamed_handlers(
    behind: tuple[str, ...], before: tuple[str, ...], tables: Mapping[str, Any], origin: Path | str
) -> Iterator[Problem]:
    """One module may stand at both doors, `behind` the queue and `before` it; two modules may not share a name."""
    listed = {"filter": behind, "milter": (*before, *(module for module in behind if module not in before))}
    told: set[str] = set()
    for door, modules in listed.items():
        names = [short_name(module) for module in modules]
        for name in sorted({name for name in names if names.count(name) > 1} - told):
            told.add(name)
            yield Problem(str(origin), door, "handlers", f"two handlers are called {name}; each name must be its own")
    for name in tables:
        if name not in names:
            yield Problem(str(origin), f"handlers.{name}", "", unknown(name, names, "handler"))
