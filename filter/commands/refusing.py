"""Whether a handler may refuse mail, or decide on it at all, told from its code: does any of its functions name
`Reject`, or another verdict?

A function that names it may never reach it, and one that refuses through a library is not seen; it is a hint
for `penstock check`, which must not run handlers to find out. That a stateful handler refuses what does not
fit its state does not count: every one does.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Final

from ..handler import Handler
from ..verdict import Defer, Discard, Hold, Reject, Verdict

_WRAPPED: Final = ("fget", "func", "__func__")
"""Where a property, a cached property and a static or class method keep their function."""


def refuses(handler: Handler) -> bool:
    """Whether a handler's code may refuse mail."""
    return _names_any(handler, Reject)


def decides(handler: Handler) -> bool:
    """Whether a handler's code may end the matter for a message."""
    return _names_any(handler, Reject, Defer, Discard, Hold)


def _names_any(handler: Handler, *verdicts: type[Verdict]) -> bool:
    return any(_names(function, verdicts) for module in _modules(handler) for function in _functions(module))


def _modules(handler: Handler) -> list[ModuleType]:
    """The handler's module and those below it."""
    inside = f"{handler.path}."
    return [handler.module, *(module for name, module in list(sys.modules.items()) if name.startswith(inside))]


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """The functions that a module defines, those of its classes too."""
    for value in list(vars(module).values()):
        if getattr(value, "__module__", None) != module.__name__:
            continue
        for member in vars(value).values() if inspect.isclass(value) else (value,):
            bare = next((found for name in _WRAPPED if (found := getattr(member, name, None))), member)
            if isinstance(bare, FunctionType):
                yield bare


def _names(function: FunctionType, verdicts: Collection[type[Verdict]]) -> bool:
    """Whether a function uses one of these verdicts, by its own name or by another."""
    plain = inspect.unwrap(function)
    own, meant = {verdict.__name__ for verdict in verdicts}, {id(verdict) for verdict in verdicts}
    return any(name in own or id(plain.__globals__.get(name)) in meant for name in _used(plain.__code__))


def _used(code: CodeType) -> Iterator[str]:
    """The names that code uses, that of functions within it too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _used(constant)
