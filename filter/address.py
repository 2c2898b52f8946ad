"""Mail addresses: parse what headers hold, compare them, and undo what relays did to a reverse-path.

A header may hold anything, so parsing never raises and takes time linear in the text: what is no
address is left out. Structure is read before encoded words are decoded (RFC 2047 section 6.2), so a
decoded display name can never turn into an address.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

import idna

from .words import decode_words


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox (RFC 5322 section 3.4): local part without quotes, domain as written, display name decoded."""

    local: str
    domain: str
    name: str = ""

    def __str__(self) -> str:
        """As a header shows it, decoded: `Ann Lee <ann@example.org>`."""
        return f"{_phrase(self.name)} <{self.addr}>" if self.name else self.addr

    @property
    def addr(self) -> str:
        """`local@domain`, the local part in quotes where it needs them; `local` alone without a domain."""
        local = self.local if _DOT_ATOM.fullmatch(self.local) else _quoted(self.local)
        return f"{local}@{self.domain}" if self.domain else local

    @property
    def key(self) -> str:
        """The form in which two addresses are compared: local part case-folded, domain as `domain_key`."""
        return f"{self.local.casefold()}@{domain_key(self.domain)}"


def parse(text: str) -> Address | None:
    """The first address in a header's text (encoded words not yet decoded), or None."""
    return next(iter(_mailboxes(text)), None)


def parse_list(text: str) -> list[Address]:
    """All addresses in a header's text, groups taken apart (RFC 5322 section 3.4, and what people send)."""
    return list(_mailboxes(text))


def split(address: str) -> tuple[str, str]:
    """Local part and domain of an envelope address, parted at the last `@`; the domain is "" without one."""
    local, at, domain = address.rpartition("@")
    return (local, domain) if at else (address, "")


def domain_key(domain: str) -> str:
    """A domain as it is compared: lower-case A-labels (RFC 5891), no final dot; what is no domain, in lower case."""
    plain = domain.strip().rstrip(".").lower()
    if plain.isascii() or len(plain) > _LONGEST_DOMAIN:
        return plain
    try:
        return idna.encode(plain, uts46=True).decode("ascii").lower()
    except ValueError:                             # idna.IDNAError is one
        return plain


def identity(reverse_path: str, own: Collection[str] = ()) -> str:
    """Who a reverse-path stands for: BATV tags and SRS of our `own` domains undone, in comparable form.

    "" for the null reverse-path. A foreign relay's SRS stays: only the relay may undo it.
    """
    path = reverse_path
    for _ in range(_LAYERS):
        bare = _without_srs(_without_batv(path), own)
        if bare == path:
            break
        path = bare
    if not path:
        return ""
    local, domain = split(path)
    return f"{_lower(local)}@{domain_key(domain)}" if domain else _lower(local)


def verp(sender: str, recipient: str) -> str:
    """The return path that Postfix's XVERP makes of `sender` for `recipient`: `list-bounces+user=host@domain`."""
    local, domain = split(sender)
    user, host = split(recipient)
    marked = f"{local}+{user}={host}" if host else f"{local}+{user}"
    return f"{marked}@{domain}" if domain else marked


