"""Looking: which parts of a message a rule matches. Nothing is changed here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property, lru_cache
from typing import Any, Final

from penstock import Message, Part

from .content import needs_library, types_of
from .names import names_of, shown_name, uuencoded_names
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


def find(message: Message, rules: Sequence[Rule]) -> list[Finding]:
    """The parts that a rule matches, in their order, each with the first such rule; none within another."""
    found: list[Finding] = []
    taken: set[int] = set()
    for part in message.walk():
        if id(part.parent) in taken:
            taken.add(id(part))
        elif rule := _rule_for(part, rules, MOST_WRAPPINGS):
            found.append(Finding(part, rule, shown_name(part), len(part.content)))
            if rule.action != "pass":
                taken.add(id(part))
    return found


def unreadable(message: Message, depth: int = MOST_WRAPPINGS) -> str | None:
    """Why rules cannot see all of the message, in words for its sender; None where they can."""
    defects = (defect.text for defect in message.defects)
    if why := next((text.partition(":")[0] for text in defects if text.startswith(_UNREAD)), None):
        return why
    for part in message.walk():
        if part.content_type in _ELSEWHERE:
            return f"it has a part of type {part.content_type}"
        if why := _ambiguous(part):
            return why
        for inside in _wrapped(part, names_of(part)):
            if why := unreadable(inside, depth - 1) if depth else "attached messages are nested too deep":
                return why
    return None


def _ambiguous(part: Part) -> str | None:
    """Why programs may make different things of the part, so that what rules see is not what a person gets."""
    if twice := next((name for name in _SINGLE if len(part.get_all(name)) > 1), None):
        return f"it has two {twice} fields in one header"
    kind = part.field("Content-Type")
    if kind is not None and part.content_type.startswith("multipart/"):
        if len(_BOUNDARY.findall(kind.raw)) > 1:
            return "it has a multipart with two boundaries"
        if not part.parts and not _is_encoded(part) and _DASHES.search(part.content):
            return "it has a multipart that does not show its parts"
    encoding = part.get("Content-Transfer-Encoding", "").lower()
    if not _PLAIN_ENCODING.match(encoding) and any(word in encoding for word in _DECODED_BY_SOME):
        return "it has a part in an encoding of its own"
    return None


class _Look:
    """A part as rules see it, each side of it looked at only when a rule asks."""

    def __init__(self, part: Part, rules: Sequence[Rule]) -> None:
        self.part = part
        self.rules = rules

    @cached_property
    def names(self) -> tuple[str, ...]:
        inside = uuencoded_names(self.part.content) if self.part.content_type.startswith("text/") else ()
        return (*names_of(self.part), *inside)

    @cached_property
    def content(self) -> tuple[str, ...]:
        if self.part.parts:
            return ()
        return types_of(self.part.content, thorough=any(needs_library(rule.content) for rule in self.rules))

    def matches(self, rule: Rule) -> bool:
        return (
            (not rule.names or _any(self.names, rule.names))
            and (not rule.types or _any((self.part.content_type,), rule.types))
            and (rule.larger_than is None or len(self.part.content) > rule.larger_than)
            and (not rule.content or _any(self.content, rule.content))
        )


def _rule_for(part: Part, rules: Sequence[Rule], depth: int) -> Rule | None:
    """The first rule that matches the part, or something in a message that it holds in encoded form."""
    look = _Look(part, rules)
    if own := next((rule for rule in rules if look.matches(rule)), None):
        return own
    inside = (p for message in _wrapped(part, look.names) for p in message.walk()) if depth else ()
    found = (_rule_for(part, rules, depth - 1) for part in inside)
    return next((rule for rule in found if rule and rule.action != "pass"), None)


def _wrapped(part: Part, names: tuple[str, ...]) -> Iterator[Message]:
    """The message in a part whose form hides it: encoded against RFC 2045 section 6.4, or sent as a file."""
    if part.parts:
        return
    if part.content_type in _MESSAGES or any(name.endswith(".eml") for name in names):
        yield Message(part.content)
    elif part.content_type.startswith("multipart/") and _is_encoded(part) and (kind := part.field("Content-Type")):
        yield Message(kind.raw + b"\r\n" + part.content)


def _is_encoded(part: Part) -> bool:
    return part.get("Content-Transfer-Encoding", "").strip().lower() in ("base64", "quoted-printable")


def _within(part: Part) -> Iterator[Part]:
    while part.parent is not None:
        part = part.parent
        yield part


def _any(values: Sequence[str], patterns: tuple[str, ...]) -> bool:
    return any(_alternatives(patterns).fullmatch(value) for value in values)


@lru_cache(maxsize=1024)
def _alternatives(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(pattern.lower()) for pattern in patterns))


_SEALED: Final = {"multipart/signed", "multipart/encrypted"}
_MESSAGES: Final = {"message/rfc822", "message/global", "message/news"}
_ELSEWHERE: Final = {"message/partial", "message/external-body"}
_SINGLE: Final = ("Content-Type", "Content-Transfer-Encoding")
_BOUNDARY: Final = re.compile(rb"[;\s]boundary[*0-9]*\s*=", re.IGNORECASE)
_DASHES: Final = re.compile(rb"^--", re.MULTILINE)
_PLAIN_ENCODING: Final = re.compile(r"\s*(?:base64|quoted-printable)(?:[\s;]|$)")
_DECODED_BY_SOME: Final = ("base64", "quoted", "uue", "uuencode", "yenc", "binhex")
_UNREAD: Final = ("too many parts", "nested too deep")
