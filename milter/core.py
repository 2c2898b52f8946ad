"""What the door asks of the core: what it wants to see, a word on each recipient, and one on the whole message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..filter.arrival import Arrival
from ..filter.envelope import Envelope, Recipient
from ..filter.judgement import Judgement, Wants
from ..filter.verdict import Discard, Reply


class Core(Protocol):
    """The pipeline as the milter sees it. No method raises, but for a fault in the program."""

    @property
    def wants(self) -> Wants:
        """What Postfix need send at all."""

    def at_rcpt(self, envelope: Envelope, recipient: Recipient) -> Reply | Discard | None:
        """At RCPT: the reply that refuses this recipient, Discard to drop it alone, None to go on.

        `envelope` has no recipients yet.
        """

    def judge(self, arrival: Arrival, give_up: Callable[[Reply], None]) -> Judgement:
        """At the end of a message: what becomes of it.

        When handlers take too long `give_up` is called from another thread with the reply; GivenUp is raised when
        they end at last.
        """
