"""The unit of work: one decision's changes, committed together or not at all.

Everything is buffered and applied at the end with version checks, so no transaction is open while
handlers run. Only `mail.db` opens one, when its turn comes at the database; the buffered effects then
join it. Each scope (the message as a whole, then each recipient) is kept or dropped by itself.

A decision that clashed too often has its transaction from the start: then nobody can come between, however many there
are at its conversations.

A run that is over its time limit is abandoned from the door's thread: its transaction is undone there
and then, its connection closed, so that a handler that never returns holds no lock.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, NestedTransaction, bindparam, delete, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from ..effects import Conversation, Effects, Held, Key, Pending
from ..handler import START
from ..receipt import Receipt
from . import contents, held, outbox, receipts
from .database import Change, Database
from .failures import Clash, is_clash, is_duplicate
from .rows import key_text, moment, storable, when
from .schema import conversations, pending


class Abandoned(Exception):
    """The run was over its time limit: its work is not wanted any more."""


class Work:
    """A unit of work. Runs happen in one thread; `commit` and `abandon` are the door's."""

    def __init__(self, database: Database, now: datetime, *, after: Work | None = None) -> None:
        """`after`: the last try at this decision, which clashed."""
        self.effects = Effects()
        self.kept = Effects()
        self._read: dict[Key, Conversation] = {}
        self._database = database
        self._now = now
        self._clashes: int = after._clashes + 1 if after is not None else 0
        self._connection: Connection | None = None
        self._savepoint: NestedTransaction | None = None
        self._session: Session | None = None
        self._abandoned = False
        self._guard = threading.Lock()
        if after is not None and self._clashes >= database.patience:
            self._connection = database.begin(after._keys)

    # `effects` are those of the scope that is open, `kept` those of the scopes before it.

    @property
    def has_effects(self) -> bool:
        """Whether there is anything to commit: buffered effects, or an open transaction of `mail.db`."""
        return bool(self.kept) or self._connection is not None

    # What runs read and write

    def conversation(self, key: Key) -> Conversation:
        """The conversation as runs before this one left it."""
        for effects in (self.effects, self.kept):
            if key in effects.moves:
                return effects.moves[key]
        if key not in self._read:
            with self._reading() as connection:
                self._read[key] = load_conversation(connection, key)
        return self._read[key]

    def pending(self, digest: str) -> Pending | None:
        """The question that a token answers, unless it is answered already."""
        if digest in self.effects.used or digest in self.kept.used:
            return None
        for asked in (*self.effects.pending, *self.kept.pending):
            if asked.digest == digest:
                return asked
        with self._reading() as connection:
            row = connection.execute(select(pending).where(pending.c.digest == digest)).mappings().first()
            if row is None:
                return None
            return Pending(
                digest=digest, handler=row["handler"], purpose=row["purpose"], facts=tuple(row["facts"]),
                sender=row["sender"], expires=moment(row["expires"]), message=contents.read(connection, row["content"]),
            )  # fmt: skip

    def session(self) -> Session:
        """The session of this scope; its first touch opens the transaction. Raises StoreError, Abandoned."""
        if self._abandoned:
            raise Abandoned
        if self._session is None:
            if self._connection is None:
                self._open()
            assert self._connection is not None
            if self._savepoint is None:
                self._savepoint = self._connection.begin_nested()
            self._session = Session(bind=self._connection, join_transaction_mode="create_savepoint")
        return self._session

    def is_clash(self, error: BaseException) -> bool:
        """Whether what a run raised says that it met another's transaction, and not that the run is wrong.

        A row that is in the way is a clash once: who finds it again on fresh copies has a row in the way.
        """
        return is_clash(error) or (is_duplicate(error) and not self._clashes)

    # Scopes

    def keep(self) -> None:
        """End a scope and keep its effects. Raises what the database says of the session's last changes."""
        if self._session is not None:
            self._session.commit()
            self._session.close()
            self._session = None
        if self._savepoint is not None:
            self._savepoint.commit()
            self._savepoint = None
        if self.effects:
            self.kept.absorb(self.effects)
            self.effects = Effects()

    def drop(self) -> None:
        """End a scope and forget its effects."""
        session, self._session = self._session, None
        savepoint, self._savepoint = self._savepoint, None
        self.effects = Effects()
        if session is not None:
            session.close()
        if savepoint is not None and savepoint.is_active:
            savepoint.rollback()

    # The end: one of these

    def commit(
        self, receipts_: Sequence[Receipt], held_: Iterable[Held], arrival: str, digest: str,
        also: Change = lambda connection: None,
    ) -> None:  # fmt: skip
        """Apply everything in one transaction, and `also` what it did not buffer.

        Raises Clash, and what the database raises; then nothing is kept.
        """

        def apply(connection: Connection) -> None:
            self._apply(connection)
            for mail in held_:
                held.add(connection, mail, self._now)
            receipts.add(connection, arrival, digest, receipts_, self._now)
            also(connection)

        try:
            if self._connection is None:
                self._database.apply(self._keys, apply)
            else:
                apply(self._connection)
                self._connection.commit()
        except DBAPIError as error:
            if isinstance(error, IntegrityError) or is_clash(error):
                raise Clash(str(error.orig)) from error
            raise
        finally:
            self.close()

    def close(self) -> None:
        """Undo what is not committed, and give connection and lock back."""
        if self._abandoned:
            return  # its connection is closed already
        connection = self._parted()
        self.drop()
        if connection is not None:
            self._database.end(connection)

    def abandon(self) -> None:
        """Undo everything from another thread than the one that runs."""
        self._abandoned = True
        connection = self._parted()
        if connection is not None:
            self._database.take_away(connection)

    def _parted(self) -> Connection | None:
        """The connection, for one caller alone: the run may end in the very moment in which it is given up."""
        with self._guard:
            connection, self._connection = self._connection, None
            return connection

    def _open(self) -> None:
        self._connection = self._database.begin(self._keys)
        if self._abandoned:  # while we waited for our turn
            self.abandon()
            raise Abandoned

    @property
    def _keys(self) -> set[Key]:
        """The conversations that this is about, as far as it is known by now."""
        return self._read.keys() | self.effects.moves.keys() | self.kept.moves.keys()

    def _reading(self) -> AbstractContextManager[Connection]:
        """The open transaction where there is one: who has it and waited for a second connection could wait long."""
        return self._database.reading() if self._connection is None else nullcontext(self._connection)

    def _apply(self, connection: Connection) -> None:
        for key, conversation in self._read.items():
            if key not in self.kept.moves:
                check_unchanged(connection, conversation)
        for conversation in self.kept.moves.values():
            store_conversation(connection, conversation, self._now)
        for digest in self.kept.used:
            _use_up(connection, digest, self.kept)
        for asked in self.kept.pending:
            if asked.digest not in self.kept.used:
                _ask(connection, asked)
        for letter in self.kept.letters:
            outbox.add(connection, letter, self._now)
        for mail in self.kept.held:
            held.add(connection, mail, self._now)


