"""Whether a handler may refuse mail, told from its code: does any of its functions name `Reject`?

A function that names it may never reach it, and one that refuses through a library is not seen; it is a hint
for `penstock check`, which must not run handlers to find out. That a stateful handler refuses what does not
fit its state does not count: every one does.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Final

from ..handler import Handler
from ..verdict import Reject

_WRAPPED: Final = ("fget", "func", "__func__")
"""Where a property, a cached property and a static or class method keep their function."""


def refuses(handler: Handler) -> bool:
    """Whether a handler's code may refuse mail."""
    return any(_names_reject(function) for module in _modules(handler) for function in _functions(module))


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


def _names_reject(function: FunctionType) -> bool:
    plain = inspect.unwrap(function)
    names = set(_names(plain.__code__))
    return any(name == "Reject" or plain.__globals__.get(name) is Reject for name in names)


def _names(code: CodeType) -> Iterator[str]:
    """The names that code uses, that of functions within it too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
