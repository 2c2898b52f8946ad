"""The journal: one log line for each recipient of each message, as key=value; never a body."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Final

from .decision import Decision, Outcome
from .verdict import Reply

log = logging.getLogger("penstock.journal")


def journal(decision: Decision, answers: Sequence[Reply]) -> None:
    """Log a decision. `answers` are the door's replies: one per recipient, or one for all."""
    if not log.isEnabledFor(logging.INFO):
        return
    arrival = decision.arrival
    common = {
        "queue_id": arrival.envelope.queue_id,
        "message_id": arrival.message["Message-ID"],
        "sender": f"<{arrival.envelope.reverse_path}>",
    }
    for number, key in enumerate(decision.order):
        answer = answers[number if arrival.replies_each else 0]
        line = {
            **common,
            **_outcome(decision.outcomes[key]),
            "ms": f"{decision.seconds * 1000:.1f}",
            "reply": str(answer),
        }
        log.info("%s", " ".join(f"{name}={_quoted(value)}" for name, value in line.items() if value))


_PLAIN: Final = re.compile(r"[^\s\"=\\\x00-\x1f\x7f]+")


def _outcome(outcome: Outcome) -> dict[str, str | None]:
    last = next((step for step in reversed(outcome.steps) if step.before is not None), None)
    state = f"{last.before}>{last.after}" if last else None
    return {
        "recipient": f"<{outcome.recipient.address}>" if outcome.recipient else "",
        "fate": str(outcome.fate),
        "handler": outcome.handler,
        "state": state,
        "reason": outcome.reason,
    }


def _quoted(value: str | None) -> str:
    text = value or ""
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'"{escaped}"'
