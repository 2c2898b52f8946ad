"""The courier: takes letters from the outbox to Postfix.

It wakes when letters are committed in this process, when the next one is due, and now and then for
those of other processes. A letter is leased while it is under way: if the process dies, another takes
it over when the lease is out. A letter to very many goes in several transactions, and what came of each is
recorded before the next begins, so that dying between them sends nothing twice.
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
from ..store import SENDING, Store, Waiting, is_store_failure
from ..submission import Submission
from ..verdict import Reply

log = logging.getLogger("penstock.outbox")

AT_MOST: Final = 500
"""Recipients in one transaction, well below Postfix's smtpd_recipient_limit of 1000."""

AT_ONCE: Final = 10
"""Letters leased together: if the process is killed, so many wait until the lease is out."""

LOOK_AGAIN: Final = 15.0
"""Seconds after which the outbox is looked at even if nobody called."""


class Sender(Protocol):
    """What takes a submission to Postfix: one reply per recipient, and never an exception."""

    def send(self, submission: Submission) -> Sequence[Reply]: ...


class Courier:
    """Sends what is due in the outbox."""

    def __init__(
        self, store: Store, sender: Sender, settings: Settings, clock: Clock, name: str = "", dead: Sequence[str] = ()
    ) -> None:
        """`name` is nobody else's; `dead` are those of couriers that died, for whose leases no letter need wait."""
        self._store = store
        self._sender = sender
        self._settings = settings
        self._clock = clock
        self._owner = name or secrets.token_hex(8)
        self._dead = dead
        self._called = threading.Event()
        self._stopping = threading.Event()

    def call(self) -> None:
        """There are letters, or it is time to stop."""
        self._called.set()

    def run(self, stopping: threading.Event) -> None:
        """Send letters until `stopping` is set and `call` wakes us."""
        self._stopping = stopping
        while not stopping.is_set():
            try:
                self._inherit()
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
        """Send letters that are due; returns how many were begun."""
        begin = self._clock.now()
        letters = self._store.claim(self._owner, begin, AT_ONCE)
        for begun, letter in enumerate(letters):
            if self._stopping.is_set() or self._clock.now() - begin > SENDING:
                self._store.release_letters(self._owner, letters[begun:])
                return begun
            try:
                self._send(letter)
            except Exception as error:
                if is_store_failure(error):
                    raise
                log.exception("letter=%s failed; it is tried again when its lease is out", letter.number)
        return len(letters)

    def _inherit(self) -> None:
        """Free the letters of the dead, once."""
        if self._dead:
            if freed := self._store.release_letters_of(self._dead):
                log.warning("%d letters were under way when their worker died; they are sent again", freed)
            self._dead = ()

    def _send(self, letter: Waiting) -> None:
        """Send a letter to its first recipients, of whom there are seldom too many for one transaction."""
        recipients = letter.envelope.recipients[:AT_MOST]
        whole = letter.submission(self._store.letter(letter))
        replies = self._sender.send(replace(whole, envelope=whole.envelope.to(*recipients)))
        now = self._clock.now()
        self._store.settle_letter(letter, replies, now, now + self._settings.filter.held_expiry)
        for recipient, reply in zip(recipients, replies, strict=True):
            level = logging.INFO if reply.is_ok else logging.WARNING
            about = {
                "letter": str(letter.number),
                "message_id": letter.message_id,
                "handler": letter.handler,
                "sender": f"<{letter.envelope.reverse_path}>",
                "recipient": f"<{recipient.address}>",
                "reply": str(reply),
            }
            log.log(level, "%s", pairs(about))

    def _until_next(self) -> float:
        due = self._store.next_due()
        if due is None:
            return LOOK_AGAIN
        return min(LOOK_AGAIN, max(0.05, (due - self._clock.now()).total_seconds()))
