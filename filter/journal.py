"""The journal: one log line for each recipient of each message, as key=value; never a body."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Final

from .decision import Decision, Outcome
from .verdict import Reply

log = logging.getLogger("penstock.journal")


def journal(decision: Decision, answers: Sequence[Reply]) -> None:
    """Log a decision. `answers` are the door's replies: one per recipient, or one for all."""
    if not log.isEnabledFor(logging.INFO):
        return
    arrival = decision.arrival
    envelope = arrival.envelope
    common = pairs({"queue_id": envelope.queue_id, "message_id": arrival.message["Message-ID"]})
    common = f"{common} sender={_quoted(f'<{envelope.reverse_path}>')}".lstrip()
    for number, key in enumerate(decision.order):
        reply = answers[number if arrival.replies_each else 0]
        end = f"ms={decision.seconds * 1000:.1f} reply={_quoted(str(reply))}"
        log.info("%s %s %s", common, _outcome(decision.outcomes[key]), end)


def pairs(values: Mapping[str, str | None]) -> str:
    """Values as `key=value`, in quotes where they need them; what is empty is left out.

    Whatever a stranger wrote stays within its value, on this line.
    """
    return " ".join([f"{name}={_quoted(value)}" for name, value in values.items() if value])


_NEEDS_QUOTES: Final = re.compile(r"[^!#-<>-\[\]-~]")
"""Anything but printable ASCII without space, quote, equals sign and backslash."""


def _outcome(outcome: Outcome) -> str:
    recipient = f"recipient={_quoted(f'<{outcome.recipient.address}>')} " if outcome.recipient else ""
    last = next((step for step in reversed(outcome.steps) if step.before is not None), None)
    told = f"{recipient}fate={outcome.fate.value}"
    if not (outcome.handler or outcome.edited_by or last or outcome.reason):
        return told                                # as most: it passed
    more = {
        "handler": outcome.handler,
        "edited_by": ",".join(outcome.edited_by),
        "state": f"{last.before}>{last.after}" if last else None,
        "reason": outcome.reason,
    }
    return f"{told} {pairs(more)}"


def _quoted(value: str) -> str:
    if _NEEDS_QUOTES.search(value) is None:
        return value
    escaped = value.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'"{escaped}"'
