"""What happened to a message that a test sent, and what the test says should have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..arrival import Arrival
from ..decision import Decision, Outcome
from ..envelope import Recipient
from ..judgement import Judgement
from ..message import Message
from ..receipt import Fate
from ..verdict import Reply

_REFUSED = (Fate.REJECTED, Fate.DEFERRED)


class Got:
    """The outcomes for the recipients of one message. Every assertion returns it, so that they chain.

    `arrival` is the message as it came to the handlers; `queued` as it came into the queue, behind the milter, None
    where it did not; `queue_id` is Postfix's, None where it never had it.
    """

    def __init__(self, arrival: Arrival, former: Got | None = None) -> None:
        """`former` is what happened to the message before: recipients that are not brought again keep that."""
        self.arrival = arrival
        self.queued: Arrival | None = None
        self.queue_id: str | None = None
        self.asserted = False
        self._sent_to = tuple(former) if former else tuple(r.address for r in arrival.envelope.recipients)
        self._outcomes: dict[str, Outcome] = dict(former._outcomes) if former else {}

    def __getitem__(self, address: str) -> Outcome:
        """The outcome for one recipient: `fate`, `reply`, `reason`, `message` (the result), `steps`."""
        return self._outcomes[address]

    def __iter__(self) -> Iterator[str]:
        """The recipients, in the order in which the message was sent to them."""
        return (address for address in dict.fromkeys((*self._sent_to, *self._outcomes)) if address in self._outcomes)

    @property
    def message(self) -> Message:
        """The result, where all recipients got the same octets."""
        results = {bytes(outcome.message) for outcome in self._outcomes.values()}
        assert len(results) == 1, f"the recipients got {len(results)} different results; look at got[address].message"
        return self[next(iter(self))].message

    @property
    def results(self) -> dict[str, Any]:
        """What the handlers told each other about the message, for the first recipient."""
        return self[next(iter(self))].results

    def accepted(self) -> Got:
        """Assert that nothing was refused: each copy passed, or a handler took it."""
        return self._all("accepted", Fate.SENT, Fate.PASSES, Fate.READY, Fate.CONSUMED)

    def passed(self) -> Got:
        """Assert that every copy went on, edited or not."""
        return self._all("passed", Fate.SENT, Fate.PASSES, Fate.READY)

    def consumed(self) -> Got:
        """Assert that a handler took every copy."""
        return self._all("consumed", Fate.CONSUMED)

    def rejected(self, code: int | None = None, status: str | None = None, text: str | None = None) -> Got:
        """Assert that every copy was refused for good, with this code, status, and text in the reply."""
        return self._refusal("rejected", Fate.REJECTED, code, status, text)

    def deferred(self, code: int | None = None, status: str | None = None, text: str | None = None) -> Got:
        """Assert that every copy was refused for now."""
        return self._refusal("deferred", Fate.DEFERRED, code, status, text)

    def discarded(self, reason: str | None = None) -> Got:
        """Assert that every copy was dropped, for a reason that contains this."""
        return self._for_a_reason("discarded", Fate.DISCARDED, reason)

    def held(self, reason: str | None = None) -> Got:
        """Assert that every copy is held for a person, for a reason that contains this."""
        return self._for_a_reason("held", Fate.HELD, reason)

    def unchanged(self) -> Got:
        """Assert that every copy went on byte for byte."""
        self.passed()
        for address, outcome in self._outcomes.items():
            assert bytes(outcome.message) == bytes(self.arrival.message), f"{address} got a changed message"
        return self

    # What the post tells

    def refuse(self, recipient: Recipient, reply: Reply) -> None:
        """A recipient was refused at RCPT."""
        fate = Fate.REJECTED if reply.is_permanent else Fate.DEFERRED
        self._outcomes[recipient.address] = Outcome(recipient, self.arrival.message, fate, reply)

    def drop(self, recipient: Recipient, reason: str) -> None:
        """A recipient was discarded at RCPT."""
        self._outcomes[recipient.address] = Outcome(recipient, self.arrival.message, Fate.DISCARDED, reason=reason)

    def judge(self, arrival: Arrival, judgement: Judgement) -> None:
        """The handlers before the queue decided."""
        for recipient, fate, ground in judgement.shares(arrival.envelope.recipients):
            outcome = ground or Outcome(recipient, judgement.message)
            reason = judgement.hold or outcome.reason
            self._outcomes[recipient.address] = replace(
                outcome, recipient=recipient, fate=fate, reply=judgement.reply, reason=reason
            )

    def decide(self, decision: Decision) -> None:
        """The handlers behind the queue decided, on what those before it left."""
        for outcome in decision.outcomes.values():
            assert outcome.recipient is not None
            former = self._outcomes.get(outcome.recipient.address)
            if former is not None and former.fate is Fate.PASSES:
                outcome.results = {**former.results, **outcome.results}
                outcome.steps[:0] = former.steps
                outcome.edited_by[:0] = former.edited_by
            self._outcomes[outcome.recipient.address] = outcome

    @property
    def refused_unasserted(self) -> bool:
        """Whether something was refused that no assertion asked for."""
        return not self.asserted and any(outcome.fate in _REFUSED for outcome in self._outcomes.values())

    def __str__(self) -> str:
        return ", ".join(
            f"{address} {outcome.fate}"
            + (f" ({outcome.reply or outcome.reason})" if outcome.reply or outcome.reason else "")
            for address, outcome in ((address, self[address]) for address in self)
        )

    def _all(self, what: str, *fates: Fate) -> Got:
        self.asserted = True
        assert all(outcome.fate in fates for outcome in self._outcomes.values()), f"not {what}: {self}"
        return self

    def _refusal(self, what: str, fate: Fate, code: int | None, status: str | None, text: str | None) -> Got:
        self._all(what, fate)
        for address, outcome in self._outcomes.items():
            reply = outcome.reply
            assert reply is not None
            assert code in (None, reply.code), f"{address}: {reply}, not {code}"
            assert status in (None, reply.status), f"{address}: {reply}, not {status}"
            assert text is None or text in reply.text, f"{address}: {reply}, without {text!r}"
        return self

    def _for_a_reason(self, what: str, fate: Fate, reason: str | None) -> Got:
        self._all(what, fate)
        for address, outcome in self._outcomes.items():
            assert reason is None or reason in outcome.reason, f"{address}: {outcome.reason!r}, without {reason!r}"
        return self
