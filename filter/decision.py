"""A decision: what the handlers made of one arrival, recipient by recipient."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import receipt as receipts
from .arrival import Arrival
from .envelope import Recipient
from .message import Edit, Message
from .receipt import Fate, Receipt, arrival_key, recipient_key
from .received import own_received
from .submission import Submission
from .verdict import Reply


@dataclass(frozen=True, slots=True)
class Step:
    """One function that ran: for which recipient ("" for the message as a whole), in which state, with what verdict."""

    handler: str
    function: str
    recipient: str
    before: str | None
    after: str | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A handler that raised. `counts`: it is the handler's own fault, and so an attempt."""

    handler: str
    exception: BaseException
    counts: bool

    @property
    def error(self) -> str:
        """The exception on one line."""
        return f"{type(self.exception).__name__}: {self.exception}"

    @property
    def traceback(self) -> str:
        """Where it was raised."""
        return "".join(traceback.format_exception(self.exception))


@dataclass(slots=True)
class Outcome:
    """What became of one recipient's copy, or (with `recipient` None) of the message as a whole.

    `reply` is the refusal of a rejected or deferred copy; `reason` says why one is held or discarded;
    `handler` decided, `edited_by` changed the copy; `noticed`: a letter of ours has told the sender;
    `attempts`: how often the handler has failed at it, where that is why it is held.
    """

    recipient: Recipient | None
    message: Message
    fate: Fate = Fate.PASSES
    reply: Reply | None = None
    reason: str = ""
    handler: str = ""
    failure: Failure | None = None
    results: dict[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    edited_by: list[str] = field(default_factory=list)
    noticed: bool = False
    settled: bool = False
    attempts: int = 0

    def end(self, fate: Fate, handler: str, *, reply: Reply | None = None, reason: str = "") -> Outcome:
        """Give the copy its fate; returns the outcome."""
        self.fate, self.handler, self.reply, self.reason = fate, handler, reply, reason
        return self

    def receipt(self, key: str) -> Receipt:
        """The outcome as a receipt."""
        passes = self.fate in (Fate.PASSES, Fate.READY, Fate.SENT)
        fate = Fate.READY if self.fate is Fate.PASSES else self.fate
        edits = receipts.anchored(self.message) if passes else ()
        return Receipt(key, fate, edits, self.reply, self.noticed, self.results if key == receipts.WHOLE else {})


@dataclass(slots=True)
class Decision:
    """All outcomes, and what is to be reinjected.

    `order` has the recipient keys in RCPT order, twins twice; `whole` is the message-level outcome.
    `passes` is how often the message has come in by SMTP at our own Postfix. `members[i]` are the keys
    of the recipients of `groups[i]`. `ready`: receipts are written, and nothing may undo the effects any
    more. `seconds`: how long deciding took.
    """

    arrival: Arrival
    order: tuple[str, ...]
    outcomes: dict[str, Outcome]
    arrival_key: str
    passes: int
    whole: Outcome | None = None
    groups: Sequence[Submission] = ()
    members: Sequence[tuple[str, ...]] = ()
    ready: bool = False
    digest: str = ""
    seconds: float = 0.0

    @property
    def todo(self) -> dict[str, Outcome]:
        """The recipients that no receipt has settled, by key."""
        return {key: outcome for key, outcome in self.outcomes.items() if not outcome.settled}

    @property
    def passes_whole(self) -> bool:
        """Whether one recipient, of whom no receipt speaks, gets the message, and nobody else has a say."""
        if self.ready or len(self.outcomes) != 1:
            return False
        (outcome,) = self.outcomes.values()
        return outcome.fate is Fate.PASSES and not outcome.settled

    def take(self, whole: Outcome, outcomes: Mapping[str, Outcome]) -> None:
        """Take over what the runs came to."""
        self.whole = whole
        self.outcomes.update(outcomes)

    def defer(self, reply: Reply) -> None:
        """Nothing can be decided now for whoever is not settled."""
        for outcome in self.todo.values():
            outcome.end(Fate.DEFERRED, "", reply=reply)

    def forget(self) -> None:
        """Back to undecided for whoever is not settled."""
        if self.whole is not None and not self.whole.settled:
            self.whole = None
        for key, outcome in self.todo.items():
            self.outcomes[key] = Outcome(outcome.recipient, self.arrival.message)

    def group(self) -> None:
        """Form the reinjection transactions: recipients whose result is the same octets share one."""
        self.members = [tuple(keys) for keys in self.results.values()]
        self.groups = [self._submission(keys) for keys in self.members]

    @property
    def results(self) -> dict[tuple[Edit, ...], list[str]]:
        """The different results that are to go out, as edits over the message, and who gets each."""
        equal: dict[tuple[Edit, ...], list[str]] = {}
        for key, outcome in self.outcomes.items():
            if outcome.fate in (Fate.PASSES, Fate.READY):
                equal.setdefault(outcome.message.edits, []).append(key)
        return equal

    def _submission(self, keys: Sequence[str]) -> Submission:
        outcomes = [self.outcomes[key] for key in keys]
        recipients = [outcome.recipient for outcome in outcomes if outcome.recipient]
        return Submission(self.arrival.envelope.to(*recipients), outcomes[0].message)


def undecided(arrival: Arrival) -> Decision:
    """The decision before anything has run."""
    own = own_received(arrival.message, arrival.peer)
    order = tuple(recipient_key(recipient) for recipient in arrival.envelope.recipients)
    recipients = dict(zip(order, arrival.envelope.recipients, strict=True))
    return Decision(
        arrival=arrival,
        order=order,
        outcomes={key: Outcome(recipient, arrival.message) for key, recipient in recipients.items()},
        arrival_key=arrival_key(arrival, own),
        passes=own.hops,
    )


def replayed(message: Message, recipient: Recipient | None, receipt: Receipt) -> Outcome:
    """The outcome that a receipt holds, for the message as it came again."""
    result = receipts.replayed(message, receipt.edits)
    fate = Fate.PASSES if recipient is None and receipt.fate is Fate.READY else receipt.fate
    return Outcome(
        recipient, result, fate, receipt.reply, "as decided before", results=dict(receipt.results),
        noticed=receipt.noticed, settled=True,
    )  # fmt: skip


def as_whole(whole: Outcome, recipient: Recipient | None) -> Outcome:
    """A message-level verdict, as one recipient's outcome."""
    return Outcome(
        recipient, whole.message, whole.fate, whole.reply, whole.reason, whole.handler, whole.failure,
        results=whole.results,
    )  # fmt: skip
