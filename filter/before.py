"""Judging before the queue: what the milter asks of the core.

A milter cannot know that Postfix has queued: a later milter may refuse, the client may vanish, and the retry comes
under a new queue id. So nothing is kept here, by construction, but counts in the ledger:

* A handler that stands here *alone* runs in full, and has nothing that it could keep anything in.
* A handler that stands behind the queue too is *previewed*, as it will run there: in the port's order and by its
  routes, on what those who stand here alone have left. If it refuses the message for all, that is told here; whatever
  else it does is undone, and done for real behind the queue. So no handler is applied twice.

What previews write into the ledger is written if they refuse the message, which the port then never sees, and is
else dropped, since the port counts it. A preview that fails is no refusal: the port has the tries, and the hold.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

from .arrival import Arrival
from .clock import Clock
from .config import Settings
from .decision import Failure, Outcome, as_whole
from .docket import decided_at_rcpt, judged
from .effects import Conversation, Effects, Key, Pending
from .envelope import Envelope, Recipient
from .guard import MOST_HOPS
from .handler import Handler, arguments
from .judgement import Judgement, Wants, foretold, judgement
from .machine import HandlerError, answer
from .mail import Rcpt
from .receipt import Fate
from .routing import Router, Routers
from .run import Scopes, Surroundings
from .runs import Runs
from .store import Book, LedgerDraft, Session, Store, is_store_failure
from .tally import MESSAGES
from .tokens import Tokens
from .verdict import HANDLER_FAILED, HANDLER_TOO_SLOW, STORE_FAILED, Accept, Defer, Discard, Reject, Reply, Verdict
from .watch import Watch

log = logging.getLogger("penstock")


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would become of a message: for whom it is refused or dropped at RCPT, and what the others come to."""

    at_rcpt: Mapping[Recipient, Reply | Discard]
    judgement: Judgement


class Before:
    """The handlers of the milter, ready for mail. Thread-safe."""

    def __init__(
        self, routers: Routers, store: Store, settings: Settings, clock: Clock, tokens: Tokens, watch: Watch
    ) -> None:
        self.wants = wants(routers)
        self._routers = routers
        self._at_rcpt = [(handler, function) for handler in routers.milter.handlers for function in handler.at_rcpt]
        self._store = store
        self._settings = settings
        self._clock = clock
        self._tokens = tokens
        self._watch = watch
        self._limit = settings.service.handler_time_limit.total_seconds()

    def at_rcpt(self, envelope: Envelope, recipient: Recipient) -> Reply | Discard | None:
        """The first refusal or Discard for this recipient; 451 for a handler or a store that fails."""
        decided = self._ask(envelope, recipient, self._store.ledger)
        if decided is None:
            return None
        decided_at_rcpt(envelope, recipient, *decided)
        return decided[1]

    def judge(self, arrival: Arrival, give_up: Callable[[Reply], None]) -> Judgement:
        """What becomes of a message; 451 for a handler or a store that fails.

        Raises GivenUp, after `give_up` was called, for a handler that is too slow.
        """
        MESSAGES.add()
        if not self.wants.header:
            return Judgement(arrival.message, arrival.envelope, discard=not arrival.envelope.recipients)
        started = time.perf_counter()
        work, draft = self._store.work(self._clock.now()), LedgerDraft(self._store.ledger)

        def late() -> None:
            try:
                work.abandon()
            finally:
                give_up(HANDLER_TOO_SLOW)

        try:
            found = self._watch.run(lambda: self._judged(arrival, self._store.ledger, work, draft), self._limit, late)
        finally:
            work.close()
        if found.reply is not None:
            found = _counted(found, draft)
        judged(arrival, found, time.perf_counter() - started)
        return found

    def explain(self, arrival: Arrival) -> Foreseen:
        """What would become of a message, from RCPT on. Nothing is kept, not even counts."""
        envelope = arrival.envelope
        work, draft = self._store.work(self._clock.now()), LedgerDraft(self._store.ledger)
        asked = {recipient: self._ask(envelope, recipient, draft) for recipient in envelope.recipients}
        taken = envelope.to(*(recipient for recipient, answer in asked.items() if answer is None))
        try:
            judgement = self._judged(replace(arrival, envelope=taken), draft, work, draft)
        finally:
            work.close()
        return Foreseen({recipient: answer[1] for recipient, answer in asked.items() if answer}, judgement)

    def _ask(self, envelope: Envelope, recipient: Recipient, book: Book) -> tuple[str, Reply | Discard] | None:
        """The first who refuses or drops a recipient, and how; None where nobody does."""
        if refused := self._routers.filter.refuse(recipient.address):
            return "penstock", refused
        now = self._clock.now()
        for handler, function in self._at_rcpt:
            try:
                rcpt = Rcpt(envelope, recipient.address, book.page(handler.name, now), now)
                said = _answer_at_rcpt(handler, function, rcpt)
            except BaseException as error:  # whatever a handler raises, SystemExit too: the worker goes on
                log.exception("handler=%s failed at RCPT TO:<%s>", handler.name, recipient.address)
                said = STORE_FAILED if is_store_failure(error) else HANDLER_FAILED
            if said is not None:
                return handler.name, said
        return None

    def _judged(self, arrival: Arrival, book: Book, work: Scopes, draft: Book) -> Judgement:
        """Both rounds: those who stand here alone, with `book`; then previews, with `work` and `draft`."""
        outcomes = self._outcomes(self._routers.alone, arrival, _NOTHING, book)
        try:
            found = judgement(arrival, outcomes)
            self._check_body(found)
        except HandlerError as error:
            failed = Outcome(None, arrival.message, failure=Failure("penstock", error, counts=True))
            failed.end(Fate.DEFERRED, "penstock", reply=HANDLER_FAILED)
            found = Judgement(arrival.message, arrival.envelope, HANDLER_FAILED, outcomes=(*outcomes, failed))
        if _is_own_bounce(arrival):
            return self._unrefused(found)
        if not found.passes or not self._routers.previews.handlers:
            return found
        passed = replace(arrival, envelope=found.envelope, message=found.message)
        previews = self._outcomes(self._routers.previews, passed, work, draft, preview=True)
        return replace(found, reply=foretold(previews), previews=tuple(previews))

    def _outcomes(
        self, router: Router, arrival: Arrival, work: Scopes, book: Book, *, preview: bool = False
    ) -> list[Outcome]:
        """That of the message as a whole, and one for each recipient; none where no handler wants to see it."""
        recipients = dict.fromkeys(arrival.envelope.recipients)  # twins run once
        if not router.concerns(recipient.address for recipient in recipients):
            return []
        around = Surroundings(
            work, book, self._tokens, self._clock.now(), self._settings.service.hostname,
            self._settings.filter.held_expiry, self._settings.domains.owned, preview,
        )  # fmt: skip
        runs = Runs(router, arrival, work, around, self._settings.domains.max_hops if preview else MOST_HOPS)
        whole = runs.whole()
        each = runs.recipient if whole.fate is Fate.PASSES else lambda recipient, whole: as_whole(whole, recipient)
        return [whole, *(each(recipient, whole) for recipient in recipients)]

    def _check_body(self, found: Judgement) -> None:
        if not self.wants.body and any(edit.body for edit in found.message.edits):
            raise HandlerError("a function marked @stateless(body=False) changed the body, which was not sent to it")

    def _unrefused(self, found: Judgement) -> Judgement:
        """For a bounce of our own Postfix, which has nobody to refuse it to: what becomes of mail that may not be."""
        if found.reply is None:
            return found
        if found.reply.is_permanent and self._settings.filter.reject_unverified == "discard":
            return replace(found, reply=None, discard=True)
        return replace(found, reply=None, hold=f"refused ({found.reply}), but it is a bounce of our own Postfix")


