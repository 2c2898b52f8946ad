"""What stands behind the port of `penstock capture`: every arrival is kept as two files, and passed on.

NUMBER-NAME.eml is the message, octet for octet, and NUMBER-NAME.eml.json its envelope, as `Envelope.as_dict` has it
and the pytest fixture `penstock` reads it. Both are on the disk before anybody is told of a 250 (RFC 5321
section 4.2.5); the message's file gets its name last, so that where it is the envelope is, too.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..arrival import Arrival
from ..envelope import Envelope, Recipient
from ..submission import Submission
from ..verdict import OK, Reply

log = logging.getLogger("penstock.capture")

CANNOT_KEEP: Final = Reply(452, "4.3.1", "The message cannot be kept now; try again later")
ENOUGH: Final = Reply(451, "4.3.2", "The capture is over; try again later")


@dataclass(frozen=True, slots=True)
class Kept:
    """An arrival and the file it is in, with what goes on; where it is in none, `reply` says why."""

    arrival: Arrival
    file: Path | None
    reply: Reply
    groups: Sequence[Submission] = ()


class Keeper:
    """A pipeline that keeps mail in `folder` and changes none; the port may call it from any thread.

    `limit` is how many arrivals are kept, None for all; what comes then is deferred. `tell` is called with
    each that was kept, and the replies to it.
    """

    def __init__(self, folder: Path, limit: int | None, tell: Callable[[Kept, Sequence[Reply]], None]) -> None:
        self._folder = folder
        self._limit = limit
        self._tell = tell
        self._count = 0
        self._numbers = itertools.count(1 + max(map(_number, folder.iterdir()), default=0))
        self._lock = threading.Lock()

    def recipient(self, envelope: Envelope, recipient: Recipient) -> Reply | None:
        """Every recipient is welcome."""
        return None

    def decide(self, arrival: Arrival, give_up: Callable[[Reply], None]) -> Kept:
        """Keep the arrival; what is to go on is the same as came."""
        with self._lock:
            if self._count == self._limit:
                return Kept(arrival, None, ENOUGH)
            try:
                file = self._keep(arrival)
            except OSError as error:
                log.error("event=not-kept queue_id=%s error=%r", arrival.envelope.queue_id, str(error))
                return Kept(arrival, None, CANNOT_KEEP)
            self._count += 1
        return Kept(arrival, file, OK, [Submission(arrival.envelope, arrival.message)])

    def settle(self, decision: Kept, results: Sequence[Sequence[Reply]]) -> Sequence[Reply]:
        """What the way back said; where one reply must do for all, the one that loses no mail."""
        each = results[0] if results else [decision.reply] * len(decision.arrival.envelope.recipients)
        replies = each if decision.arrival.replies_each else [_for_all(each)]
        if decision.file is not None:
            self._tell(decision, replies)
        return replies

    def _keep(self, arrival: Arrival) -> Path:
        file = self._folder / f"{next(self._numbers):04}-{_name(arrival)}.eml"
        side, beside = file.with_name(f"{file.name}.json"), file.with_name(f".{file.name}")
        envelope = json.dumps(arrival.envelope.as_dict(), indent=2) + "\n"  # stray octets as ASCII escapes
        _write(side, [envelope.encode("ascii")])
        try:
            _write(beside, arrival.message.chunks())
            beside.rename(file)
            _sync(self._folder)
        except OSError:
            for piece in (file, beside, side):
                piece.unlink(missing_ok=True)
            raise
        return file


def _for_all(replies: Sequence[Reply]) -> Reply:
    """A reply that defers goes before one that refuses, and that before an acceptance: rather twice than never."""
    return max(replies, key=lambda reply: (reply.is_temporary, not reply.is_ok))


def _name(arrival: Arrival) -> str:
    """What the subject says, in letters that are the same in a file name and on a command line."""
    words = _WORDS.findall((arrival.message["Subject"] or "").lower())
    return "-".join(words)[:_LONGEST].strip("-") or "message"


def _number(file: Path) -> int:
    numbered = _NUMBERED.match(file.name)
    return int(numbered[1]) if numbered else 0


def _write(file: Path, content: Iterable[bytes | memoryview]) -> None:
    """Write a file that is not there yet, for the eyes of its owner, and wait until the disk has it."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as new:
            new.writelines(content)
            new.flush()
            os.fsync(descriptor)
    except OSError:
        file.unlink(missing_ok=True)
        raise


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_WORDS: Final = re.compile(r"[a-z0-9]+")
_LONGEST: Final = 40
_NUMBERED: Final = re.compile(r"\.?([0-9]{1,9})-")