_LAYERS: Final = 4
_LONGEST_DOMAIN: Final = 255
_ATEXT: Final = r"[^\s\"(),.:;<>@\[\]\\\x00-\x1f\x7f]"
_DOT_ATOM: Final = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_PLAIN_PHRASE: Final = re.compile(rf"{_ATEXT}+(?: {_ATEXT}+)*")
_BATV: Final = re.compile(r"prvs=(?:[0-9a-z]{10}=(?P<new>[^@]+)|(?P<old>[^@/]+)/[0-9a-z]{10})(?P<at>@.*)", re.I)
_SRS: Final = re.compile(
    r"(?:SRS0|SRS1[=+-][^=@]+=[^=@]+=)[=+-][^=@]+=[^=@]+=(?P<domain>[^=@]+)=(?P<local>[^@]+)@(?P<host>.+)", re.I
)
_TOKEN: Final = re.compile(
    r"""(?P<space>\s++)
      | (?P<quoted>"(?:[^"\\]|\\.)*+"?\\?)
      | (?P<angle><(?:"(?:[^"\\]|\\.)*+"|[^<>"])*+>?)
      | (?P<special>[,;:(])
      | (?P<literal>\[[^\]\[]*+\]?)
      | (?P<word>[^\s"(),:;<>\[]++)
      | (?P<stray>.)""",
    re.X | re.S,
)
_ROUTE: Final = re.compile(r"\s*@[^:<>]*:")
_QUOTED_OR_OPEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|\(', re.S)
_PARENTHESIS: Final = re.compile(r"[()]|\\.", re.S)


@dataclass(slots=True)
class _Mailbox:
    """What has been read of one mailbox: words with the space before them, the angle part, comments."""

    words: list[str] = field(default_factory=list)
    has_at: bool = False                           # kept, since words may be many, and asked about often
    spaced: bool = False
    angle: str | None = None
    comment: str = ""

    def word(self, text: str) -> None:
        self.words.append(f" {text}" if self.spaced and self.words else text)
        self.has_at = self.has_at or "@" in text
        self.spaced = False

    def address(self) -> Address | None:
        if self.angle is not None:
            return _address(_ROUTE.sub("", self.angle, count=1), "".join(self.words) or self.comment)
        text = "".join(self.words)
        if "@" not in text:
            return _address(text, self.comment) if " " not in text else None
        at = next(i for i in range(len(self.words) - 1, -1, -1) if "@" in self.words[i])
        name, spec = _around(self.words, at)
        return _address(spec, name or self.comment)


def _mailboxes(text: str) -> Iterator[Address]:
    box, at = _Mailbox(), 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None                   # the last alternative takes any character
        kind, token, at = match.lastgroup, match[0], match.end()
        if kind == "space":
            box.spaced = True
        elif token == "(":
            comment, at = _comment(text, at)
            box.comment, box.spaced = comment, True
        elif token == ":" and not box.has_at:
            box = _Mailbox()                       # what came before was the name of a group
        elif token in (",", ";"):
            if found := box.address():
                yield found
            box = _Mailbox()
        elif kind == "angle":
            box.angle = token.strip("<>") if box.angle is None else box.angle
        else:
            box.word(token)
    if found := box.address():
        yield found


def _comment(text: str, at: int) -> tuple[str, int]:
    """The comment whose opening parenthesis ends at `at`, and where it ends; an open one runs to the end."""
    depth = 1
    for match in _PARENTHESIS.finditer(text, at):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if depth == 0:
            return text[at : match.start()].strip(), match.end()
    return text[at:].strip(), len(text)


def _without_comments(spec: str) -> str:
    kept, at = "", 0
    for match in _QUOTED_OR_OPEN.finditer(spec):
        if match[0] == "(" and match.start() >= at:
            kept += spec[at : match.start()]
            _, at = _comment(spec, match.end())
    return kept + spec[at:]


def _around(words: list[str], at: int) -> tuple[str, str]:
    """Name and addr-spec of words without angle brackets, of which number `at` holds the `@`."""
    first, last = at, at
    if words[at].lstrip().startswith("@") and at > 0:
        first -= 1                                 # `ann @example.org`, or a quoted local part
    if words[at].endswith("@") and at + 1 < len(words):
        last += 1
    return "".join(words[:first]), "".join(word.strip() for word in words[first : last + 1])


def _address(spec: str, name: str) -> Address | None:
    spec = _without_comments(spec) if "(" in spec else spec
    spec = "".join(spec.split()) if '"' not in spec else spec.strip()
    local, domain = split(spec)
    local = _unquoted(local)
    return Address(local, domain, _shown(name)) if local or domain else None


def _shown(name: str) -> str:
    plain = " ".join(_unquoted(name.strip()).split()) if '"' in name else " ".join(name.split())
    return decode_words(plain)


def _unquoted(text: str) -> str:
    if '"' not in text:
        return text
    return re.sub(r'"((?:[^"\\]|\\.)*+)"?', lambda quoted: re.sub(r"\\(.)", r"\1", quoted[1], flags=re.S), text)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _phrase(name: str) -> str:
    return name if _PLAIN_PHRASE.fullmatch(name) else _quoted(name)


def _lower(local: str) -> str:
    """In lower case, but for the Kelvin sign and its like: they become ASCII letters, and somebody else's address."""
    if local.isascii():
        return local.lower()
    return "".join(c if c.lower().isascii() and not c.isascii() else c.lower() for c in local)


def _without_batv(path: str) -> str:
    match = _BATV.fullmatch(path)
    return (match["new"] or match["old"]) + match["at"] if match else path


def _without_srs(path: str, own: Collection[str]) -> str:
    match = _SRS.fullmatch(path) if own else None
    if match is None or domain_key(match["host"]) not in {domain_key(domain) for domain in own}:
        return path
    return f"{match['local']}@{match['domain']}"
