"""Address patterns: literals and blanks, full match on an envelope recipient in lower case.

A pattern is literal text with blanks in braces:

    {listname}-join@{host}       a blank is one or more octets other than `@`
    {list}-{action:join|leave}@… words, parted by `|`; a dot is a dot, with or without a backslash
    ticket-{id:[0-9a-f]+}@…      one character class with one repeat: `+`, `{8}` or `{4,8}`

A stateless function may also take `*`: every recipient, even one that is no address of RFC 5321.

Nothing else of a regular expression is taken, so that a pattern can neither run away nor be misread.
Blanks without a shape of their own take the one that `[routing]` of the configuration gives them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .address import domain_key

EVERY: Final = "*"
"""The pattern of stateless functions that see every recipient, however odd its address: it has no blanks."""

LONGEST: Final = 254
"""The most octets of an address that is read (RFC 5321 section 4.5.3.1.3, less the brackets)."""


MOST_OPEN: Final = 3
"""The most blanks without words on one side of the `@`: with n of them, a hostile address takes time in the nth
power of its length to refuse. Three take 25 ms at worst."""


class PatternError(ValueError):
    """A pattern, a blank's shape or a value for a blank is wrong; the text says what is allowed."""


@dataclass(frozen=True, slots=True)
class Blank:
    """A blank: its name and the source of the regular expression that its values match."""

    name: str
    regex: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern. `text` is as written; `literals` is the number of literal octets."""

    text: str
    parts: tuple[str | Blank, ...]
    regex: re.Pattern[str]
    literals: int

    @property
    def blanks(self) -> tuple[str, ...]:
        """The names of the blanks, in order."""
        return tuple(part.name for part in self.parts if isinstance(part, Blank))

    def match(self, address: str) -> dict[str, str] | None:
        """The values of the blanks, or None. `address` is as `reading` makes it."""
        found = self.regex.fullmatch(address)
        return found.groupdict() if found else None

    def fill(self, values: Mapping[str, str]) -> str:
        """The address with these values (reverse routing).

        A blank that is a single word needs no value. Raises PatternError for a value that is missing
        or that does not fit its blank.
        """
        return "".join(part if isinstance(part, str) else self._value(part, values) for part in self.parts)

    def _value(self, blank: Blank, values: Mapping[str, str]) -> str:
        value = values.get(blank.name)
        if value is None and len(blank.words) == 1:
            return blank.words[0]
        if value is None:
            raise PatternError(f"{self.text!r} needs a value for the blank {{{blank.name}}}")
        if not re.fullmatch(blank.regex, value.lower()):
            raise PatternError(f"{value!r} does not fit the blank {{{blank.name}}} of {self.text!r}")
        return value


def compile_pattern(text: str, shapes: Mapping[str, str] | None = None) -> Pattern:
    """Compile a pattern; `shapes` gives blanks without one of their own their shape.

    Raises PatternError saying what is wrong and what is allowed.
    """
    if text == EVERY:
        return Pattern(EVERY, (), re.compile(".*", re.DOTALL), 0)
    parts = _split(text, shapes or {})
    names = [part.name for part in parts if isinstance(part, Blank)]
    if twice := {name for name in names if names.count(name) > 1}:
        raise PatternError(f"the blank {{{min(twice)}}} stands twice in {text!r}; give each its own name")
    literals = "".join(part for part in parts if isinstance(part, str))
    if literals.count("@") != 1:
        raise PatternError(f"{text!r} needs one @ between local part and domain")
    if any(len(side) > MOST_OPEN for side in _open_blanks(parts)):
        raise PatternError(f"{text!r} has more than {MOST_OPEN} blanks on one side of the @; give some of them words")
    source = "".join(re.escape(p) if isinstance(p, str) else f"(?P<{p.name}>{p.regex})" for p in parts)
    return Pattern(text, parts, re.compile(source, re.DOTALL), len(literals.encode()))


def reading(address: str) -> str | None:
    """An envelope address as patterns read it: lower case, the domain as A-label; None if it is too long."""
    if len(address.encode("utf-8", "surrogateescape")) > LONGEST:
        return None
    local, at, domain = address.rpartition("@")
    return f"{local.lower()}@{domain_key(domain)}" if at else address.lower()


_BLANK: Final = re.compile(
    r"\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::(?P<shape>(?:\[(?:\\.|[^\]\\])+\][^{}]*(?:\{[0-9,]*\})?|[^{}])*))?\}"
)
_NOT_LITERAL: Final = re.compile(r"[\s()\[\]\\<>,;:]")
_CLASS: Final = re.compile(r"\[\^?(?:\\[-\]\[\\^dw]|[^\]\[\\])+\](?:\+|\{\d{1,3}(?:,\d{1,3})?\})")
_WORD: Final = re.compile(r"(?:\\[^A-Za-z0-9]|[^\\@{}()\[\]*+?^$|])+")


def _split(text: str, shapes: Mapping[str, str]) -> tuple[str | Blank, ...]:
    parts: list[str | Blank] = []
    at = 0
    while at < len(text):
        if text[at] == "{":
            found = _BLANK.match(text, at)
            if not found:
                raise PatternError(f"{text!r} has a blank that cannot be read at {text[at : at + 20]!r}")
            name = found["name"]
            parts.append(_blank(name, found["shape"] if found["shape"] is not None else shapes.get(name), text))
            at = found.end()
        else:
            end = text.find("{", at)
            literal = text[at : end if end >= 0 else len(text)]
            if "}" in literal:
                raise PatternError(f"{text!r} has a closing brace without its blank")
            if found := _NOT_LITERAL.search(literal):
                raise PatternError(
                    f"{text!r} has a {found[0]!r} outside of a blank, where all text is literal and no address has one"
                )
            parts.append(literal.lower())
            at += len(literal)
    return tuple(parts)


def _open_blanks(parts: tuple[str | Blank, ...]) -> tuple[list[Blank], list[Blank]]:
    """The blanks without words, of the local part and of the domain."""
    at = next(n for n, part in enumerate(parts) if isinstance(part, str) and "@" in part)
    sides = parts[:at], parts[at:]
    local, domain = ([p for p in side if isinstance(p, Blank) and not p.words] for side in sides)
    return local, domain


def _blank(name: str, shape: str | None, text: str) -> Blank:
    if shape is None:
        return Blank(name, r"[^@]+")
    if _CLASS.fullmatch(shape):
        if re.search(r"[A-Z]", shape):
            raise PatternError(f"{{{name}:{shape}}} in {text!r}: addresses are read in lower case")
        return Blank(name, _class(name, shape, text))
    words = shape.split("|")
    if not all(_WORD.fullmatch(word) for word in words):
        raise PatternError(
            f"{{{name}:{shape}}} in {text!r}: a blank takes words (join|leave) or one character class "
            "with one repeat ([0-9a-f]+), nothing else of a regular expression"
        )
    plain = tuple(re.sub(r"\\(.)", r"\1", word).lower() for word in words)
    return Blank(name, "(?:" + "|".join(re.escape(word) for word in plain) + ")", plain)


def _class(name: str, shape: str, text: str) -> str:
    end = shape.rindex("]") + 1
    source = f"(?:(?!@){shape[:end]}){shape[end:]}"
    try:
        re.compile(source)
    except re.error as error:
        raise PatternError(f"{{{name}:{shape}}} in {text!r}: {error}") from None
    return source
