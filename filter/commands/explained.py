"""What would happen to a message, as plain values: what `penstock explain` shows and gives as JSON.

The pipeline explains, and keeps nothing. The answers come from the same code that answers at the door, with a
Postfix that takes every result and a store that writes nothing down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import starmap
from typing import Any, cast

from ..arrival import Arrival
from ..before import Foreseen
from ..decision import Decision, Outcome
from ..effects import Conversation, Held
from ..envelope import Recipient
from ..judgement import Judgement
from ..letters import Letter
from ..message import Edit, Message
from ..pipeline import Pipeline
from ..receipt import Fate
from ..refusals import Refusals
from ..routing import Router
from ..settling import Settling
from ..store import Store
from ..submission import Submission
from ..verdict import DISCARDED, HELD, OK, Discard, Reply
from ..verified import verified
from .difference import Hunk, hunks
from .tree import Branch, branches


@dataclass(frozen=True, slots=True)
class Match:
    """What an address matches: a stateless function that sees the message, or a handler that takes it by a pattern."""

    handler: str
    function: str | None
    pattern: str | None
    blanks: dict[str, str]


@dataclass(frozen=True, slots=True)
class Ran:
    """A function that ran, with the state of its conversation before and after, and its verdict.

    `door` is `milter`, `filter`, or `preview` for one that ran before the queue to tell what it does behind it.
    """

    handler: str
    function: str
    before: str | None
    after: str | None
    verdict: str
    door: str = "filter"


@dataclass(frozen=True, slots=True)
class Told:
    """What one recipient's copy would come to. `traceback` is of a handler that failed."""

    address: str
    matches: tuple[Match, ...]
    steps: tuple[Ran, ...]
    fate: str
    reason: str
    reply: str
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What would go back to Postfix for these recipients; without `edits` the message as it came."""

    recipients: tuple[str, ...]
    size: int
    edits: tuple[Edit, ...]
    hunks: tuple[Hunk, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """A conversation that would change its state, and the deadline that it then has."""

    handler: str
    sender: str
    resource: str
    before: str
    after: str
    deadline: datetime | None


@dataclass(frozen=True, slots=True)
class Written:
    """A letter that would be sent: its envelope, header fields decoded, texts decoded."""

    handler: str
    sender: str
    recipients: tuple[str, ...]
    verp: bool
    size: int
    headers: tuple[tuple[str, str], ...]
    plain: str | None
    html: str | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A copy that would be held for a person."""

    handler: str
    recipients: tuple[str, ...]
    reason: str
    expires: datetime | None


@dataclass(frozen=True, slots=True)
class Report:
    """All of it. `verified` says why a refusal would reach the sender; `one_reply` is the answer over SMTP.

    `parts` are the message's as it came, in their order; `defects` have a `start` in its octets and a `text`.
    `queued` is the message as the milter leaves it, None where nothing is queued or nobody stands before the queue;
    `results` go out behind it, with edits over that.
    """

    envelope: dict[str, Any]
    size: int
    parts: tuple[Branch, ...]
    defects: tuple[dict[str, Any], ...]
    verified: str | None
    recipients: tuple[Told, ...]
    whole: tuple[Ran, ...] = ()
    queued: Result | None = None
    results: tuple[Result, ...] = ()
    moves: tuple[Moved, ...] = ()
    letters: tuple[Written, ...] = ()
    held: tuple[Kept, ...] = ()
    one_reply: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """A plain form for JSON: times in ISO 8601, the data of edits in base64."""
        plain: dict[str, Any] = asdict(self)
        shown = [*zip(plain["results"], self.results, strict=True)]
        shown += [(plain["queued"], self.queued)] if self.queued else []
        for result, told in shown:
            result["edits"] = [edit.as_dict() for edit in told.edits]
        for dated, name in [*((m, "deadline") for m in plain["moves"]), *((h, "expires") for h in plain["held"])]:
            dated[name] = dated[name] and dated[name].isoformat()
        return plain


def explained(pipeline: Pipeline, arrival: Arrival) -> Report:
    """What would happen to a message before the queue and behind it. Nothing is kept."""
    envelope, message = arrival.envelope, arrival.message
    foreseen = pipeline.explain_before(arrival)
    judgement = foreseen.judgement
    report = Report(
        envelope=envelope.as_dict(),
        size=message.size,
        parts=branches(message),
        defects=tuple(defect._asdict() for defect in message.defects),
        verified=verified(envelope, message, arrival.peer, pipeline.settings.filter.authserv_ids),
        recipients=(*starmap(_told_at_rcpt, foreseen.at_rcpt.items()), *_told_before(pipeline, arrival, foreseen)),
        whole=_ran(*(outcome for outcome in judgement.outcomes if outcome.recipient is None), door="milter"),
    )
    if not judgement.passes:
        return report
    if pipeline.wants.header:
        report = replace(report, queued=_result(Submission(judgement.envelope, judgement.message)))
    queued = Message(bytes(judgement.message)) if judgement.message.edits else message
    return _tried(report, pipeline, replace(arrival, envelope=judgement.envelope, message=queued), judgement)


def _told_at_rcpt(recipient: Recipient, answer: Reply | Discard) -> Told:
    if isinstance(answer, Discard):
        return Told(recipient.address, (), (), str(Fate.DISCARDED), f"at RCPT: {answer.reason}", str(DISCARDED))
    return Told(recipient.address, (), (), "refused", "at RCPT", str(answer))


