"""Running the handlers over one arrival: first on the message as a whole, then for each recipient.

A recipient's copy goes through the stateless functions that match, in configured order, and then to
the stateful handler that owns the recipient, if there is one. The first verdict other than Accept ends
the matter. Each recipient is a scope of its own in the unit of work: kept as a whole or dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .arrival import Arrival
from .decision import Failure, Outcome, Step, as_whole
from .effects import Conversation
from .envelope import Envelope, Recipient
from .guard import automatic, hops
from .handler import START, Handler, arguments
from .machine import HandlerError, StateGone, answer, answering, moved
from .mail import Mail, conversation_key
from .receipt import Fate
from .routing import Passage, Router, Taker
from .run import Run, Scopes, Surroundings
from .store import is_clash, is_store_failure
from .verdict import (
    HANDLER_FAILED,
    NOT_IN_THIS_STATE,
    STORE_FAILED,
    Accept,
    Defer,
    Discard,
    Hold,
    Reject,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Runs:
    """All runs of one decision."""

    router: Router
    arrival: Arrival
    work: Scopes
    around: Surroundings
    max_hops: int

    def whole(self) -> Outcome:
        """Run the message-level functions, on one copy for all recipients."""
        outcome = Outcome(None, self.arrival.message.copy() if self.router.whole else self.arrival.message)
        if hops(self.arrival.message) > self.max_hops:
            return outcome.end(Fate.HELD, "penstock", reason=f"a loop: it came back more than {self.max_hops} times")
        return self._scope(outcome, lambda: self._pass(outcome, self.arrival.envelope, self.router.whole))

    def recipients(self, todo: Mapping[str, Outcome], whole: Outcome) -> dict[str, Outcome]:
        """Run what concerns each recipient, unless what the message-level functions came to ends the matter for all."""
        outcomes = {}
        for key, outcome in todo.items():
            assert outcome.recipient is not None
            passes = whole.fate is Fate.PASSES
            outcomes[key] = self.recipient(outcome.recipient, whole) if passes else as_whole(whole, outcome.recipient)
        return outcomes

    def recipient(self, recipient: Recipient, base: Outcome) -> Outcome:
        """Run what concerns one recipient, on a copy of what the message-level functions left."""
        way = self.router.way(recipient.address)
        message = base.message.copy() if way.passages or way.taker else base.message
        outcome = Outcome(recipient, message, results=dict(base.results), edited_by=[*base.edited_by])
        envelope = self.arrival.envelope.to(recipient)

        def run() -> None:
            self._pass(outcome, envelope, way.passages)
            if way.taker is not None and outcome.fate is Fate.PASSES:
                self._state(outcome, envelope, way.taker)
            if outcome.fate is Fate.PASSES and way.is_ours:
                raise HandlerError(f"{recipient.address} is in a domain of ours: accepted, it has nowhere to go")

        return self._scope(outcome, run)

    def _scope(self, outcome: Outcome, run: Callable[[], None]) -> Outcome:
        try:
            run()
            if outcome.fate is Fate.DEFERRED:
                self.work.drop()
            else:
                self.work.keep()
            if outcome.fate is Fate.PASSES:
                outcome.handler = ""  # nobody decided anything
        except BaseException as error:  # whatever a handler raises, SystemExit too: the worker goes on
            self.work.drop()
            _fail(outcome, error)
        return outcome

    def _pass(self, outcome: Outcome, envelope: Envelope, passages: Iterable[Passage]) -> None:
        for passage in passages:
            handler, function = passage.handler, passage.stateless.function
            outcome.handler = handler.name
            run = Run(self.around, handler, dict(passage.blanks))
            mail = Mail(run, envelope, outcome.message, outcome.results)
            edits = outcome.message.edits
            moves, verdict = _call(handler, function, mail, passage.blanks)
            edited = outcome.message.edits is not edits and outcome.message.edits != edits
            if edited:
                outcome.edited_by.append(handler.name)
            if moves is not None:
                raise HandlerError(f"{handler.name}.{function.__name__} is stateless, but returned the state {moves}")
            outcome.steps.append(_step(handler, function, outcome, None, None, verdict, "edit" if edited else "pass"))
            if _decide(outcome, handler, verdict):
                return

    def _state(self, outcome: Outcome, envelope: Envelope, taker: Taker) -> None:
        handler, blanks = taker.handler, taker.reading.blanks
        outcome.handler = handler.name
        unkeyed = Mail(Run(self.around, handler, blanks), envelope, outcome.message, outcome.results)
        key = conversation_key(handler, unkeyed, blanks)
        before = self.work.conversation(key) if key is not None else None
        state = before.state if before else START
        route = answering(handler, taker.reading, state)
        if reason := _unwanted(
            outcome, envelope, bounces=bool(route and route.bounces), automatic_=bool(route and route.automatic)
        ):
            outcome.steps.append(Step(handler.name, "", _address(outcome), state, state, f"discard: {reason}"))
            outcome.end(Fate.DISCARDED, handler.name, reason=reason)
            return
        mail = Mail(Run(self.around, handler, blanks, key, state), envelope, outcome.message, outcome.results)
        function = route.function if route else handler.otherwise or _default_otherwise
        to, verdict = _call(handler, function, mail, blanks)
        if to is not None and not isinstance(verdict, Defer):
            self._move(handler, before, to, blanks, mail)
        outcome.steps.append(_step(handler, function, outcome, state, to or state, verdict, "consume"))
        if not _decide(outcome, handler, verdict) and not isinstance(verdict, Accept):
            outcome.end(Fate.CONSUMED, handler.name)

    def _move(
        self, handler: Handler, before: Conversation | None, to: str, blanks: Mapping[str, str], mail: Mail
    ) -> None:
        if before is not None:
            self.work.effects.moves[before.key] = moved(handler, before, to, blanks, mail.now)
        elif to != START:
            raise HandlerError(
                f"{handler.name} returned the state {to}, but this mail has no conversation "
                "(STATE_KEY or SENDER_KEY said none yet, or the reverse-path is null); use mail.move(STATE, key)"
            )


def _call(
    handler: Handler, function: Callable[..., Any], mail: Mail, blanks: Mapping[str, str]
) -> tuple[str | None, Verdict | None]:
    try:
        returned = function(mail, **arguments(function, blanks, handler.options))
    except Verdict as verdict:
        returned = verdict
    return answer(handler, returned)


def _decide(outcome: Outcome, handler: Handler, verdict: Verdict | None) -> bool:
    """Apply a verdict; whether it ended the matter."""
    match verdict:
        case Reject():
            outcome.end(Fate.REJECTED, handler.name, reply=verdict.reply)
        case Defer():
            outcome.end(Fate.DEFERRED, handler.name, reply=verdict.reply)
        case Discard():
            outcome.end(Fate.DISCARDED, handler.name, reason=verdict.reason)
        case Hold():
            outcome.end(Fate.HELD, handler.name, reason=verdict.reason)
        case _:
            return False
    return True


def _unwanted(outcome: Outcome, envelope: Envelope, *, bounces: bool, automatic_: bool) -> str | None:
    if envelope.is_null:
        return None if bounces else "a bounce, which the route does not take"
    if automatic_:
        return None
    reason = automatic(outcome.message, envelope.reverse_path)
    return f"automatic mail ({reason}), which the route does not take" if reason else None


def _fail(outcome: Outcome, error: BaseException) -> None:
    store = is_store_failure(error) or is_clash(error)
    counts = not store and not isinstance(error, OSError | StateGone)
    outcome.failure = Failure(outcome.handler, error, counts)
    outcome.end(Fate.DEFERRED, outcome.handler, reply=STORE_FAILED if store else HANDLER_FAILED)


def _default_otherwise(mail: Mail) -> None:
    raise Reject(NOT_IN_THIS_STATE.code, NOT_IN_THIS_STATE.status or "5.7.1", NOT_IN_THIS_STATE.text)


def _step(
    handler: Handler, function: Callable[..., Any], outcome: Outcome, before: str | None, after: str | None,
    verdict: Verdict | None, default: str,
) -> Step:  # fmt: skip
    name = "otherwise" if function is _default_otherwise else function.__name__
    return Step(handler.name, name, _address(outcome), before, after, str(verdict) if verdict else default)


def _address(outcome: Outcome) -> str:
    return outcome.recipient.address if outcome.recipient else ""
