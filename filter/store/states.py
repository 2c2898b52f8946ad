"""Conversations as a person deals with them: found by what they have in common, or by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, or_, select

from ..effects import Conversation, Key
from .rows import moment, when
from .schema import conversations
from .which import Which
from .work import conversation_of


@dataclass(frozen=True, slots=True)
class KeptConversation:
    """A conversation, and when it was last changed."""

    conversation: Conversation
    changed: datetime

    @property
    def name(self) -> str:
        return name_of(self.conversation.key)


def name_of(key: Key) -> str:
    """What a person calls a conversation: HANDLER/SENDER/RESOURCE."""
    return f"{key.handler}/{key.sender}/{key.resource}"


def find(connection: Connection, which: Which) -> list[KeptConversation]:
    """The conversations that are meant, by handler, sender and resource. `since` is about the last change."""
    c = conversations.c
    return _found(connection, which, select(conversations).order_by(c.handler, c.sender, c.resource))


def named(connection: Connection, names: Iterable[str]) -> dict[str, KeptConversation]:
    """The conversations of these names, as far as there are any.

    A sender or a resource may hold a slash itself; where a name can be read in two ways, the shortest sender counts.
    """
    found = {}
    for name in names:
        c = conversations.c
        ways = [and_(c.handler == k.handler, c.sender == k.sender, c.resource == k.resource) for k in _readings(name)]
        if ways:
            row = connection.execute(select(conversations).where(or_(*ways)).order_by(c.sender)).mappings().first()
            if row is not None:
                found[name] = _read(row)
    return found


def timed(connection: Connection, which: Which, until: datetime | None) -> list[KeptConversation]:
    """The conversations that are meant and have a deadline, at the latest `until`; the first deadline first."""
    c = conversations.c
    wanted = select(conversations).where(c.deadline.is_not(None)).order_by(c.deadline)
    return _found(connection, which, wanted if until is None else wanted.where(c.deadline <= when(until)))


def _found(connection: Connection, which: Which, wanted: Select[Any]) -> list[KeptConversation]:
    wanted = wanted.where(*which.columns(conversations, "changed"))
    if which.resource is not None:
        wanted = wanted.where(conversations.c.resource == which.resource)
    found = (_read(row) for row in connection.execute(wanted).mappings())
    return [each for each in found if which.means(each.conversation.key.sender)]


def _read(row: Any) -> KeptConversation:
    return KeptConversation(conversation_of(row), moment(row["changed"]))


def _readings(name: str) -> list[Key]:
    handler, *parts = name.split("/")
    return [Key(handler, "/".join(parts[:cut]), "/".join(parts[cut:])) for cut in range(1, len(parts))]
