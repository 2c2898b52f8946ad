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
    edited = bool(found.message.edits)
    all_pass = found.passes and len(found.envelope.recipients) == len(arrival.envelope.recipients)
    if (all_pass and not edited) or not journal.isEnabledFor(logging.INFO):
        return
    message_id = arrival.message["Message-ID"]
    editors = ",".join(dict.fromkeys(name for outcome in found.outcomes for name in outcome.edited_by))
    for recipient, fate, outcome in found.shares(arrival.envelope.recipients):
        if fate is not Fate.PASSES or edited:
            line = {
                **_common(arrival.envelope, recipient),
                "message_id": message_id,
                "fate": fate,
                "handler": outcome.handler if outcome else None,
                "edited_by": editors if edited else None,
                "reason": found.hold or (outcome.reason if outcome else None),
                "reply": str(found.reply) if found.reply else None,
            }
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
