"""Conversations on the command line: found by name or by what they have in common, and shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..store import Custody, KeptConversation, Which
from .meaning import one_way
from .program import Trouble


def described(kept: Custody) -> list[tuple[str, str]]:
    """The names of all conversations, and their states, for completion."""
    return [(each.name, each.conversation.state) for each in kept.conversations(Which())]


def found(kept: Custody, names: Sequence[str], which: Which, *, everything: bool) -> list[KeptConversation]:
    """What is meant, said in one way. Raises Trouble where nothing is meant, or not all names are known."""
    one_way("names", tuple(names), which, everything=everything)
    return by_name(kept, names) if names else some(kept.conversations(which))


def by_name(kept: Custody, names: Sequence[str]) -> list[KeptConversation]:
    """The conversations of these names. Raises Trouble where one is not known."""
    known = kept.named(names)
    missing = [name for name in names if name not in known]
    if missing:
        raise Trouble(
            f"no conversation {', '.join(missing)} (a name is HANDLER/SENDER/RESOURCE); one in START is not stored; "
            "`penstock state list` shows what is"
        )
    return [known[name] for name in names]


def some(conversations: list[KeptConversation]) -> list[KeptConversation]:
    """Conversations. Raises Trouble where there are none."""
    if not conversations:
        raise Trouble("no such conversation; `penstock state list` shows what there is")
    return conversations


def plain(kept: KeptConversation) -> dict[str, Any]:
    """A conversation as JSON has it."""
    found, key = kept.conversation, kept.conversation.key
    return {
        "name": kept.name, "handler": key.handler, "sender": key.sender, "resource": key.resource,
        "state": found.state, "deadline": found.deadline, "changed": kept.changed, "version": found.version,
        "blanks": dict(found.blanks),
    }  # fmt: skip
