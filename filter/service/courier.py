"""The courier: takes letters from the outbox to Postfix.

It wakes when letters are committed in this process, when the next one is due, and now and then for
those of other processes. A letter is leased while it is under way: if the process dies, another takes
it over when the lease is out.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from ..clock import Clock
from ..config import Settings
from ..journal import pairs
from ..store import Store, Waiting, is_store_failure
from ..submission import Submission
from ..verdict import Reply

log = logging.getLogger("penstock.outbox")

AT_MOST: Final = 500
"""Recipients in one transaction, well below Postfix's smtpd_recipient_limit of 1000."""

LOOK_AGAIN: Final = 15.0
"""Seconds after which the outbox is looked at even if nobody called."""


class Sender(Protocol):
    """What takes a submission to Postfix: one reply per recipient, and never an exception."""

    def send(self, submission: Submission) -> Sequence[Reply]: ...


class Courier:
    """Sends what is due in the outbox."""

    def __init__(self, store: Store, sender: Sender, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._sender = sender
        self._settings = settings
        self._clock = clock
        self._owner = secrets.token_hex(8)
        self._called = threading.Event()

    def call(self) -> None:
        """There are letters, or it is time to stop."""
        self._called.set()

    def run(self, stopping: threading.Event) -> None:
        """Send letters until `stopping` is set and `call` wakes us."""
        while not stopping.is_set():
            try:
                while not stopping.is_set() and self.send_due():
                    pass
                wait = self._until_next()
            except Exception as error:
                if not is_store_failure(error):
                    log.exception("the courier failed")
                else:
                    log.error("the store failed: %s", error)
                wait = LOOK_AGAIN
            self._called.wait(wait)
            self._called.clear()

    def send_due(self) -> int:
        """Send the letters that are due; returns how many there were."""
        letters = self._store.claim(self._owner, self._clock.now())
        for letter in letters:
            try:
                self._send(letter)
            except Exception as error:
                if is_store_failure(error):
                    raise
                log.exception("letter=%s failed; it is tried again when its lease is out", letter.number)
        return len(letters)

    def _send(self, letter: Waiting) -> None:
        whole = letter.submission(self._store.letter(letter))
        replies = [reply for part in _parts(whole) for reply in self._sender.send(part)]
        now = self._clock.now()
        self._store.settle_letter(letter, replies, now, now + self._settings.filter.held_expiry)
        for recipient, reply in zip(letter.recipients, replies, strict=True):
            level = logging.INFO if reply.is_ok else logging.WARNING
            about = {
                "letter": str(letter.number),
                "message_id": letter.message_id,
                "handler": letter.handler,
                "sender": f"<{letter.envelope.reverse_path}>",
                "recipient": f"<{recipient}>",
                "reply": str(reply),
            }
            log.log(level, "%s", pairs(about))

    def _until_next(self) -> float:
        due = self._store.next_due()
        if due is None:
            return LOOK_AGAIN
        return min(LOOK_AGAIN, max(0.05, (due - self._clock.now()).total_seconds()))


def _parts(whole: Submission) -> list[Submission]:
    recipients = whole.envelope.recipients
    return [
        replace(whole, envelope=whole.envelope.to(*recipients[start : start + AT_MOST]))
        for start in range(0, len(recipients), AT_MOST)
    ]
