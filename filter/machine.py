"""The state machine: which state answers, and what its answer means.

A conversation without a row is in START. A state function answers with a state (move there, the
deadline starts anew), None (stay, the deadline runs on) or a verdict. The moves are buffered in the
run's effects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from .effects import Conversation
from .handler import START, Handler, Reading, Route, arguments, fill_template
from .verdict import Verdict


class HandlerError(Exception):
    """A handler did what the rules do not allow; the text says what and how to mend it."""


class StateGone(Exception):
    """A stored state has no function any more: the mail waits in Postfix until the handler defines the state again."""


def state_name(handler: Handler, state: Callable[..., Any] | str) -> str:
    """The name of a state, given as its function or by name. Raises HandlerError if the handler has no such state."""
    name = state if isinstance(state, str) else getattr(state, "__name__", repr(state))
    if name != START and name not in handler.states:
        known = ", ".join(sorted(handler.states)) or "none"
        raise HandlerError(f"{handler.name} has no state {name!r}; its states are {known}")
    return name


def resource(handler: Handler, mail: Any, blanks: Mapping[str, str]) -> str | None:
    """The resource of the conversation key, or None for "none yet". Raises HandlerError for a wrong type."""
    if isinstance(handler.state_key, str):
        return fill_template(handler.state_key, blanks)
    made = handler.state_key(mail, **arguments(handler.state_key, blanks, handler.options))
    if made is not None and not isinstance(made, str):
        raise HandlerError(f"STATE_KEY of {handler.name} returned {made!r}; it returns a string or None")
    return made


def answering(handler: Handler, reading: Reading, state: str) -> Route | None:
    """The route that answers in this state; None means `otherwise`. Raises StateGone."""
    route = handler.route(reading.pattern, state)
    if (route is None or not route.always) and state != START and state not in handler.states:
        raise StateGone(f"{handler.name} has a conversation in the state {state!r}, which it no longer defines")
    return route


def moved(handler: Handler, before: Conversation, to: str, blanks: Mapping[str, str], now: datetime) -> Conversation:
    """The conversation in another state (or anew in the same one), with that state's deadline."""
    limit = handler.timeouts.get(to)
    deadline = now + limit.after if limit and to != START else None
    return replace(before, state=to, deadline=deadline, blanks=dict(blanks))


def answer(handler: Handler, returned: object) -> tuple[str | None, Verdict | None]:
    """What a state function's return value means: the state to move to, if any, and the verdict, if any.

    Raises HandlerError for anything that is no state, no verdict and not None.
    """
    if returned is None:
        return None, None
    if isinstance(returned, type) and issubclass(returned, Verdict):
        returned = returned()
    if isinstance(returned, Verdict):
        then = returned.then
        return (state_name(handler, then) if then is not None else None), returned
    if callable(returned) or isinstance(returned, str):
        return state_name(handler, returned), None
    raise HandlerError(f"{handler.name} returned {returned!r}; a handler returns a state, a verdict or None")
