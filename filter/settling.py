"""Settling: from what Postfix said of the results to the answer at the door.

After the receipts are written nothing undoes the effects: a result that Postfix refuses for good is
held, and the door says 250. Without receipts such a refusal is a Reject like a handler's. Over SMTP
there is one reply for all: any 4xx defers, and whoever is settled already is not rerun.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from .clock import Clock
from .decision import Decision, Outcome
from .effects import Held
from .journal import journal
from .letters import Letter
from .receipt import Fate, Receipt
from .refusals import Refusals, one_reply
from .store import Store, is_store_failure
from .verdict import DISCARDED, HANDLED, HANDLER_FAILED, HELD, OK, SOME_DEFERRED, STORE_FAILED, Reply

log = logging.getLogger("penstock")


@dataclass(slots=True)
class _Record:
    """What has to be written down."""

    receipts: list[Receipt] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.receipts or self.held or self.letters)


class Settling:
    """Steps (d) and (e) of the acknowledgement contract."""

    def __init__(self, store: Store, refusals: Refusals, clock: Clock, letters_ready: Callable[[], None]) -> None:
        self._store = store
        self._refusals = refusals
        self._clock = clock
        self._letters_ready = letters_ready

    def settle(self, decision: Decision, results: Sequence[Sequence[Reply]]) -> list[Reply]:
        """Record what became of the groups; returns the answers, per recipient in RCPT order or one for all."""
        record = _Record()
        for keys, replies in zip(decision.members, results, strict=True):
            for key, reply in zip(keys, replies, strict=True):
                self._result(decision, key, reply, record)
        if not decision.arrival.replies_each:
            self._notices_safely(decision, record)
        saved = self._save(decision, record)
        replies_by_key = {key: _answer(outcome, saved=saved) for key, outcome in decision.outcomes.items()}
        answers = [replies_by_key[key] for key in decision.order]
        if not decision.arrival.replies_each:
            answers = [_one_answer(answers)]
        journal(decision, answers)
        return answers

    def _result(self, decision: Decision, key: str, reply: Reply, record: _Record) -> None:
        outcome = decision.outcomes[key]
        has_receipt = outcome.fate is Fate.READY
        outcome.reply = reply
        if reply.is_ok:
            outcome.fate = Fate.SENT
        elif not reply.is_permanent:
            return
        elif has_receipt:
            log.error("Postfix refused a result whose effects are done; it is held: %s", reply)
            outcome.settled = False
            outcome.end(Fate.HELD, "penstock", reply=reply, reason=f"Postfix refused the result: {reply}")
            record.held += self._hold_result(decision, outcome)
        else:
            outcome.end(Fate.REJECTED, "penstock", reply=reply)
            self._refusals.apply(decision.arrival, outcome)
            record.held += self._refusals.held(decision.arrival, [outcome])
        if has_receipt:
            record.receipts.append(replace(outcome.receipt(key), edits=()))

    def _hold_result(self, decision: Decision, outcome: Outcome) -> list[Held]:
        found = self._refusals.held(decision.arrival, [outcome])
        return [replace(held, message=outcome.message, attempts=1, done=True) for held in found]

    def _notices_safely(self, decision: Decision, record: _Record) -> None:
        """Whatever is wrong with a notice, what went out must be recorded, or it goes out again with every try."""
        try:
            self._notices(decision, record)
        except Exception:
            log.exception("the sender <%s> could not be told of a refusal", decision.arrival.envelope.reverse_path)

    def _notices(self, decision: Decision, record: _Record) -> None:
        """Tell the sender by letter of refusals that the one reply cannot tell, once nothing is deferred any more."""
        outcomes = decision.outcomes
        refused = {key: o for key, o in outcomes.items() if o.fate is Fate.REJECTED}
        if not refused or len(refused) == len(outcomes):
            return
        if any(_answer(outcome, saved=True).is_temporary for outcome in outcomes.values()):
            return
        untold = {key: o for key, o in refused.items() if not o.noticed}
        if letter := self._refusals.notice(decision.arrival, untold.values(), "failed"):
            record.letters.append(letter)
        for key, outcome in untold.items():
            outcome.noticed = True
            record.receipts.append(outcome.receipt(key))

    def _save(self, decision: Decision, record: _Record) -> bool:
        if not record:
            return True
        try:
            self._store.settle(
                decision.arrival_key, decision.digest, record.receipts, now=self._clock.now(),
                held_=record.held, letters=record.letters,
            )  # fmt: skip
        except Exception as error:
            if is_store_failure(error):
                log.error("the store failed: %s", error)
            else:
                log.exception("what became of the results could not be recorded")
            return False
        if record.letters:
            self._letters_ready()
        return True


def _answer(outcome: Outcome, *, saved: bool) -> Reply:
    """The reply for one recipient. What went out stays out, marked or not; what could not be kept is deferred."""
    match outcome.fate:
        case Fate.SENT:
            return OK if outcome.reply is None else outcome.reply
        case Fate.CONSUMED:
            return HANDLED
        case Fate.DISCARDED:
            return DISCARDED
        case Fate.HELD:
            return HELD if saved else STORE_FAILED
        case Fate.REJECTED if outcome.noticed:
            return HANDLED if saved else STORE_FAILED
        case _:
            return outcome.reply or HANDLER_FAILED


def _one_answer(answers: Sequence[Reply]) -> Reply:
    deferred = [reply for reply in answers if reply.is_temporary]
    refused = [reply for reply in answers if reply.is_permanent]
    if deferred:
        return deferred[0] if len(deferred) == len(answers) else SOME_DEFERRED
    if len(refused) == len(answers):
        return one_reply(refused)
    return next(reply for reply in answers if reply.is_ok)
