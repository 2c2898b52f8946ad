"""The decorators with which a handler module says what its functions are.

They leave the function as it is and write a `Declaration` on it; `handler.py` reads the module. So
nothing is registered anywhere, and one module can serve several routers in one process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeVar, overload

Function = TypeVar("Function", bound=Callable[..., Any])

_NAME: Final = "__penstock__"


@dataclass(frozen=True, slots=True)
class RouteMark:
    """One `@route`: the pattern as written and its switches."""

    pattern: str
    always: bool = False
    bounces: bool = False
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class TimeoutMark:
    """One `@timeout`: after how long in the state, and the name of the function that then runs."""

    after: str | timedelta | Callable[[Any], timedelta]
    function: str


@dataclass(slots=True)
class Declaration:
    """All that the decorators said of one function."""

    routes: list[RouteMark] = field(default_factory=list)
    timeout: TimeoutMark | None = None
    stateless: bool = False
    body: bool | Callable[[Any], bool] = True
    at_rcpt: bool = False


def declaration(function: object) -> Declaration | None:
    """What the decorators said of `function`, or None."""
    found = getattr(function, _NAME, None)
    return found if isinstance(found, Declaration) else None


def route(
    pattern: str, *, always: bool = False, bounces: bool = False, automatic: bool = False
) -> Callable[[Function], Function]:
    """The function is a state, and answers mail to addresses of this pattern while in it.

    `always`: in any state. `bounces`: mail from the null reverse-path too. `automatic`: automatic mail
    (RFC 3834) too, which is otherwise discarded. Stackable. On a `@stateless` function: run once for
    each matching recipient; the pattern `*` matches every one.
    """

    def mark(function: Function) -> Function:
        # Decorators run from the bottom up; the file's order is the one that people read.
        _declare(function).routes.insert(0, RouteMark(pattern, always, bounces, automatic))
        return function

    return mark


@overload
def stateless(function: Function, /) -> Function: ...


@overload
def stateless(*, body: bool | Callable[[Any], bool]) -> Callable[[Function], Function]: ...


def stateless(
    function: Function | None = None, /, *, body: bool | Callable[[Any], bool] = True
) -> Function | Callable[[Function], Function]:
    """The function sees mail on its way through; what it does not decide passes on.

    With `body=False`, or a function of the Options that says so, it looks at envelope and header alone: then Postfix
    need not send the milter the body, and `mail.message` may have none, and may not be given one.
    """

    def mark(function: Function) -> Function:
        said = _declare(function)
        said.stateless, said.body = True, body
        return function

    return mark if function is None else mark(function)


def timeout(after: str | timedelta | Callable[[Any], timedelta], function: str) -> Callable[[Function], Function]:
    """A conversation that is in this state for `after` ("7d", or a function of the Options) runs `function`.

    `function` names a `def f(timer: Timer)` of the same module, which returns a state as states do.
    """

    def mark(state: Function) -> Function:
        _declare(state).timeout = TimeoutMark(after, function)
        return state

    return mark


def at_rcpt(function: Function) -> Function:
    """The function runs for each RCPT at the milter, on an `Rcpt`: no message is there yet."""
    _declare(function).at_rcpt = True
    return function


def _declare(function: Callable[..., Any]) -> Declaration:
    found = declaration(function)
    if found is None:
        found = Declaration()
        setattr(function, _NAME, found)
    return found
