"""The pipeline: one mail object in, one decision out.

A door hands over a mail object; the pipeline finds the routes, each handler runs in its state on a
Mail, verdicts, edits and letters are collected, one transaction commits state, letters and receipts;
the door takes the result back to Postfix, and the pipeline settles what became of it into the answer.

The order is the acknowledgement contract:

    decide   (a) the handlers run; recipients with a receipt are settled already, and run nothing
             (b) one transaction: state, letters, held copies, and a receipt `ready` with the result
    the door (c) reinjects each group
    settle   (d) marks `sent`, (e) answers

A message without effects and with one result has no (b) and (d): Postfix itself is its queue. Nothing
after (b) undoes an effect: a 4xx or a lost connection is 451, and Postfix's next try finds `ready` and
is reinjected without running handlers; a 5xx holds the result, with an alarm in the log.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .arrival import Arrival
from .before import Before, Foreseen
from .clock import Clock
from .config import Settings
from .decision import Decision, Outcome, replayed, undecided
from .effects import Effects, Held
from .envelope import Envelope, Recipient
from .judgement import Judgement, Wants
from .receipt import WHOLE, Fate, message_digest
from .refusals import Refusals
from .routing import Routers
from .run import Surroundings
from .runs import Runs
from .settling import Settling
from .store import Clash, LedgerDraft, Store, Work, is_store_failure
from .tally import MESSAGES
from .tokens import Tokens
from .verdict import HANDLER_TOO_SLOW, STORE_BUSY, STORE_FAILED, Discard, Reply
from .watch import Watch

log = logging.getLogger("penstock")

TRIES = 5
"""How often a decision is made anew when another changed what it was made on."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would happen to a message: the outcomes, and the effects that were not kept."""

    decision: Decision
    effects: Effects
    held: list[Held]


