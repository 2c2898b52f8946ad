"""Releasing held mail through the handlers: they run over it again, as if it had just come.

What they do is committed in the transaction that takes the mail out of the held store and puts what is to go on into
the outbox. Recipients that are held, refused or deferred again stay held, with the new reason; whoever releases is a
person, who is told, so nobody is sent a refusal. A handler that fails counts as another attempt.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .arrival import Arrival
from .clock import Clock
from .config import Settings
from .decision import Decision, Outcome, undecided
from .envelope import Envelope
from .receipt import Fate
from .refusals import Refusals
from .routing import Router
from .run import Surroundings
from .runs import Runs
from .store import Clash, Custody, KeptMail, Remainder, Store, Which, Work
from .tokens import Tokens
from .watch import GivenUp, run_apart

TRIES: Final = 5
"""How often handlers run anew when another changed what they decided on."""

_GO: Final = (Fate.PASSES, Fate.CONSUMED, Fate.DISCARDED)


@dataclass(frozen=True, slots=True)
class Released:
    """What a release came to: what became of the recipients that are gone, and why others stay."""

    gone: Mapping[str, str]
    staying: Mapping[str, str]


class Releasing:
    """The handlers behind the queue, ready for held mail."""

    def __init__(self, router: Router, store: Store, settings: Settings, clock: Clock) -> None:
        self._router = router
        self._store = store
        self._settings = settings
        self._clock = clock
        self._tokens = Tokens(store.secret())
        self._refusals = Refusals(settings, clock)

    def release(self, custody: Custody, mail: KeptMail, envelope: Envelope) -> Released:
        """Run the handlers over held mail for the recipients of `envelope`; for others than its own all go, or none.

        Raises Clash where another has released it or is busy with the same conversation, and what the store raises.
        """
        message = custody.message(mail.content)
        arrival = Arrival(envelope, message, "held", self._settings.service.hostname, replies_each=True)
        work: Work | None = None
        for attempt in range(TRIES):
            work = self._store.work(self._clock.now(), after=work)
            try:
                return self._try(custody, mail, undecided(arrival), work)
            except Clash:
                if attempt + 1 == TRIES or custody.held(Which(numbers=(mail.number,))) != [mail]:
                    raise
            finally:
                work.close()
            time.sleep(random.uniform(0, 0.02) * 2**attempt)
        raise AssertionError("unreachable")

    def _try(self, custody: Custody, mail: KeptMail, decision: Decision, work: Work) -> Released:
        limit = self._settings.service.handler_time_limit
        try:
            outcomes = run_apart(lambda: self._run(decision, work), limit.total_seconds(), work.abandon)
        except GivenUp:
            late = f"a handler was still running after {limit.total_seconds():g} s"
            return Released({}, {recipient.address: late for recipient in decision.arrival.envelope.recipients})
        for outcome in outcomes.values():
            if outcome.failure is not None and work.is_clash(outcome.failure.exception):
                raise Clash(outcome.failure.error)
        decision.outcomes.update(outcomes)
        decision.group()
        left = _left([o for o in outcomes.values() if o.fate not in _GO])
        found = _told(outcomes)
        if left is not None and decision.arrival.envelope != mail.envelope:
            return Released({}, found.staying)
        consumed = [outcome for outcome in outcomes.values() if outcome.fate is Fate.CONSUMED]
        if letter := self._refusals.notice(decision.arrival, consumed, "delivered"):
            work.effects.letters.append(letter)
            work.keep()
        work.commit([], [], "", "", custody.released(mail, decision.groups, left))
        return found

    def _run(self, decision: Decision, work: Work) -> dict[str, Outcome]:
        settings = self._settings
        around = Surroundings(
            work, self._store.ledger, self._tokens, self._clock.now(), settings.service.hostname,
            settings.filter.held_expiry, settings.domains.owned,
        )  # fmt: skip
        runs = Runs(self._router, decision.arrival, work, around, settings.domains.max_hops)
        return runs.recipients(decision.todo, runs.whole())


def _left(staying: Sequence[Outcome]) -> Remainder | None:
    if not staying:
        return None
    failed = [outcome.failure for outcome in staying if outcome.failure]
    return Remainder(
        recipients=tuple(outcome.recipient for outcome in staying if outcome.recipient),
        handler=staying[0].handler,
        reason="; ".join(dict.fromkeys(_why(outcome) for outcome in staying)),
        traceback=failed[0].traceback if failed else None,
        attempts=int(any(failure.counts for failure in failed)),
    )


def _told(outcomes: Mapping[str, Outcome]) -> Released:
    gone, staying = {}, {}
    for outcome in outcomes.values():
        assert outcome.recipient is not None
        if outcome.fate not in _GO:
            staying[outcome.recipient.address] = _why(outcome)
        elif outcome.fate is Fate.PASSES:
            gone[outcome.recipient.address] = "passed on"
        else:
            gone[outcome.recipient.address] = f"{outcome.fate} by {outcome.handler}"
    return Released(gone, staying)


def _why(outcome: Outcome) -> str:
    if outcome.failure is not None:
        return f"the handler {outcome.handler} failed: {outcome.failure.error}"
    if outcome.fate is Fate.HELD:
        return f"{outcome.handler} holds it: {outcome.reason}"
    return f"{outcome.handler} refuses it: {outcome.reply}"
