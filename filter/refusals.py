"""What becomes of refused mail, and the notices (RFC 3464) that penstock itself owes a sender.

Never backscatter: behind the queue a refusal reaches the sender only where the sender is verified.
Announcing DSN moves the duty of reporting success to penstock for mail that it consumes; NOTIFY decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from .arrival import Arrival
from .clock import Clock
from .config import Settings
from .decision import Outcome
from .effects import Held
from .envelope import NULL_PATH, Recipient
from .guard import HOPS, hops
from .letters import Letter, new_message_id
from .message.report import ReportedRecipient, delivery_status
from .receipt import Fate
from .verdict import Reply
from .verified import verified


class Refusals:
    """What the settings say of refused and held mail."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    def apply(self, arrival: Arrival, outcome: Outcome) -> None:
        """Turn a refusal that its sender may not be told into held or discarded mail."""
        if outcome.fate is not Fate.REJECTED or self._may_be_told(arrival):
            return
        reason = f"refused ({outcome.reply}), but the sender <{arrival.envelope.reverse_path}> is not verified"
        hold = self._settings.filter.reject_unverified == "hold"
        outcome.end(Fate.HELD if hold else Fate.DISCARDED, outcome.handler, reason=reason)

    def held(self, arrival: Arrival, outcomes: Iterable[Outcome]) -> list[Held]:
        """One held copy for recipients that are held by one handler for one reason."""
        groups: dict[tuple[str, str], list[Outcome]] = {}
        for outcome in outcomes:
            if outcome.fate is Fate.HELD and not outcome.settled:
                groups.setdefault((outcome.handler, outcome.reason), []).append(outcome)
        return [self._held(arrival, group) for group in groups.values()]

    def notice(
        self, arrival: Arrival, outcomes: Iterable[Outcome], action: Literal["failed", "delivered"]
    ) -> Letter | None:
        """The notice about these recipients, or None where nobody wants or may have one."""
        wanted = [o for o in outcomes if o.recipient and _wants(o.recipient, action)]
        if not wanted or arrival.envelope.is_null:
            return None
        hostname = self._settings.service.hostname
        author = f"MAILER-DAEMON@{hostname}"
        message = delivery_status(
            arrival.message, envelope=arrival.envelope, reporting_mta=hostname, sender_address=author,
            recipients=[_reported(o, action) for o in wanted], message_id=new_message_id(author),
            date=self._clock.now(), text=_text(wanted, action, hostname),
        )  # fmt: skip
        message[HOPS] = str(hops(arrival.message) + 1)
        return Letter(message, NULL_PATH, (arrival.envelope.reverse_path,), handler="penstock")

    def _may_be_told(self, arrival: Arrival) -> bool:
        ids = self._settings.filter.authserv_ids
        return verified(arrival.envelope, arrival.message, arrival.peer, ids) is not None

    def _held(self, arrival: Arrival, outcomes: list[Outcome]) -> Held:
        failure = next((o.failure for o in outcomes if o.failure), None)
        return Held(
            envelope=arrival.envelope.to(*(o.recipient for o in outcomes if o.recipient)),
            message=arrival.message, handler=outcomes[0].handler, reason=outcomes[0].reason,
            traceback=failure.traceback if failure else None, attempts=max(o.attempts for o in outcomes),
            # What a handler could not digest waits until somebody has looked.
            expires=None if failure else self._clock.now() + self._settings.filter.held_expiry,
        )  # fmt: skip


def one_reply(replies: Sequence[Reply]) -> Reply:
    """One refusal for several recipients: theirs if they agree, else the first with all texts."""
    first = replies[0]
    texts = dict.fromkeys(str(reply) for reply in replies)
    return first if len(texts) == 1 else Reply(first.code, first.status, "\n".join(texts))


def _wants(recipient: Recipient, action: str) -> bool:
    return recipient.wants_failure if action == "failed" else recipient.wants_success


def _reported(outcome: Outcome, action: Literal["failed", "delivered"]) -> ReportedRecipient:
    assert outcome.recipient is not None
    reply = outcome.reply
    return ReportedRecipient(
        address=outcome.recipient.address, action=action, orcpt=outcome.recipient.orcpt,
        status=(reply.status if reply else None) or ("5.0.0" if action == "failed" else "2.0.0"),
        diagnostic=f"smtp; {reply}" if reply else None,
    )  # fmt: skip


def _text(outcomes: Sequence[Outcome], action: str, hostname: str) -> str:
    lines = [f"<{o.recipient.address}>" + (f": {o.reply}" if o.reply else "") for o in outcomes if o.recipient]
    what = "Your message was refused for" if action == "failed" else "Your message was delivered to"
    return f"This is the mail system at {hostname}.\n\n{what}\n\n" + "\n".join(f"    {line}" for line in lines) + "\n"
