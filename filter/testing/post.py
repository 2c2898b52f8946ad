"""The post: how the mail of a test goes. `MemoryPost` hands it over, `LivePost` sends it through Postfix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from ..decision import Decision
from ..envelope import Client, Envelope, Recipient
from ..message import Message
from ..verdict import Reply
from .got import Got
from .inside import Inside

LOCAL: Final = Client(source="LOCAL")
"""Who brings a letter that comes back in."""

MOST_ROUNDS: Final = 100
"""How often letters may beget letters before that counts as a loop."""


class Post(Protocol):
    """Brings messages to the door and letters to their boxes. Each call returns when all has come to rest.

    What a handler raises is raised here.
    """

    def deliver(self, message: Message, envelope: Envelope) -> Got:
        """Bring a message, and send the letters that come of it."""

    def redeliver(self, got: Got) -> Got:
        """Bring the very same message again, and send the letters that come of it."""

    def send_letters(self) -> None:
        """Send the letters that are due, and those that come of them."""

    def close(self) -> None:
        """End what runs; what is under way is lost."""


MakesPost = Callable[[Inside], Post]


def admitted(
    got: Got, envelope: Envelope, *doors: Callable[[Envelope, Recipient], Reply | None]
) -> list[Recipient]:  # fmt: skip
    """The recipients that no door refuses at RCPT; `got` is told of the others."""
    allowed = []
    for recipient in envelope.recipients:
        refusals = (refuses(envelope, recipient) for refuses in doors)
        if refused := next(filter(None, refusals), None):
            got.refuse(recipient, refused)
        else:
            allowed.append(recipient)
    return allowed


def take(got: Got, decision: Decision) -> None:
    """Tell `got` what the handlers decided, and raise what one of them raised.

    The exception is the test's matter then: what became of the mail needs no assertion.
    """
    got.decide(decision)
    for outcome in decision.outcomes.values():
        if outcome.failure is not None and outcome.failure.counts:
            got.asserted = True
            raise outcome.failure.exception
