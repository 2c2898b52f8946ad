"""A handler module, read: its states, routes, stateless functions, keys and options.

`read_module` checks everything that can be known before mail arrives, and reports all of it at once.
A function counts when it is defined in the module or, for a package, anywhere below it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from .config import ConfigError, duration, options
from .declare import Declaration, TimeoutMark, declaration
from .pattern import EVERY, Pattern, PatternError, compile_pattern
from .views import Views

START: Final = "START"
"""The state of a conversation without a row."""

State = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Route:
    """One pattern of one function. `function` is the state, named as such, or a stateless function."""

    pattern: Pattern
    function: State
    always: bool = False
    bounces: bool = False
    automatic: bool = False

    @property
    def state(self) -> str:
        return self.function.__name__


@dataclass(frozen=True, slots=True)
class Timeout:
    """The deadline of a state: after how long, and the function that then runs."""

    after: timedelta
    function: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Stateless:
    """A `@stateless` function; without routes it runs once per message. `body`: it looks at the body too."""

    function: Callable[..., Any]
    routes: tuple[Route, ...]
    body: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """An address as a handler reads it: the winning pattern and its blanks."""

    pattern: Pattern
    blanks: dict[str, str]


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables that a module keeps: SQLAlchemy's metadata, and the folder of their revisions, if it names one."""

    name: str
    metadata: Any
    revisions: Path | None


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler module ready to run. `name` is the module's last name, `path` its full one."""

    name: str
    path: str
    module: ModuleType
    options: Any
    routes: tuple[Route, ...]
    states: Mapping[str, State]
    timeouts: Mapping[str, Timeout]
    stateless: tuple[Stateless, ...]
    at_rcpt: tuple[Callable[..., Any], ...]
    state_key: str | Callable[..., str | None]
    sender_key: Callable[..., str | None] | None
    keeps_sender: bool
    otherwise: Callable[..., Any] | None
    views: Views
    _patterns: tuple[Pattern, ...] = field(repr=False)

    def read(self, address: str) -> Reading | None:
        """Read an address once: of all patterns that match, the one with most literals, then the earliest."""
        best: Reading | None = None
        for pattern in self._patterns:
            if best is not None and pattern.literals <= best.pattern.literals:
                continue
            blanks = pattern.match(address)
            if blanks is not None:
                best = Reading(pattern, blanks)
        return best

    def route(self, pattern: Pattern, state: str) -> Route | None:
        """The route that answers this pattern in this state, or in any."""
        here = [r for r in self.routes if r.pattern.text == pattern.text]
        return next((r for r in here if r.state == state), next((r for r in here if r.always), None))

    @property
    def tables(self) -> Tables | None:
        """The module's own tables: its `metadata`, and `migrations`, a folder beside the module. None without any."""
        metadata = getattr(self.module, "metadata", None)
        if metadata is None:
            return None
        folder = getattr(self.module, "migrations", None)
        return Tables(self.name, metadata, Path(self.module.__file__ or "").parent / folder if folder else None)


class HandlerProblems(Exception):
    """What is wrong with a handler module, every finding a line."""

    def __init__(self, findings: list[str]) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


def read_module(
    module: ModuleType, views: Views, *, shapes: Mapping[str, str], table: Mapping[str, Any], origin: Path | None
) -> Handler:
    """Read a handler module. `shapes` is `[routing]`, `table` the module's `[handlers.NAME]` in the file `origin`.

    Raises HandlerProblems with every finding.
    """
    return _Reader(module, views, shapes, table, origin).read()


