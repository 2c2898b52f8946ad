"""The outbox: letters wait here, committed with the state that they belong to, until Postfix has them.

A sender claims a letter with a lease, and gives back what it cannot send in good time; when it dies, the lease
runs out and another takes the letter over. So a letter is never lost, and is sent twice only where the
connection died between Postfix's 250 and its recording. A refusal for good keeps the letter as held mail.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from ..effects import Held
from ..envelope import Envelope, Recipient
from ..letters import Letter
from ..message import Message
from ..submission import Submission
from ..verdict import Reply
from . import contents, held
from .rows import moment, storable, when
from .schema import outbox

LEASE: Final = timedelta(minutes=15)
"""How long a letter is nobody else's; well over what `SENDING` and one slow transaction take together."""

SENDING: Final = timedelta(minutes=3)
"""After how long a sender gives back what it has not begun to send."""

FIRST_RETRY: Final = timedelta(seconds=5)
LAST_RETRY: Final = timedelta(hours=1)
GIVE_UP: Final = timedelta(days=5)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A letter in the outbox; `owner` has claimed it."""

    number: int
    handler: str
    message_id: str
    envelope: Envelope
    verp: bool
    content: int
    created: datetime
    due: datetime
    attempts: int
    last_reply: str | None
    owner: str | None

    def submission(self, message: Message) -> Submission:
        """The letter as a transaction with Postfix."""
        return Submission(self.envelope, message, self.verp)

    @property
    def recipients(self) -> tuple[str, ...]:
        """Who has not got it yet."""
        return tuple(recipient.address for recipient in self.envelope.recipients)


def add(connection: Connection, letter: Letter, now: datetime) -> None:
    """Put a letter into the outbox, due at once."""
    row = {
        "handler": letter.handler, "message_id": storable(letter.message_id), "envelope": _envelope(letter).as_dict(),
        "verp": letter.verp, "content": contents.write(connection, letter.message), "created": when(now),
        "due": when(now), "attempts": 0,
    }  # fmt: skip
    connection.execute(_INSERT, row)


def claim(connection: Connection, owner: str, now: datetime, most: int) -> list[Waiting]:
    """Take letters that are due and nobody else's, oldest first, for the time of a lease.

    What lies further ahead than anything is ever put off was written before the clock was set back: it is due.
    """
    lease, due = outbox.c.lease, outbox.c.due
    free = or_(lease.is_(None), lease < when(now), lease > when(now + LEASE))
    come = or_(due <= when(now), due > when(now + LAST_RETRY))
    wanted = select(outbox).where(come, free).order_by(outbox.c.id).limit(most)
    rows = connection.execute(wanted.with_for_update(skip_locked=True)).mappings().all()
    numbers = [row["id"] for row in rows]
    until = when(now + LEASE)
    connection.execute(update(outbox).where(outbox.c.id.in_(numbers)).values(lease=until, owner=owner))
    return [replace(waiting_of(row), owner=owner) for row in rows]


def release(connection: Connection, owner: str, letters: Sequence[Waiting]) -> None:
    """Give claimed letters back untried: whoever comes first may take them."""
    numbers = [letter.number for letter in letters]
    mine = update(outbox).where(outbox.c.id.in_(numbers), outbox.c.owner == owner)
    connection.execute(mine.values(lease=None, owner=None))


def release_all(connection: Connection, owners: Collection[str]) -> int:
    """Give back all that these owners have claimed, who are dead; returns how many letters."""
    theirs = update(outbox).where(outbox.c.owner.in_(owners))
    return connection.execute(theirs.values(lease=None, owner=None)).rowcount


def settle(
    connection: Connection, letter: Waiting, replies: Sequence[Reply], now: datetime, expires: datetime | None
) -> None:
    """Record what Postfix said of recipients: taken, to be tried again, or refused and so held.

    `replies` are for the first recipients, in order; the turn of others comes at once, unless none of these was served.
    Who took longer than the lease may find that another has the letter, or that its number is another letter's by now:
    then nothing is recorded.
    """
    ours = (outbox.c.id == letter.number, outbox.c.owner == letter.owner, outbox.c.created == when(letter.created))
    if connection.execute(select(outbox.c.id).where(*ours).with_for_update()).first() is None:
        return
    late = now - letter.created > GIVE_UP
    recipients = letter.envelope.recipients
    untried = recipients[len(replies) :]
    failed = [pair for pair in zip(recipients, replies, strict=False) if not pair[1].is_ok]
    given_up = [pair for pair in failed if late or pair[1].is_permanent]
    again = [pair for pair in failed if not (late or pair[1].is_permanent)]
    if given_up:
        _hold(connection, letter, given_up, now, expires)
    if not (again or untried):
        connection.execute(delete(outbox).where(outbox.c.id == letter.number))
        contents.remove(connection, letter.content)
        return
    at_once = bool(untried) and len(again) < len(replies)
    wait = min(FIRST_RETRY * 2 ** min(letter.attempts, 20), LAST_RETRY)
    connection.execute(
        update(outbox)
        .where(outbox.c.id == letter.number)
        .values(
            envelope=letter.envelope.to(*untried, *(recipient for recipient, _ in again)).as_dict(),
            attempts=letter.attempts if at_once else letter.attempts + 1,
            due=when(now if at_once else now + wait),
            last_reply=str(again[0][1]) if again else letter.last_reply,
            lease=None,
            owner=None,
        )
    )


def listed(connection: Connection) -> list[Waiting]:
    """All letters in the outbox, oldest first."""
    return [waiting_of(row) for row in connection.execute(select(outbox).order_by(outbox.c.id)).mappings()]


def waiting_of(row: Any) -> Waiting:
    """A row as a letter."""
    return Waiting(
        number=row["id"], handler=row["handler"], message_id=row["message_id"],
        envelope=Envelope.from_dict(row["envelope"]), verp=row["verp"], content=row["content"],
        created=moment(row["created"]), due=moment(row["due"]), attempts=row["attempts"],
        last_reply=row["last_reply"], owner=row["owner"],
    )  # fmt: skip


def next_due(connection: Connection) -> datetime | None:
    """When the next letter is due, or when a lease runs out."""
    soonest = connection.execute(select(func.min(func.coalesce(outbox.c.lease, outbox.c.due)))).scalar()
    return moment(soonest)


_INSERT: Final = insert(outbox)


def _hold(
    connection: Connection, letter: Waiting, refused: list[tuple[Recipient, Reply]], now: datetime,
    expires: datetime | None,
) -> None:  # fmt: skip
    envelope = letter.envelope.to(*(recipient for recipient, _ in refused))
    reason = f"a letter could not be delivered: {refused[0][1]}"
    message = contents.read(connection, letter.content)
    mail = Held(
        envelope, message, letter.handler, reason, expires=expires, attempts=letter.attempts + 1, done=True,
        verp=letter.verp,
    )  # fmt: skip
    held.add(connection, mail, now)


def _envelope(letter: Letter) -> Envelope:
    """The envelope of a letter: it says what the content and the addresses need of every relay."""
    addresses = (letter.sender, *letter.recipients)
    utf8 = letter.smtputf8 or not all(address.isascii() for address in addresses)
    body = "7BIT" if letter.message.is_ascii else "8BITMIME"
    return Envelope(letter.sender, body=body, smtputf8=utf8).to(*letter.recipients)
