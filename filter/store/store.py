"""The store as the pipeline and the commands see it: what can be asked, and units of work."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ..effects import Conversation, Held, Key
from ..handler import Tables
from ..letters import Letter
from ..message import Message
from ..receipt import Receipt
from ..spool import Spool
from ..verdict import Reply
from . import contents, held, outbox, receipts, schemas, work
from .custody import Custody
from .failures import Clash
from .ledger import LedgerBook
from .opening import CONNECTIONS, open_databases
from .rows import when
from .schema import conversations, pending, settings
from .sqlite import SQLite


class Store:
    """One database. `url` is SQLAlchemy's; on SQLite the ledger gets a file beside it."""

    def __init__(self, url: str, spool: Spool | None = None, *, connections: int = CONNECTIONS) -> None:
        """Large messages are read into the `spool`. `connections` is how many to PostgreSQL there may be.

        Raises StoreError for a URL that cannot be used.
        """
        self._database, ledger = open_databases(url, connections)
        self._database.carry(spool=spool or Spool())
        self._known = receipts.known(self._database)
        self.ledger = LedgerBook(ledger)

    def prepare(self, *tables: Tables) -> None:
        """See that the tables of the core and of handlers are as the code needs them.

        On SQLite, which nobody else looks after, those of which nothing is there are made. Raises StoreError, which
        names the command that mends it, and what the database raises.
        """
        if isinstance(self._database, SQLite):
            self.create(*tables)
        found = []
        for branch in self.branches(*tables):
            with branch.database.reading() as connection:
                found.append(schemas.find(branch, connection))
        schemas.check(found)

    def create(self, *tables: Tables) -> None:
        """Make the tables of the core and of handlers of which nothing is there."""
        for branch in self.branches(*tables):
            schemas.make_missing(branch)

    def branches(self, *tables: Tables) -> list[schemas.Branch]:
        """What the store is made of: the core, the ledger, and what handlers keep."""
        return schemas.branches(self._database, self.ledger.database, tables)

    def close(self) -> None:
        """Close all connections."""
        self._known.close()
        self._database.close()
        self.ledger.close()

    def work(self, now: datetime, *, after: work.Work | None = None) -> work.Work:
        """A unit of work for one decision; `after` is the last try at it, which clashed."""
        return work.Work(self._database, now, after=after)

    def secret(self) -> bytes:
        """The secret that tokens are signed with: 32 octets, made on first use, shared by all who share the store."""
        with self._database.reading() as connection:
            wanted = select(settings.c.value).where(settings.c.name == "secret")
            if (found := connection.execute(wanted).scalar()) is not None:
                return bytes(found)
        try:
            with self._database.writing() as connection:
                connection.execute(insert(settings).values(name="secret", value=secrets.token_bytes(32)))
        except IntegrityError:
            pass  # another process was first: its secret is the one
        with self._database.reading() as connection:
            return bytes(connection.execute(wanted).scalar_one())

    # Receipts

    def has_receipts(self, arrival: str) -> bool:
        """Whether any receipt may concern this arrival."""
        return self._known(arrival)

    def receipts(self, arrival: str, digest: str) -> dict[str, Receipt]:
        """The receipts of a message, by recipient key."""
        with self._database.reading() as connection:
            return receipts.find(connection, arrival, digest)

    def settle(
        self, arrival: str, digest: str, changed: Sequence[Receipt], *, now: datetime,
        held_: Iterable[Held] = (), letters: Iterable[Letter] = (),
    ) -> None:  # fmt: skip
        """Record what became of results, with the mail that is held for it and the notices about it."""
        held_, letters = tuple(held_), tuple(letters)

        def change(connection: Connection) -> None:
            for mail in held_:
                held.add(connection, mail, now)
            for letter in letters:
                outbox.add(connection, letter, now)
            receipts.settle(connection, arrival, digest, changed)

        self._database.apply((), change)

    def attempts(self, arrival: str, recipient: str, handler: str) -> int:
        """How often a handler has failed at a message."""
        with self._database.reading() as connection:
            return receipts.attempts_at(connection, arrival, recipient, handler)

    def count_attempt(self, arrival: str, recipient: str, handler: str, now: datetime) -> None:
        """Count a failure of a handler at a message."""
        counting = receipts.counting(self._database, arrival, recipient, handler, now)
        self._database.apply((), lambda connection: connection.execute(counting))

    # The outbox

    def claim(self, owner: str, now: datetime, most: int = 50) -> list[outbox.Waiting]:
        """Letters to send, leased to `owner`, oldest first."""
        with self._database.reading() as connection:
            soonest = outbox.next_due(connection)
        if soonest is None or now < soonest <= now + outbox.LAST_RETRY:
            return []
        with self._database.writing() as connection:
            return outbox.claim(connection, owner, now, most)

    def release_letters(self, owner: str, letters: Sequence[outbox.Waiting]) -> None:
        """Give letters that `owner` claimed back untried."""
        if letters:
            with self._database.writing() as connection:
                outbox.release(connection, owner, letters)

    def release_letters_of(self, owners: Collection[str]) -> int:
        """Give back all letters that these owners have claimed, who are dead; returns how many."""
        with self._database.writing() as connection:
            return outbox.release_all(connection, owners)

    def letter(self, waiting: outbox.Waiting) -> Message:
        """The message of a letter."""
        with self._database.reading() as connection:
            return contents.read(connection, waiting.content)

    def settle_letter(
        self, letter: outbox.Waiting, replies: Sequence[Reply], now: datetime, expires: datetime | None
    ) -> None:
        """Record what Postfix said of a letter's recipients, or of the first of them, in order."""
        self._database.apply((), lambda connection: outbox.settle(connection, letter, replies, now, expires))

    def waiting(self) -> list[outbox.Waiting]:
        """All letters in the outbox, oldest first."""
        with self._database.reading() as connection:
            return outbox.listed(connection)

    def next_due(self) -> datetime | None:
        """When there will be something to send."""
        with self._database.reading() as connection:
            return outbox.next_due(connection)

    # Conversations, held mail

    def conversation(self, key: Key) -> Conversation:
        """The stored conversation, or one in START."""
        with self._database.reading() as connection:
            return work.load_conversation(connection, key)

    def conversations(self) -> list[Conversation]:
        """All conversations that are not in START."""
        with self._database.reading() as connection:
            return [work.conversation_of(row) for row in connection.execute(select(conversations)).mappings()]

    def due_conversations(self, now: datetime, handlers: Iterable[str], most: int = 100) -> list[Conversation]:
        """Conversations of these handlers whose deadline has come, the latest last."""
        c = conversations.c
        wanted = select(conversations).where(c.deadline <= when(now), c.handler.in_(list(handlers)))
        with self._database.reading() as connection:
            rows = connection.execute(wanted.order_by(c.deadline).limit(most)).mappings()
            return [work.conversation_of(row) for row in rows]

    def claim_conversation(self, due: Conversation, until: datetime, now: datetime) -> Conversation | None:
        """Put the deadline of a due conversation off, so that nobody else finds it due; None where another was first.

        Returns the conversation as it is stored now.
        """
        claimed = replace(due, deadline=until)
        try:
            self._database.apply([due.key], lambda connection: work.store_conversation(connection, claimed, now))
        except Clash:
            return None
        return replace(claimed, version=due.version + 1)

    def held(self) -> list[held.HeldMail]:
        """All held mail, oldest first."""
        with self._database.reading() as connection:
            return held.listed(connection)

    def custody(self, who: str, now: datetime) -> Custody:
        """What is kept, as a person deals with it."""
        return Custody(self._database, who, now)

    def sweep(self, now: datetime, receipt_life: timedelta) -> None:
        """Delete what is over: questions, receipts, held mail, counts."""
        with self._database.writing() as connection:
            over = select(pending.c.digest, pending.c.content).where(pending.c.expires <= when(now))
            for digest, content in connection.execute(over).all():
                connection.execute(pending.delete().where(pending.c.digest == digest))
                contents.remove(connection, content)
            held.expire(connection, now)
            receipts.expire(connection, now - receipt_life)
        self.ledger.expire(now)

    def looking(self) -> Session:
        """A session for reading handlers' own rows."""
        return Session(bind=self._database.reading())