class _Reader:
    def __init__(
        self,
        module: ModuleType,
        views: Views,
        shapes: Mapping[str, str],
        table: Mapping[str, Any],
        origin: Path | None,
    ) -> None:
        self.module = module
        self.views = views
        self.shapes = shapes
        self.findings: list[str] = []
        self.name = module.__name__.rpartition(".")[2]
        self.options = self._options(table, origin)

    def read(self) -> Handler:
        declared = list(self._declared())
        states = {f.__name__: f for f, said in declared if not said.stateless and (said.routes or said.timeout)}
        routes = [route for f, said in declared if not said.stateless for route in self._routes(f, said)]
        self._no_route_twice(routes)
        stateless = tuple(
            Stateless(f, tuple(self._routes(f, said)), self._body(said)) for f, said in declared if said.stateless
        )
        timeouts = {f.__name__: t for f, said in declared if said.timeout and (t := self._timeout(f, said.timeout))}
        otherwise = getattr(self.module, "otherwise", None)
        patterns = tuple({r.pattern.text: r.pattern for r in routes}.values())
        state_key = getattr(self.module, "STATE_KEY", "")
        self._check_functions(routes, stateless, otherwise, patterns)
        self._check_state_key(state_key, routes)
        if not declared:
            self._find(None, "has no function with @route, @stateless, @timeout or @at_rcpt")
        if self.findings:
            raise HandlerProblems(self.findings)
        sender_key = getattr(self.module, "SENDER_KEY", _BY_SENDER)
        return Handler(
            name=self.name, path=self.module.__name__, module=self.module, options=self.options,
            routes=tuple(routes), states=states, timeouts=timeouts, stateless=stateless,
            at_rcpt=tuple(f for f, said in declared if said.at_rcpt),
            state_key=state_key, sender_key=sender_key if callable(sender_key) else None,
            keeps_sender=sender_key is not None, otherwise=otherwise, views=self.views, _patterns=patterns,
        )  # fmt: skip

    def _declared(self) -> Iterator[tuple[State, Declaration]]:
        inside = self.module.__name__ + "."
        seen: set[int] = set()
        for value in vars(self.module).values():
            said = declaration(value)
            if said and id(value) not in seen and (value.__module__ + ".").startswith(inside):
                seen.add(id(value))
                yield value, said

    def _options(self, table: Mapping[str, Any], origin: Path | None) -> Any:
        wanted = getattr(self.module, "Options", None)
        if wanted is None:
            if table:
                self._find(None, f"takes no options, but [handlers.{self.name}] gives {', '.join(sorted(table))}")
            return None
        try:
            return options(wanted, dict(table), origin, self.name)
        except ConfigError as error:
            self.findings += [str(problem) for problem in error.problems]
            return None

    def _routes(self, function: State, said: Declaration) -> Iterator[Route]:
        for mark in said.routes:
            try:
                pattern = compile_pattern(mark.pattern, self.shapes)
            except PatternError as error:
                self._find(function, str(error))
            else:
                if pattern.text == EVERY and not said.stateless:
                    self._find(function, f"has the pattern {EVERY!r}, which only @stateless functions may have")
                yield Route(pattern, function, mark.always, mark.bounces, mark.automatic)

    def _body(self, said: Declaration) -> bool:
        if not callable(said.body):
            return said.body
        return self.options is None or bool(said.body(self.options))

    def _no_route_twice(self, routes: list[Route]) -> None:
        seen: set[tuple[str, str]] = set()
        for route in routes:
            key = (route.state, route.pattern.text)
            if key in seen:
                self._find(route.function, f"has the pattern {route.pattern.text!r} twice")
            seen.add(key)

    def _timeout(self, state: State, mark: TimeoutMark) -> Timeout | None:
        function = getattr(self.module, mark.function, None)
        if not callable(function):
            self._find(state, f"@timeout names {mark.function!r}, which the module does not define")
            return None
        self._fills(function, (), "a timer function")
        try:
            after = mark.after
            if callable(after):
                return Timeout(after(self.options), function) if self.options is not None else None
            return Timeout(duration(after) if isinstance(after, str) else after, function)
        except ValueError as error:
            self._find(state, f"@timeout: {error}")
            return None

    def _check_functions(
        self,
        routes: list[Route],
        stateless: tuple[Stateless, ...],
        otherwise: State | None,
        patterns: tuple[Pattern, ...],
    ) -> None:
        for function in {id(r.function): r.function for r in routes}.values():
            self._fills(function, _common(r.pattern for r in routes if r.function is function), "its routes")
        for each in stateless:
            self._fills(each.function, _common(r.pattern for r in each.routes), "its routes")
        if otherwise is not None:
            self._fills(otherwise, _common(patterns), "every route of the module")

    def _fills(self, function: State, given: tuple[str, ...], by: str) -> None:
        parameters = list(inspect.signature(function).parameters.values())
        if inspect.iscoroutinefunction(function):
            self._find(function, "is async; handlers are plain functions")
        if not parameters:
            self._find(function, "takes no parameter; the first one is the mail (or the timer)")
        for parameter in parameters[1:]:
            named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if not named or parameter.default is not parameter.empty or parameter.name in given:
                continue
            if parameter.name != "options":
                self._find(function, f"has a parameter {parameter.name!r} that {by} do not fill")
            elif getattr(self.module, "Options", None) is None:
                self._find(function, "has a parameter 'options', but the module defines no dataclass Options")

    def _check_state_key(self, key: object, routes: list[Route]) -> None:
        if callable(key):
            return
        if not isinstance(key, str):
            self._find(None, f"STATE_KEY is {key!r}; it is a template of blanks, or a function")
            return
        for blank in template_blanks(key):
            for route in routes:
                if blank not in route.pattern.blanks and not route.always:
                    self._find(route.function, f"STATE_KEY needs {{{blank}}}, which {route.pattern.text!r} has not")

    def _find(self, function: State | None, what: str) -> None:
        where = self.module.__file__ or self.module.__name__
        if function is None:
            self.findings.append(f"{where}: the handler {self.name} {what}")
        else:
            code = inspect.unwrap(function).__code__
            self.findings.append(f"{code.co_filename}:{code.co_firstlineno}: {self.name}.{function.__name__}: {what}")


_BY_SENDER: Final = object()
_TEMPLATE_BLANK: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def arguments(function: Callable[..., Any], blanks: Mapping[str, str], options: Any = None) -> dict[str, Any]:
    """The keyword arguments that a function names, out of the blanks and its module's options.

    One with `**blanks` gets all blanks.
    """
    names, takes_all = _parameters(function)
    given = {**blanks, "options": options}
    named = {name: given[name] for name in names if name in given}
    return {**blanks, **named} if takes_all else named


def template_blanks(template: str) -> list[str]:
    """The names of the blanks in a STATE_KEY template; a brace that is no blank is literal."""
    return _TEMPLATE_BLANK.findall(template)


def fill_template(template: str, blanks: Mapping[str, str]) -> str:
    """A STATE_KEY template with its blanks filled."""
    return _TEMPLATE_BLANK.sub(lambda found: blanks[found[1]], template)


@lru_cache(maxsize=4096)
def _parameters(function: Callable[..., Any]) -> tuple[tuple[str, ...], bool]:
    """The names of a function's parameters behind the first, and whether it takes all keywords. Slow, so remembered."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return tuple(p.name for p in parameters), any(p.kind is p.VAR_KEYWORD for p in parameters)


def _common(patterns: Iterable[Pattern]) -> tuple[str, ...]:
    """The blanks that every one of these patterns fills."""
    filled = [set(pattern.blanks) for pattern in patterns]
    return tuple(set.intersection(*filled)) if filled else ()
