"""The docket: what was decided before the queue, in the journal; a line for each recipient whom it concerns.

Mail that goes on as it came has no line here. It has one where it arrives: the port's, or Postfix's.
"""

from __future__ import annotations

import logging

from .arrival import Arrival
from .envelope import Envelope, Recipient
from .journal import log as journal
from .journal import pairs
from .judgement import Judgement
from .receipt import Fate
from .verdict import Discard, Reply

log = logging.getLogger("penstock")


def judged(arrival: Arrival, found: Judgement, seconds: float) -> None:
    """Log a judgement, and the failures among what it rests on with their tracebacks."""
    if found.outcomes or found.previews:
        _failures(arrival, found)
    if not journal.isEnabledFor(logging.INFO):
        return
    for recipient in dict.fromkeys(arrival.envelope.recipients):
        if found.fate(recipient) is not Fate.PASSES or found.message.edits:
            line = {**_common(arrival.envelope, recipient), **_decided(arrival, found, recipient)}
            journal.info("%s ms=%.1f", pairs(line), seconds * 1000)


def decided_at_rcpt(envelope: Envelope, recipient: Recipient, handler: str, answer: Reply | Discard) -> None:
    """Log that a recipient is refused or dropped."""
    if isinstance(answer, Discard):
        told = {"fate": Fate.DISCARDED.value, "handler": handler, "reason": answer.reason}
    else:
        fate = Fate.REJECTED if answer.is_permanent else Fate.DEFERRED
        told = {"fate": fate.value, "handler": handler, "reply": str(answer)}
    journal.info("%s", pairs({**_common(envelope, recipient), "at": "RCPT", **told}))


def _common(envelope: Envelope, recipient: Recipient) -> dict[str, str | None]:
    return {
        "door": "milter",
        "queue_id": envelope.queue_id,
        "sender": f"<{envelope.reverse_path}>",
        "recipient": f"<{recipient.address}>",
    }


def _decided(arrival: Arrival, found: Judgement, recipient: Recipient) -> dict[str, str | None]:
    """By whom, and why."""
    last = found.deciding(recipient)
    editors = dict.fromkeys(name for outcome in found.outcomes for name in outcome.edited_by)
    return {
        "message_id": arrival.message["Message-ID"],
        "fate": found.fate(recipient),
        "handler": last.handler if last else None,
        "edited_by": ",".join(editors) if found.message.edits else None,
        "reason": found.hold or (last.reason if last else None),
        "reply": str(found.reply) if found.reply else None,
    }


def _failures(arrival: Arrival, found: Judgement) -> None:
    """One record for each failure; what failed on the whole message stands in the outcome of each recipient."""
    failed = {id(outcome.failure): outcome for outcome in (*found.outcomes, *found.previews) if outcome.failure}
    for outcome in failed.values():
        assert outcome.failure is not None
        log.error(
            "handler=%s failed before the queue on message_id=%s recipient=%s: %s\n%s", outcome.handler,
            arrival.message["Message-ID"], outcome.recipient and outcome.recipient.address,
            outcome.failure.error, outcome.failure.traceback,
        )  # fmt: skip