class Pipeline:
    """Handlers, store and settings, ready for mail. Thread-safe."""

    def __init__(
        self, routers: Routers, store: Store, settings: Settings, *, clock: Clock | None = None,
        letters_ready: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """`letters_ready` is called after each commit that put letters into the outbox."""
        self.router = routers.filter
        self.store = store
        self.settings = settings
        self.clock = clock or Clock()
        self.tokens = Tokens(store.secret())
        self._letters_ready = letters_ready
        self._refusals = Refusals(settings, self.clock)
        self._settling = Settling(store, self._refusals, self.clock, letters_ready)
        self._watch = Watch()
        self._before = Before(routers, store, settings, self.clock, self.tokens, self._watch)

    def recipient(self, envelope: Envelope, recipient: Recipient) -> Reply | None:
        """At RCPT behind the queue: the reply that refuses this recipient, or None."""
        return self.router.refuse(recipient.address)

    @property
    def wants(self) -> Wants:
        """What the handlers before the queue use."""
        return self._before.wants

    def at_rcpt(self, envelope: Envelope, recipient: Recipient) -> Reply | Discard | None:
        """At RCPT before the queue: the reply that refuses this recipient, or Discard to drop it, or None."""
        return self._before.at_rcpt(envelope, recipient)

    def judge(self, arrival: Arrival, give_up: Callable[[Reply], None] = lambda reply: None) -> Judgement:
        """At the end of a message before the queue: what becomes of it. Nothing of it is kept but counts.

        When a handler is over its time limit `give_up` is called, from another thread, with the reply, and
        GivenUp is raised when the handler returns at last.
        """
        return self._before.judge(arrival, give_up)

    def decide(self, arrival: Arrival, give_up: Callable[[Reply], None] = lambda reply: None) -> Decision:
        """Run the handlers and commit what they did. A store that fails is a 451 for whom it concerns.

        When a handler is over its time limit `give_up` is called, from another thread, with the reply for
        all recipients, and GivenUp is raised when the handler returns at last.
        """
        MESSAGES.add()
        started = time.perf_counter()
        decision = undecided(arrival)
        try:
            self._recall(decision)
            self._decide(decision, give_up)
        except Exception as error:
            if not is_store_failure(error):
                raise
            log.error("the store failed: %s", error)
            decision.defer(STORE_FAILED)
        decision.group()
        decision.seconds = time.perf_counter() - started
        return decision

    def settle(self, decision: Decision, results: Sequence[Sequence[Reply]]) -> Sequence[Reply]:
        """Record what became of the groups, and answer: per recipient in RCPT order, or once for all."""
        return self._settling.settle(decision, results)

    def explain_before(self, arrival: Arrival) -> Foreseen:
        """What would happen to a message before the queue. Nothing is kept, not even in the ledger."""
        return self._before.explain(arrival)

    def explain(self, arrival: Arrival) -> Explanation:
        """What would happen to a message behind the queue. Nothing is kept, not even in the ledger."""
        decision = undecided(arrival)
        work = self.store.work(self.clock.now())
        try:
            decision.take(*self._run(decision, work, dry=True))
            self._end(decision)
            effects = work.kept
        finally:
            work.close()
        decision.group()
        held = self._refusals.held(arrival, decision.outcomes.values())
        return Explanation(decision, effects, [*held, *effects.held])

    @property
    def abandoned(self) -> int:
        """How many runs were given up and have not ended: each keeps a thread."""
        return self._watch.abandoned

    def close(self) -> None:
        """Watch no more."""
        self._watch.close()

    def _recall(self, decision: Decision) -> None:
        """Settle whom a receipt speaks of: it binds, whatever code or configuration came since."""
        if not self.store.has_receipts(decision.arrival_key):
            return
        message = decision.arrival.message
        decision.digest = message_digest(message)
        for key, receipt in self.store.receipts(decision.arrival_key, decision.digest).items():
            decision.ready = True
            if key == WHOLE:
                decision.whole = replayed(message, None, receipt)
            elif key in decision.outcomes:
                decision.outcomes[key] = replayed(message, decision.outcomes[key].recipient, receipt)

    def _decide(self, decision: Decision, give_up: Callable[[Reply], None]) -> None:
        work: Work | None = None
        for attempt in range(TRIES):
            work = self.store.work(self.clock.now(), after=work)
            try:
                self._try(decision, work, give_up)
                return
            except Clash as clash:
                log.info("decided anew: %s", clash)
                work.close()
                time.sleep(random.uniform(0, 0.02) * 2**attempt)
                decision.forget()
                self._recall(decision)  # the other may have had the same message
            finally:
                work.close()
        decision.defer(STORE_BUSY)

    def _try(self, decision: Decision, work: Work, give_up: Callable[[Reply], None]) -> None:
        todo = decision.todo
        if not todo:
            return
        if decision.passes > self.settings.domains.max_hops:
            reason = (
                f"a loop: it came in by SMTP {decision.passes} times; does [filter] reinject lead to the filter again?"
            )
            for outcome in todo.values():
                outcome.end(Fate.HELD, "penstock", reason=reason)
        elif self.router.concerns(o.recipient.address for o in todo.values() if o.recipient):
            limit = self.settings.service.handler_time_limit.total_seconds()

            def late() -> None:
                try:
                    work.abandon()
                finally:
                    give_up(HANDLER_TOO_SLOW)

            decision.take(*self._watch.run(lambda: self._run(decision, work), limit, late))
            _raise_clash(decision, work)
            self._end(decision)
        self._commit(decision, work)

    def _run(self, decision: Decision, work: Work, *, dry: bool = False) -> tuple[Outcome, dict[str, Outcome]]:
        """Run what is to be run. The decision is only read: an abandoned run must not change it any more."""
        around = Surroundings(
            work, LedgerDraft(self.store.ledger) if dry else self.store.ledger, self.tokens, self.clock.now(),
            self.settings.service.hostname, self.settings.filter.held_expiry, self.settings.domains.owned, dry,
        )  # fmt: skip
        runs = Runs(self.router, decision.arrival, work, around, self.settings.domains.max_hops)
        whole = decision.whole or runs.whole()
        return whole, runs.recipients(decision.todo, whole)

    def _end(self, decision: Decision) -> None:
        """Turn failures that came too often, and refusals that may not be told, into held mail."""
        for key, outcome in decision.todo.items():
            if self._gave_up(decision, key, outcome):
                assert outcome.failure is not None
                outcome.attempts = self.settings.service.max_attempts
                outcome.end(Fate.HELD, outcome.handler, reason=f"the handler failed: {outcome.failure.error}")
            self._refusals.apply(decision.arrival, outcome)

    def _gave_up(self, decision: Decision, key: str, outcome: Outcome) -> bool:
        if outcome.failure is None or not outcome.failure.counts:
            return False
        before = self.store.attempts(decision.arrival_key, key, outcome.handler)
        return before + 1 >= self.settings.service.max_attempts

    def _commit(self, decision: Decision, work: Work) -> None:
        """Step (b). Raises Clash, and what the database raises; then nothing is kept."""
        if decision.passes_whole and not work.has_effects:
            return                                 # as most mail: Postfix itself is its queue
        kept = {key: o for key, o in decision.todo.items() if o.fate is not Fate.DEFERRED}
        held = self._refusals.held(decision.arrival, kept.values())
        consumed = [outcome for outcome in kept.values() if outcome.fate is Fate.CONSUMED]
        if letter := self._refusals.notice(decision.arrival, consumed, "delivered"):
            work.effects.letters.append(letter)
            work.keep()
        if kept and (held or work.has_effects or _needs_receipts(decision)):
            decision.digest = decision.digest or message_digest(decision.arrival.message)
            receipts = [outcome.receipt(key) for key, outcome in kept.items()]
            if decision.whole is not None and not decision.whole.settled and decision.whole.fate is not Fate.DEFERRED:
                receipts.append(decision.whole.receipt(WHOLE))
            work.commit(receipts, held, decision.arrival_key, decision.digest)
            decision.ready = True
            for outcome in kept.values():
                outcome.fate = Fate.READY if outcome.fate is Fate.PASSES else outcome.fate
            if work.kept.letters:
                self._letters_ready()
        work.close()
        self._report_failures(decision)

    def _report_failures(self, decision: Decision) -> None:
        for key, outcome in decision.todo.items():
            if outcome.failure is None:
                continue
            log.error(
                "handler=%s failed on message_id=%s recipient=%s: %s\n%s", outcome.handler,
                decision.arrival.message["Message-ID"], outcome.recipient and outcome.recipient.address,
                outcome.failure.error, outcome.failure.traceback,
            )  # fmt: skip
            if outcome.failure.counts and outcome.fate is Fate.DEFERRED:
                self.store.count_attempt(decision.arrival_key, key, outcome.handler, self.clock.now())


def _raise_clash(decision: Decision, work: Work) -> None:
    """Raises Clash where a run failed because it met another's transaction within `mail.db`."""
    for outcome in decision.todo.values():
        if outcome.failure is not None and work.is_clash(outcome.failure.exception):
            raise Clash(outcome.failure.error)


def _needs_receipts(decision: Decision) -> bool:
    """Without effects, receipts are for results of which some may go out and others not."""
    several = len(decision.outcomes) > 1
    return decision.ready or (several and (not decision.arrival.replies_each or len(decision.results) > 1))
