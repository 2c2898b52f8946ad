"""A TOML table into a frozen dataclass: strictly, with every mistake found at once.

Nothing is converted that a reader of the file would not expect: `"5"` is not 5, `true` is not 1, and
text is not an array of letters. An unknown key is a mistake, since a misspelt one would otherwise be
a setting that silently does nothing. The dataclass says all: the type of a field is what it takes, the
default what it is without, and `means` adds its meaning for the documentation.

A field may be: `str`, `int`, `float`, `bool`, `timedelta` (text: `"5m"`), `Size` (`"50M"`), `Path` (relative
to the file), `date`, `time`, `datetime` (with offset), `re.Pattern[str]`, `Literal`, `Enum`, `X | None`, another
dataclass, `Any`, `Annotated[X, Checked(…)]`, and tuples, lists, sets and dicts of these.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from cattrs import Converter
from cattrs.errors import IterableValidationError, IterableValidationNote
from cattrs.gen import make_dict_structure_fn, override

from .problems import ConfigError, key_of, problems_in
from .quantities import Size, duration, size

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Checked:
    """In `Annotated[X, Checked(check, noun)]`: what more a value must be than an X.

    `check` takes the X and returns what the field gets; it raises ValueError with the reason and
    how to mend it. `noun` names the type in the documentation.
    """

    check: Callable[[Any], Any]
    noun: str


def means(meaning: str, *, default: str = "") -> Mapping[str, str]:
    """Metadata for `dataclasses.field`: what the field is for, in a sentence for the documentation.

    `default` is the default in words, where it differs from host to host.
    """
    return {"meaning": meaning, "default": default}


def read(cls: type[T], table: object, origin: Path | str, name: str) -> T:
    """Make a `cls` from the TOML table called `name`.

    `origin` is the file, or a word that stands for it in messages; relative paths start from the folder of a file.
    Raises ConfigError with every mistake in the table.
    """
    try:
        return _converter(origin.parent if isinstance(origin, Path) else None).structure(table, cls)
    except Exception as error:
        raise ConfigError(problems_in(error, origin, name)) from error


def noun_of(kind: Any) -> str:
    """What a field of this type takes, in words."""
    args = get_args(kind)
    if kind in _READERS:
        return _READERS[kind].noun
    if check := _check_of(kind):
        return check.noun
    if _is_choice(kind):
        return " or ".join(f'"{word}"' if _text(word) else str(word) for word, _ in _choices(kind))
    if _is_union(kind):
        return " or ".join(noun_of(arm) for arm in args if arm is not NoneType)
    if _is_array(kind):
        fixed = get_origin(kind) is tuple and args[-1] is not Ellipsis
        return f"an array of {len(args)} items" if fixed else f"an array, each item {noun_of(args[0])}"
    if _is_mapping(kind):
        return f"a table, each value {noun_of(args[1])}"
    return "a table"


@dataclass(frozen=True, slots=True)
class _Reader:
    noun: str
    takes: Callable[[Any], bool]
    read: Callable[[Any], Any] = lambda value: value
    mend: str = ""


@lru_cache(maxsize=8)
def _converter(base: Path | None) -> Converter:
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    add = converter.register_structure_hook_factory
    add(_is_choice, lambda kind: _choice)
    add(_is_union, lambda kind: _union(kind, converter))
    add(_is_array, lambda kind: _array(kind, converter))
    add(_is_mapping, lambda kind: _mapping(kind, converter))
    add(_is_dataclass, lambda kind: _dataclass(kind, converter))
    add(lambda kind: _check_of(kind) is not None, lambda kind: _checked(kind, converter))
    add(lambda kind: kind in _READERS, lambda kind: _plain)
    for kind in (str, int, float, bool):  # cattrs would convert these before it asks a factory
        converter.register_structure_hook(kind, _plain)
    converter.register_structure_hook(Path, lambda value, kind: (base or Path()) / _plain(value, Path))
    return converter


def _plain(value: Any, kind: Any) -> Any:
    if _is_choice(kind):  # an Enum of text is a `str` too
        return _choice(value, kind)
    reader = _READERS[kind]
    if not reader.takes(value):
        raise ValueError(f"expected {reader.noun}, got {_shown(value)}" + (f"; {reader.mend}" if reader.mend else ""))
    return reader.read(value)


def _checked(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    check = _check_of(kind)
    others = tuple(mark for mark in kind.__metadata__ if mark is not check)
    base: Any = Annotated[(kind.__origin__, *others)] if others else kind.__origin__

    def structure(value: Any, _: Any) -> Any:
        accepted = converter.structure(value, base)
        return check.check(accepted) if check else accepted

    return structure


def _choice(value: Any, kind: Any) -> Any:
    choices = _choices(kind)
    for spelled, member in choices:
        if type(spelled) is type(value) and spelled == value:
            return member
    raise ValueError(f"expected {noun_of(kind)}, got {_shown(value)}")


def _choices(kind: Any) -> list[tuple[Any, Any]]:
    if get_origin(kind) is Literal:
        return [(word, word) for word in get_args(kind)]
    return [(member.value, member) for member in kind]


def _union(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    """The first arm that takes the value; with only one arm beside None, its own message."""
    arms = [(arm, converter.get_structure_hook(arm)) for arm in get_args(kind) if arm is not NoneType]

    def structure(value: Any, _: Any) -> Any:
        for arm, hook in arms:
            try:
                return hook(value, arm)
            except Exception:
                if len(arms) == 1:
                    raise
        raise ValueError(f"expected {noun_of(kind)}, got {_shown(value)}")

    return structure


def _array(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    make = {list: list, set: set, frozenset: frozenset}.get(get_origin(kind), tuple)
    args = get_args(kind)
    element, length = args[0], None if make is not tuple or args[-1] is Ellipsis else len(args)

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, list):
            raise ValueError(f"expected {noun_of(kind)}, got {_shown(value)}; write it in brackets: [ … ]")
        if length not in (None, len(value)):
            raise ValueError(f"expected {noun_of(kind)}, got {len(value)} items")
        kinds = [element] * len(value) if length is None else list(args)
        steps = [(index, item, kinds[index]) for index, item in enumerate(value)]
        return make(_each(steps, converter, kind))

    return structure


def _mapping(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    element = get_args(kind)[1]

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"expected a table, got {_shown(value)}")
        steps = [(key, item, element) for key, item in value.items()]
        return dict(zip(value, _each(steps, converter, kind), strict=True))

    return structure


def _each(steps: list[tuple[Any, Any, Any]], converter: Converter, whole: Any) -> list[Any]:
    read_items: list[Any] = []
    errors: list[Exception] = []
    for index, item, kind in steps:
        try:
            read_items.append(converter.structure(item, kind))
        except Exception as error:
            error.add_note(IterableValidationNote("", index, kind))
            errors.append(error)
    if errors:
        raise IterableValidationError("", errors, whole)
    return read_items


def _dataclass(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    hints = get_type_hints(kind, include_extras=True)  # cattrs itself drops Annotated from quoted annotations
    keys = {
        f.name: override(rename=key_of(f.name), struct_hook=_as(hints[f.name], converter))
        for f in dataclasses.fields(kind)
        if f.init
    }
    inner = make_dict_structure_fn(kind, converter, **keys)  # type: ignore[arg-type]

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError(f"expected a table, got {_shown(value)}")
        return inner(value, kind)

    return structure


def _as(hint: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    return lambda value, _: converter.structure(value, hint)


def _is_choice(kind: Any) -> bool:
    return get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, Enum))


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)


def _is_array(kind: Any) -> bool:
    return get_origin(kind) in (tuple, list, set, frozenset, collections.abc.Sequence)


def _is_mapping(kind: Any) -> bool:
    return get_origin(kind) in (dict, collections.abc.Mapping)


def _is_dataclass(kind: Any) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _check_of(kind: Any) -> Checked | None:
    marks = getattr(kind, "__metadata__", ())
    return next((mark for mark in marks if isinstance(mark, Checked)), None)


def _shown(value: Any) -> str:
    text = repr(value) if len(repr(value)) <= 40 else repr(value)[:39] + "…"
    forms: tuple[tuple[type, str], ...] = (
        (bool, str(value).lower()),
        (str, f"the text {text}"),
        (int, f"the number {text}"),
        (float, f"the number {text}"),
        (list, "an array"),
        (dict, "a table"),
        (datetime, f"the time {value}"),
        (date, f"the date {value}"),
    )
    return next((shown for kind, shown in forms if isinstance(value, kind)), text)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _with_offset(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"{value} has no offset from UTC; write it like 2025-12-31T00:00:00Z")
    return value


def _octets(value: int | str) -> int:
    if isinstance(value, int) and value < 0:
        raise ValueError(f"a size cannot be negative: {value}")
    return size(value) if isinstance(value, str) else value


def _pattern(value: str) -> re.Pattern[str]:
    try:
        return re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from error


def _path(value: str) -> Path:
    if not value or "\0" in value:
        raise ValueError(f"{value!r} is not a path")
    return Path(value)


_READERS: Final[dict[Any, _Reader]] = {
    str: _Reader("text", _text, mend="write it in quotes"),
    int: _Reader("a whole number", _number, mend="write it without quotes or point"),
    float: _Reader("a number", lambda v: isinstance(v, float) or _number(v), float, "write it without quotes"),
    bool: _Reader("true or false", lambda v: isinstance(v, bool), mend="write it without quotes"),
    timedelta: _Reader("a duration", _text, duration, 'write it with its unit, like "90s", "5m" or "3d"'),
    Size: _Reader("a size", lambda v: _text(v) or _number(v), _octets, 'write octets, or text like "50M"'),
    date: _Reader("a date", lambda v: isinstance(v, date) and not isinstance(v, datetime), mend="like 2025-12-31"),
    time: _Reader("a time of day", lambda v: isinstance(v, time), mend="write it like 07:30:00"),
    datetime: _Reader("a point in time", lambda v: isinstance(v, datetime), _with_offset, "like 2025-12-31T00:00:00Z"),
    re.Pattern[str]: _Reader("a regular expression", _text, _pattern, "write it in single quotes"),
    Path: _Reader("a path", _text, _path, "write it in quotes"),
    Any: _Reader("anything", lambda v: True),
}
