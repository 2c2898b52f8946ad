"""What is wrong with a configuration: all of it at once, each with file, key and reason.

Someone who mends a configuration should not have to start the service once for every mistake. So
reading goes on past the first, and one `ConfigError` carries them all.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ForbiddenExtraKeysError,
    IterableValidationNote,
)

Place = tuple[str | int, ...]
"""Where in a table: keys, and positions in arrays from 0."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: the file (or what stands for it), the table without brackets, the key, and the reason.

    `table` and `key` are empty where the mistake is in the file or the table as a whole.
    """

    origin: str
    table: str
    key: str
    reason: str

    def __str__(self) -> str:
        place = " ".join(part for part in (f"[{self.table}]" if self.table else "", self.key) if part)
        return ": ".join(part for part in (self.origin, place, self.reason) if part)


class ConfigError(Exception):
    """A configuration that cannot be used; `problems` are all that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def of(cls, origin: object, reason: str, *, table: str = "", key: str = "") -> ConfigError:
        """An error of one problem."""
        return cls([Problem(str(origin), table, key, reason)])


def problems_in(error: Exception, origin: object, table: str) -> Iterator[Problem]:
    """What a cattrs error says, as problems of the table named."""
    for place, reason in _mistakes(error):
        yield Problem(str(origin), table, spell_place(place), reason)


def spell_place(place: Place) -> str:
    """`("rules", 2, "code")` as people count: `rules, item 3, code`."""
    return ", ".join(f"item {part + 1}" if isinstance(part, int) else part for part in place)


def unknown(word: str, known: Iterable[str], kind: str) -> str:
    """The reason why an unknown `word` is refused: the nearest known one, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(word.replace("-", "_").lower(), names, n=1)
    if near:
        return f"unknown {kind}; did you mean {near[0]}?"
    return f"unknown {kind}; known here: {', '.join(names)}" if names else f"unknown {kind}; none is known here"


def key_of(field_name: str) -> str:
    """The TOML key of a dataclass field: its name, without the underscore that ends `from_` or `if_`."""
    return field_name.rstrip("_")


def _mistakes(error: BaseException, place: Place = ()) -> Iterator[tuple[Place, str]]:
    if isinstance(error, BaseValidationError):
        for inner in error.exceptions:
            yield from _mistakes(inner, place + _step(inner))
    elif isinstance(error, ForbiddenExtraKeysError):
        known = [key_of(f.name) for f in dataclasses.fields(error.cl) if f.init]
        for key in sorted(error.extra_fields):
            yield (*place, key), unknown(key, known, "key")
    elif isinstance(error, KeyError) and _step(error):
        yield place, "missing; it has no default and must be given"
    else:
        yield place, str(error)


def _step(error: BaseException) -> Place:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return (key_of(note.name),)
        if isinstance(note, IterableValidationNote):
            return (note.index,)
    return ()