def wants(routers: Routers) -> Wants:
    """What the handlers before the queue use."""
    handlers = (*routers.alone.handlers, *routers.previews.handlers)
    functions = [each for handler in handlers for each in handler.stateless]
    states = any(handler.routes for handler in routers.previews.handlers)
    return Wants(
        rcpt=bool(routers.filter.owned) or any(handler.at_rcpt for handler in routers.milter.handlers),
        header=states or bool(functions),
        body=states or any(each.body for each in functions),
    )


class _Nothing:
    """In place of the unit of work, for handlers that stand before the queue alone: whoever wants to keep something
    is told what to do, in the log."""

    @property
    def effects(self) -> Effects:
        _refuse()

    def conversation(self, key: Key) -> Conversation:
        _refuse()

    def pending(self, digest: str) -> Pending | None:
        _refuse()

    def session(self) -> Session:
        _refuse()

    def keep(self) -> None:
        """There is nothing."""

    def drop(self) -> None:
        """There is nothing."""


_NOTHING: Final = _Nothing()


def _refuse() -> NoReturn:
    raise HandlerError(
        "before the queue no letter, state, row or held copy can be kept, since nobody knows whether the message gets "
        "queued; name this handler in [filter] handlers too"
    )


def _answer_at_rcpt(handler: Handler, function: Callable[..., Any], rcpt: Rcpt) -> Reply | Discard | None:
    """What an `@at_rcpt` function decides; None goes on. Raises what the function raises.

    Raises HandlerError for an answer other than None, Accept, Reject, Defer and Discard.
    """
    try:
        returned = function(rcpt, **arguments(function, {}, handler.options))
    except Verdict as verdict:
        returned = verdict
    match answer(handler, returned):
        case (None, None | Accept()):
            return None
        case (None, Reject() | Defer() as refusal):
            return refusal.reply
        case (None, Discard() as discard):
            return discard
    raise HandlerError(
        f"{handler.name}.{function.__name__} returned {returned!r} at RCPT; it accepts, rejects, defers or discards"
    )


def _counted(found: Judgement, draft: LedgerDraft) -> Judgement:
    """The refusal, once what the previews counted is written: the port never sees the message."""
    try:
        draft.write()
    except Exception as error:
        if not is_store_failure(error):
            raise
        log.error("the store failed: %s", error)
        return replace(found, reply=STORE_FAILED)
    return found


def _is_own_bounce(arrival: Arrival) -> bool:
    """Postfix's own bounces come by no SMTP session, so that the door says LOCAL."""
    return arrival.envelope.is_null and arrival.envelope.client.source == "LOCAL"