def load_conversation(connection: Connection, key: Key) -> Conversation:
    """The stored conversation, or one in START."""
    row = connection.execute(_READ, _which(key)).mappings().first()
    return Conversation(key) if row is None else conversation_of(row)


def conversation_of(row: Any) -> Conversation:
    """A row as a conversation."""
    return Conversation(
        key=Key(row["handler"], row["sender"], row["resource"]),
        state=row["state"], version=row["version"], deadline=moment(row["deadline"]), blanks=row["blanks"],
    )  # fmt: skip


def check_unchanged(connection: Connection, conversation: Conversation) -> None:
    """Raises Clash where a conversation is not as it was read: what was decided on it would come too late."""
    found = connection.execute(_VERSION, _which(conversation.key)).scalar()
    if (found or 0) != conversation.version:
        raise Clash(f"{conversation.key} was changed by another")


def store_conversation(connection: Connection, conversation: Conversation, now: datetime) -> None:
    """Write the conversation over the version that it was read as. Raises Clash if that is not there any more.

    A new row begins with a random version: one that was deleted and made anew must not look like the old one.
    """
    key = conversation.key
    row = {
        "state": conversation.state,
        "version": (conversation.version or secrets.randbits(30)) + 1,
        "deadline": when(conversation.deadline),
        "blanks": dict(conversation.blanks),
        "changed": when(now),
    }
    if conversation.version == 0:
        if conversation.state != START:
            named = {"handler": key.handler, "sender": key_text(key.sender), "resource": key_text(key.resource)}
            connection.execute(_INSERT, {**named, **row})
    elif conversation.state == START:
        _one(connection.execute(_DELETE, {**_which(key), "was": conversation.version}).rowcount, key)
    else:
        _one(connection.execute(_UPDATE, {**row, **_which(key), "was": conversation.version}).rowcount, key)


# Statements are made once: to make one costs more than to run it.

_KEY: Final = (
    conversations.c.handler == bindparam("of_handler"),
    conversations.c.sender == bindparam("of_sender"),
    conversations.c.resource == bindparam("of_resource"),
)
_SAME: Final = (*_KEY, conversations.c.version == bindparam("was"))
_READ: Final = select(conversations).where(*_KEY)
_VERSION: Final = select(conversations.c.version).where(*_KEY)
_INSERT: Final = insert(conversations)
_DELETE: Final = delete(conversations).where(*_SAME)
_UPDATE: Final = update(conversations).where(*_SAME)


def _which(key: Key) -> dict[str, str]:
    return {"of_handler": key.handler, "of_sender": key_text(key.sender), "of_resource": key_text(key.resource)}


def _one(changed: int, key: object) -> None:
    if changed != 1:
        raise Clash(f"{key} was changed by another")


def _use_up(connection: Connection, digest: str, effects: Effects) -> None:
    if any(asked.digest == digest for asked in effects.pending):
        return
    content = connection.execute(select(pending.c.content).where(pending.c.digest == digest)).scalar()
    _one(connection.execute(delete(pending).where(pending.c.digest == digest)).rowcount, "a token")
    contents.remove(connection, int(content or 0))


def _ask(connection: Connection, asked: Pending) -> None:
    connection.execute(
        insert(pending).values(
            digest=asked.digest, handler=asked.handler, purpose=asked.purpose, facts=list(asked.facts),
            sender=storable(asked.sender), expires=when(asked.expires),
            content=contents.write(connection, asked.message),
        )
    )  # fmt: skip
