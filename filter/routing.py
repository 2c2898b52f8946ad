"""Routing: from the envelope recipient to the handlers that see the message.

Stateful handlers compete for a recipient: the first in configured order that reads the address takes
it. Stateless ones do not compete: every one that matches sees the message, in configured order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from .address import domain_key, split
from .handler import Handler, Reading, Stateless, Tables
from .pattern import EVERY, reading
from .verdict import NO_SUCH_ADDRESS, Reply

REMEMBERED: Final = 4096
"""The addresses whose way is remembered: to read one with every pattern takes longer than all else about it."""


@dataclass(frozen=True, slots=True)
class Taker:
    """The stateful handler that owns a recipient, and how it read the address."""

    handler: Handler
    reading: Reading


@dataclass(frozen=True, slots=True)
class Passage:
    """A stateless function that a message goes through, with the blanks of its route."""

    handler: Handler
    stateless: Stateless
    blanks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Way:
    """What a recipient's copy goes through: stateless functions, in configured order, then whoever owns it.

    `is_ours`: the address is in a domain of ours, behind which there is no mailbox.
    """

    passages: tuple[Passage, ...]
    taker: Taker | None
    is_ours: bool

    @property
    def is_open(self) -> bool:
        """Whether no handler stands in it, so that mail passes as it came."""
        return not (self.passages or self.taker or self.is_ours)


class Router:
    """The handlers in configured order, and the domains that are ours."""

    def __init__(
        self, handlers: Sequence[Handler], owned: Collection[str] = (), *, only: Collection[str] | None = None
    ) -> None:
        """With `only` those of these names alone see mail; the others still take the addresses that are theirs."""
        self.handlers = tuple(handler for handler in handlers if only is None or handler.name in only)
        self.owned = frozenset(domain_key(domain) for domain in owned)
        self.whole = tuple(
            Passage(handler, each) for handler in self.handlers for each in handler.stateless if not each.routes
        )
        self._each = [(h, each) for h in self.handlers for each in h.stateless if each.routes]
        self._stateful = [handler for handler in handlers if handler.routes]
        self.way = lru_cache(REMEMBERED)(self._way)

    def taker(self, address: str) -> Taker | None:
        """Who owns this recipient, if anyone."""
        return self.way(address).taker

    def passages(self, address: str) -> Sequence[Passage]:
        """The stateless functions with a route that matches this recipient, in configured order."""
        return self.way(address).passages

    def owns(self, address: str) -> bool:
        """Whether the address is in a domain of ours, behind which there is no mailbox."""
        return self.way(address).is_ours

    def refuse(self, address: str) -> Reply | None:
        """At RCPT: 550 5.1.1 for an address in a domain of ours that no route knows, else None."""
        way = self.way(address)
        return NO_SUCH_ADDRESS if way.is_ours and way.taker is None else None

    def concerns(self, addresses: Iterable[str]) -> bool:
        """Whether any handler wants to see mail for these recipients, or any of them is ours."""
        return bool(self.whole) or any(not self.way(address).is_open for address in addresses)

    def _way(self, address: str) -> Way:
        text = reading(address)
        found = ((handler, each, _most_literal(each, text)) for handler, each in self._each)
        passages = tuple(Passage(handler, each, blanks) for handler, each, blanks in found if blanks is not None)
        is_ours = bool(self.owned) and domain_key(split(address)[1]) in self.owned
        return Way(passages, self._taker(text), is_ours)

    def _taker(self, text: str | None) -> Taker | None:
        if text is None:
            return None
        for handler in self._stateful:
            if (found := handler.read(text)) is not None:
                return Taker(handler, found) if handler in self.handlers else None
        return None


class Routers:
    """The handlers of both doors.

    `filter` are those behind the queue, `milter` those before it. Of these, `alone` stand there only, and `previews`
    behind the queue as well: the same objects, in the order in which they run there.
    """

    def __init__(self, behind: Sequence[Handler], before: Sequence[Handler] = (), owned: Collection[str] = ()) -> None:
        both = {handler.name for handler in behind} & {handler.name for handler in before}
        self.filter = Router(behind, owned)
        self.milter = Router(before)
        self.alone = Router([handler for handler in before if handler.name not in both])
        self.previews = Router(behind if both else (), only=both)

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """All handlers, each once."""
        return (*self.alone.handlers, *self.filter.handlers)

    @property
    def tables(self) -> list[Tables]:
        """The handlers' own tables."""
        return [handler.tables for handler in self.handlers if handler.tables is not None]


def _most_literal(each: Stateless, text: str | None) -> dict[str, str] | None:
    """The blanks of the best match; `text` None is an address that no pattern but `*` reads."""
    best: tuple[int, dict[str, Any]] | None = None
    for route in each.routes:
        blanks = route.pattern.match(text or "") if text is not None or route.pattern.text == EVERY else None
        if blanks is not None and (best is None or route.pattern.literals > best[0]):
            best = (route.pattern.literals, blanks)
    return best[1] if best else None
