"""A judgement: what becomes of a whole message before the queue.

A milter has one answer at the end of a message, and it is for all recipients: refuse, discard, hold, or go on with
the message and the envelope changed. What differs between recipients is the port's to do, behind the queue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .arrival import Arrival
from .decision import Outcome
from .envelope import Envelope, Recipient
from .machine import HandlerError
from .message import Message
from .receipt import Fate
from .refusals import one_reply
from .verdict import Reply


@dataclass(frozen=True, slots=True)
class Wants:
    """What the handlers of the milter use, so that Postfix need not send the rest.

    `rcpt`: recipients may be refused at RCPT. `header`: messages are judged at all. `body`: their bodies are looked at.
    """

    rcpt: bool = False
    header: bool = False
    body: bool = False


class Share(NamedTuple):
    """One recipient's share in a judgement. `outcome` is None where no handler saw the message for this one."""

    recipient: Recipient
    fate: Fate
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of one message.

    `message` is as it is to be, with edits over the arrival's; `envelope` as it is to be: discarded recipients are
    gone. `reply` refuses it for all (4xx or 5xx); with `discard` nobody gets it; `hold` is the reason why it goes into
    Postfix's hold queue. At most one of the three is given. For who explains it: `outcomes` are those of the handlers
    that stand before the queue alone, `previews` what the port would come to, as far as the previewed ones tell.
    """

    message: Message
    envelope: Envelope
    reply: Reply | None = None
    discard: bool = False
    hold: str | None = None
    outcomes: tuple[Outcome, ...] = ()
    previews: tuple[Outcome, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether the message goes on into the queue, to be delivered."""
        return self.reply is None and not self.discard and self.hold is None

    def shares(self, recipients: Iterable[Recipient]) -> Iterator[Share]:
        """What becomes of each of the arrival's recipients, and the outcome that this rests on; twins once.

        That of a preview only where it refuses the message. A failure that is nobody's own, since outcomes differ, is
        everyone's.
        """
        grounds: dict[Recipient | None, Outcome] = {}
        for outcome in (*self.outcomes, *(self.previews if self.reply else ())):
            if outcome.recipient is None and outcome.failure is None:
                continue
            if outcome.recipient not in grounds or outcome.fate is not Fate.PASSES:
                grounds[outcome.recipient] = outcome
        staying = frozenset(self.envelope.recipients)
        for recipient in dict.fromkeys(recipients):
            ground = grounds.get(None) or grounds.get(recipient)
            yield Share(recipient, self._fate(stays=recipient in staying), ground)

    def _fate(self, *, stays: bool) -> Fate:
        if self.reply is not None:
            return Fate.REJECTED if self.reply.is_permanent else Fate.DEFERRED
        if self.discard or not stays:
            return Fate.DISCARDED
        return Fate.PASSES if self.hold is None else Fate.HELD


def judgement(arrival: Arrival, outcomes: Sequence[Outcome]) -> Judgement:
    """What the recipients' outcomes come to, for the message as a whole: one deferral defers it.

    Without outcomes nobody had anything to say. Raises HandlerError where they differ in what only the port can do
    for some, and says how to mend it.
    """
    all_of_them = tuple(outcomes)
    each = [outcome for outcome in outcomes if outcome.recipient]
    left = [outcome for outcome in each if outcome.fate is not Fate.DISCARDED]
    if not left:
        discard = bool(each) or not arrival.envelope.recipients
        return Judgement(arrival.message, arrival.envelope, discard=discard, outcomes=all_of_them)
    deferred = [o.reply for o in left if o.fate is Fate.DEFERRED and o.reply]
    rejected = [o.reply for o in left if o.fate is Fate.REJECTED and o.reply]
    if deferred or len(rejected) == len(left):
        return Judgement(arrival.message, arrival.envelope, one_reply(deferred or rejected), outcomes=all_of_them)
    held = [outcome.reason for outcome in left if outcome.fate is Fate.HELD]
    if rejected or 0 < len(held) < len(left) or len({outcome.message.edits for outcome in left}) > 1:
        raise HandlerError(_differing(left))
    staying = {outcome.recipient for outcome in left}
    envelope = arrival.envelope.to(*(recipient for recipient in arrival.envelope.recipients if recipient in staying))
    hold = "; ".join(dict.fromkeys(held)) if held else None
    return Judgement(left[0].message, envelope, hold=hold, outcomes=all_of_them)


def foretold(outcomes: Sequence[Outcome]) -> Reply | None:
    """The refusal that previews tell: the port would refuse it for all, or defer it for one.

    A preview that failed tells nothing. Neither does one that refuses for some: that is the port's to do.
    """
    each = [outcome for outcome in outcomes if outcome.recipient]
    told = [outcome for outcome in each if outcome.failure is None]
    deferred = [o.reply for o in told if o.fate is Fate.DEFERRED and o.reply]
    rejected = [o.reply for o in told if o.fate is Fate.REJECTED and o.reply]
    if not deferred and (not rejected or len(rejected) < len(each)):
        return None
    return one_reply(deferred or rejected)


def _differing(outcomes: Sequence[Outcome]) -> str:
    deciding = [o.handler for o in outcomes if o.fate is not Fate.PASSES]
    editing = [name for o in outcomes for name in o.edited_by]
    names = " or ".join(dict.fromkeys([*deciding, *editing]))
    return (
        f"before the queue a message is one for all its recipients, but what becomes of it differs between them; "
        f"name {names} in [filter] handlers too, so that the port does what differs"
    )
