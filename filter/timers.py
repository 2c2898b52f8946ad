"""Timers: what falls due in conversations, whoever's turn it is.

A deadline runs once, whatever the number of workers and hosts: who finds it first puts it off, in a transaction that
checks the version, and only then runs its function. So it runs again where a function fails, or where the process
dies in it. A deadline that passed while nothing was running runs late. One that takes too long is given up like any
run: it may hold the store's only write transaction, and all the others wait behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from .clock import Clock
from .config import Settings
from .effects import Conversation
from .handler import Handler, arguments
from .machine import HandlerError, answer, moved
from .mail import Timer
from .routing import Router
from .run import Run, Surroundings
from .store import Change, Clash, Store, Work, is_store_failure
from .tokens import Tokens
from .verdict import Verdict
from .watch import GivenUp, run_apart

log = logging.getLogger("penstock")

RETRY: Final = timedelta(minutes=5)
"""After how long a timer function that failed is tried again: so far a deadline is put off while it runs."""


class Timers:
    """Runs the deadlines that have come."""

    def __init__(
        self, router: Router, store: Store, settings: Settings, tokens: Tokens, clock: Clock,
        letters_ready: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._handlers = {handler.name: handler for handler in router.handlers}
        self._store = store
        self._settings = settings
        self._tokens = tokens
        self._clock = clock
        self._letters_ready = letters_ready
        limit = settings.service.handler_time_limit
        self._limit = limit.total_seconds()
        self._put_off = max(RETRY, 2 * limit)
        self.abandoned = 0
        """Runs that were given up and have not ended: each keeps a thread."""

    def run_due(self) -> int:
        """Run all deadlines that have come; returns how many ran. A failure is logged and tried again later.

        Raises what a store that is out of reach raises.
        """
        due = self._store.due_conversations(self._clock.now(), self._handlers)
        return sum(self._run_safely(conversation) for conversation in due)

    def run(self, due: Conversation, also: Change = lambda connection: None) -> bool:
        """Run the deadline of a conversation, whether it has come or not; returns whether it ran.

        It does not where another was quicker at the conversation. `also` is written with its effects. Raises what the
        handler and the store raise, and GivenUp where it took too long.
        """
        handler = self._handlers[due.key.handler]
        now = self._clock.now()
        claimed = self._store.claim_conversation(due, now + self._put_off, now)
        if claimed is None:
            return False
        work = self._store.work(now)
        try:
            found = work.conversation(due.key)
            if found.version != claimed.version:
                return False
            found = replace(found, deadline=due.deadline)
            run_apart(lambda: self._call(handler, found, work), self._limit, work.abandon, self._returned)
            work.keep()
            work.commit([], [], "", "", also)
        except Clash:
            return False
        except GivenUp:
            self.abandoned += 1
            raise
        finally:
            work.close()
        if work.kept.letters:
            self._letters_ready()
        return True

    def _run_safely(self, due: Conversation) -> bool:
        name = due.key.handler
        try:
            return self.run(due)
        except GivenUp:
            log.error("handler=%s: the timer of %s runs again in %s", name, due.key, self._put_off)
        except BaseException as error:
            if is_store_failure(error) or isinstance(error, KeyboardInterrupt):
                raise
            log.exception("handler=%s: the timer of %s failed; it runs again in %s", name, due.key, self._put_off)
        return False

    def _returned(self) -> None:
        self.abandoned -= 1

    def _call(self, handler: Handler, found: Conversation, work: Work) -> None:
        now = self._clock.now()
        around = Surroundings(
            work, self._store.ledger, self._tokens, now, self._settings.service.hostname,
            self._settings.filter.held_expiry, self._settings.domains.owned,
        )  # fmt: skip
        limit = handler.timeouts.get(found.state)
        if limit is None:
            log.warning(
                "handler=%s: the state %s has no @timeout any more; its deadline is dropped", handler.name, found.state
            )
            work.effects.moves[found.key] = replace(found, deadline=None)
            return
        timer = Timer(Run(around, handler, dict(found.blanks), found.key, found.state), found)
        function = limit.function
        try:
            returned = function(timer, **arguments(function, {}, handler.options))
        except Verdict as verdict:
            returned = verdict
        to, verdict_ = answer(handler, returned)
        if verdict_ is not None:
            raise HandlerError(f"{handler.name}.{function.__name__} is a timer: it returns a state, not {verdict_!r}")
        after = replace(found, deadline=None) if to is None else moved(handler, found, to, found.blanks, now)
        work.effects.moves.setdefault(found.key, after)
