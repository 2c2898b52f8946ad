"""Looking: which parts of a message a rule matches, and what rules cannot see. Nothing is changed here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from penstock import Message, Part

from .look import Look, is_encoded
from .names import shown_name
from .options import Rule

MOST_WRAPPINGS: Final = 5
"""How many attached messages in encoded form are opened within each other."""


@dataclass(frozen=True)
class Finding:
    """A part that a rule matches. `name` is for people; `size` is of the content, in octets."""

    part: Part
    rule: Rule
    name: str
    size: int

    @property
    def is_sealed(self) -> bool:
        """Whether the part is within a signed or encrypted multipart, such as one of an attached message."""
        return any(around.content_type in _SEALED for around in _within(self.part))

    def as_dict(self) -> dict[str, Any]:
        """What later handlers are told."""
        kind = self.part.content_type
        return {"rule": self.rule.name, "action": self.rule.action, "name": self.name, "type": kind, "size": self.size}


def looks(message: Message) -> list[Look]:
    """The parts of a message, in their order, as rules see them."""
    return [Look(part) for part in message.walk()]


def find(parts: Iterable[Look], rules: Sequence[Rule]) -> list[Finding]:
    """The parts that a rule matches, in their order, each with the first such rule; none within another."""
    found: list[Finding] = []
    taken: set[int] = set()
    for look in parts:
        part = look.part
        if taken and id(part.parent) in taken:
            taken.add(id(part))
        elif rule := _rule_for(look, rules, MOST_WRAPPINGS):
            found.append(Finding(part, rule, shown_name(part), len(part.content)))
            if rule.action != "pass":
                taken.add(id(part))
    return found


def unreadable(message: Message, parts: Iterable[Look], depth: int = MOST_WRAPPINGS) -> str | None:
    """Why rules cannot see all of the message, in words for its sender; None where they can."""
    for defect in message.defects:
        if defect.text.startswith(_UNREAD):
            return defect.text.partition(":")[0]
    for look in parts:
        if look.kind in _ELSEWHERE:
            return f"it has a part of type {look.kind}"
        if why := _ambiguous(look):
            return why
        for inside in look.wrapped():
            if not depth:
                return "attached messages are nested too deep"
            if why := unreadable(inside, looks(inside), depth - 1):
                return why
    return None


def _ambiguous(look: Look) -> str | None:
    """Why programs may make different things of the part, so that what rules see is not what a person gets."""
    part = look.part
    for name in _SINGLE:
        if len(part.get_all(name)) > 1:
            return f"it has two {name} fields in one header"
    if look.kind.startswith("multipart/") and (kind := part.field("Content-Type")) is not None:
        if len(_BOUNDARY.findall(kind.raw)) > 1:
            return "it has a multipart with two boundaries"
        if not part.parts and not is_encoded(part) and _DASHES.search(part.content):
            return "it has a multipart that does not show its parts"
    encoding = part.get("Content-Transfer-Encoding", "").lower()
    if encoding and not _PLAIN_ENCODING.match(encoding) and any(word in encoding for word in _DECODED_BY_SOME):
        return "it has a part in an encoding of its own"
    return None


def _rule_for(look: Look, rules: Sequence[Rule], depth: int) -> Rule | None:
    """The first rule that matches the part, or something in a message that it holds in encoded form."""
    for rule in rules:
        if look.fits(rule):
            return rule
    for message in look.wrapped() if depth else ():
        for inside in looks(message):
            rule_inside = _rule_for(inside, rules, depth - 1)
            if rule_inside and rule_inside.action != "pass":
                return rule_inside
    return None


def _within(part: Part) -> Iterator[Part]:
    while part.parent is not None:
        part = part.parent
        yield part


_SEALED: Final = {"multipart/signed", "multipart/encrypted"}
_ELSEWHERE: Final = {"message/partial", "message/external-body"}
_SINGLE: Final = ("Content-Type", "Content-Transfer-Encoding")
_BOUNDARY: Final = re.compile(rb"[;\s]boundary[*0-9]*\s*=", re.IGNORECASE)
_DASHES: Final = re.compile(rb"^--", re.MULTILINE)
_PLAIN_ENCODING: Final = re.compile(r"\s*(?:base64|quoted-printable)(?:[\s;]|$)")
_DECODED_BY_SOME: Final = ("base64", "quoted", "uue", "uuencode", "yenc", "binhex")
_UNREAD: Final = ("too many parts", "nested too deep")
