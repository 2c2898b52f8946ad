"""Two counts of this process, by which one sees that each message is parsed once.

A message that arrives at a door is scanned once there, however many handlers look at it for however many recipients.
So of mail that only passes there are as many scans as messages. What is no arrival adds scans of its own: a letter,
a message that is taken out of the store, an attached message that lies in an encoding.
"""

from __future__ import annotations

import itertools
import threading
from typing import Final


class Tally:
    """A count that any thread may add to. To add takes no lock: it happens for every message."""

    __slots__ = ("_guard", "_numbers", "_reads", "add")

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self.add = self._numbers.__next__
        self._reads = 0
        self._guard = threading.Lock()

    @property
    def value(self) -> int:
        """How often `add` was called."""
        with self._guard:
            self._reads += 1                       # to look takes a number, too
            return next(self._numbers) + 1 - self._reads


MESSAGES: Final = Tally()
"""Messages that arrived: once at each door that they came to."""

SCANS: Final = Tally()
"""Messages that were scanned."""
