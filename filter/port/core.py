"""What the door asks of the core: three questions for each transaction.

`recipient` at RCPT, `decide` at the end of data, `settle` once everything is reinjected. Between
`decide` and `settle` stands the network, so no transaction of the store may stay open there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from ..arrival import Arrival
from ..envelope import Envelope, Recipient
from ..submission import Submission
from ..verdict import Reply


class Decision(Protocol):
    """What the handlers decided: the transactions to reinject, in order."""

    @property
    def groups(self) -> Sequence[Submission]: ...


D = TypeVar("D", bound=Decision)


class Pipeline(Protocol[D]):
    """The core as the door sees it. None of the three raises, but for a fault in the program."""

    def recipient(self, envelope: Envelope, recipient: Recipient) -> Reply | None:
        """At RCPT: the reply that refuses this recipient, or None. `envelope` has no recipients yet."""

    def decide(self, arrival: Arrival, give_up: Callable[[Reply], None]) -> D:
        """Run the handlers and commit what they did.

        When they take too long `give_up` is called from another thread with the reply for all recipients;
        GivenUp is raised when they end at last.
        """

    def settle(self, decision: D, results: Sequence[Sequence[Reply]]) -> Sequence[Reply]:
        """Record what became of the groups, and answer.

        `results[i][j]` is the reply for recipient j of `decision.groups[i]`. Returns one reply per
        recipient in RCPT order where `arrival.replies_each`, else exactly one.
        """
