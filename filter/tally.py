"""Two counts of this process, by which one sees that each message is parsed once.

A message that arrives at a door is scanned once there, however many handlers look at it for however many recipients.
So of mail that only passes there are as many scans as messages. What is no arrival adds scans of its own: a letter,
a message that is taken out of the store, an attached message that lies in an encoding.
"""

from __future__ import annotations

import threading
from typing import Final


class Tally:
    """A count that any thread may add to."""

    __slots__ = ("_guard", "value")

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self.value = 0

    def add(self) -> None:
        """Count one more."""
        with self._guard:
            self.value += 1


MESSAGES: Final = Tally()
"""Messages that arrived: once at each door that they came to."""

SCANS: Final = Tally()
"""Messages that were scanned."""