def _told_before(pipeline: Pipeline, arrival: Arrival, foreseen: Foreseen) -> Iterator[Told]:
    """What the milter decides for all that were taken at RCPT, or for those whom it drops."""
    judgement = foreseen.judgement
    for recipient, fate, ground in judgement.shares(arrival.envelope.recipients):
        if recipient not in foreseen.at_rcpt and fate is not Fate.PASSES:
            outcome = ground or Outcome(recipient, arrival.message)
            failed = f"{outcome.failure.handler} failed: {outcome.failure.error}" if outcome.failure else ""
            reason = f"before the queue: {judgement.hold or outcome.reason or failed}".removesuffix(": ")
            reply = judgement.reply or (HELD if fate is Fate.HELD else DISCARDED)
            door = "preview" if any(outcome is preview for preview in judgement.previews) else "milter"
            told = _told(pipeline.router, replace(outcome, recipient=recipient), str(fate), reply)
            yield replace(told, reason=reason, steps=_ran(outcome, door=door))


def _tried(report: Report, pipeline: Pipeline, arrival: Arrival, judgement: Judgement) -> Report:
    explanation = pipeline.explain(arrival)
    decision, effects = explanation.decision, explanation.effects
    fates = [str(decision.outcomes[key].fate) for key in decision.order]
    answers, notices = _answered(pipeline, decision)
    replies = answers if arrival.replies_each else answers * len(fates)
    outcomes = [decision.outcomes[key] for key in decision.order]
    told = [_told(pipeline.router, *each) for each in zip(outcomes, fates, replies, strict=True)]
    before = {outcome.recipient: _ran(outcome, door="milter") for outcome in judgement.outcomes}
    told = [
        replace(each, steps=(*before.get(outcome.recipient, ()), *each.steps))
        for each, outcome in zip(told, outcomes, strict=True)
    ]
    in_order = [recipient["address"] for recipient in report.envelope["recipients"]]
    return replace(
        report,
        whole=(*report.whole, *(_ran(decision.whole) if decision.whole else ())),
        recipients=tuple(sorted([*report.recipients, *told], key=lambda told: in_order.index(told.address))),
        results=tuple(_result(group) for group in decision.groups),
        moves=tuple(_moved(pipeline.store, conversation) for conversation in effects.moves.values()),
        letters=tuple(_written(letter) for letter in [*effects.letters, *notices]),
        held=tuple(_kept(mail) for mail in explanation.held),
        one_reply=None if arrival.replies_each else str(answers[0]),
    )


class _Unwritten:
    """In place of the store: takes what is settled, and writes nothing down."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []

    def settle(self, *_: object, letters: Iterable[Letter] = (), **__: object) -> None:
        self.letters += letters


def _answered(pipeline: Pipeline, decision: Decision) -> tuple[list[Reply], list[Letter]]:
    """What the door would answer if Postfix took every result, and the notices that are letters."""
    store = _Unwritten()
    refusals = Refusals(pipeline.settings, pipeline.clock)
    settling = Settling(cast(Store, store), refusals, pipeline.clock, letters_ready=lambda: None)
    return settling.settle(decision, [[OK] * len(keys) for keys in decision.members]), store.letters


def _told(router: Router, outcome: Outcome, fate: str, reply: Reply) -> Told:
    address = outcome.recipient.address if outcome.recipient else ""
    failure = outcome.failure
    reason = outcome.reason or (f"{failure.handler} failed: {failure.error}" if failure else "")
    traceback = failure.traceback if failure else None
    return Told(address, tuple(_matches(router, address)), _ran(outcome), fate, reason, str(reply), traceback)


def _matches(router: Router, address: str) -> Iterator[Match]:
    """What sees mail for an address: stateless functions with a route, then the handler that takes it."""
    for passage in router.passages(address):
        yield Match(passage.handler.name, passage.stateless.function.__name__, None, dict(passage.blanks))
    if taker := router.taker(address):
        yield Match(taker.handler.name, None, taker.reading.pattern.text, taker.reading.blanks)


def _ran(*outcomes: Outcome, door: str = "filter") -> tuple[Ran, ...]:
    steps = (step for outcome in outcomes for step in outcome.steps)
    return tuple(Ran(s.handler, s.function, s.before, s.after, s.verdict, door) for s in steps)


def _result(group: Submission) -> Result:
    addresses = tuple(recipient.address for recipient in group.envelope.recipients)
    return Result(addresses, group.message.size, group.message.edits, tuple(hunks(group.message)))


def _moved(store: Store, to: Conversation) -> Moved:
    key = to.key
    return Moved(key.handler, key.sender, key.resource, store.conversation(key).state, to.state, to.deadline)


def _written(letter: Letter) -> Written:
    message = letter.message
    plain, html = message.body("plain"), message.body("html")
    return Written(
        letter.handler, letter.sender, letter.recipients, letter.verp, message.size,
        headers=tuple((field.name, field.value) for field in message.fields),
        plain=plain.text if plain else None, html=html.text if html else None,
    )  # fmt: skip


def _kept(mail: Held) -> Kept:
    return Kept(mail.handler, tuple(r.address for r in mail.envelope.recipients), mail.reason, mail.expires)
