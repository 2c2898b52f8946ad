"""Parameters of Content-Type and its kin (RFC 2045), with charsets and continuations (RFC 2231).

Read as people mean them: a name in an encoded word inside quotes, in raw 8-bit, or without the quotes
that it needed, is understood. The first of two equal names counts.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from ..charset import decode
from ..words import decode_words
from .edits import EditError


class ContentType:
    """What the unfolded text of a Content-Type field says.

    `type` is a media type in lower case (`text/plain`), "" where the text makes no sense.
    """

    __slots__ = ("_params", "_text", "type")

    def __init__(self, text: str) -> None:
        if plain := _PLAIN_TYPE.match(text):
            self.type = plain[1].lower()
        else:
            match = _TYPE.fullmatch(token(text))
            self.type = f"{match[1]}/{match[2]}" if match else ""
        self._text = text
        self._params: dict[str, str] | None = None

    @property
    def params(self) -> dict[str, str]:
        """The parameters, names in lower case, values decoded."""
        if self._params is None:
            self._params = parameters(self._text)
        return self._params


def token(text: str) -> str:
    """The word before the parameters, in lower case: a disposition, for one."""
    head = text.partition(";")[0]
    return (_COMMENT.sub("", head) if "(" in head else head).strip().lower()


def parameters(text: str) -> dict[str, str]:
    """The parameters in unfolded text, by lower-case name, decoded."""
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    for match in _PARAMETER.finditer(text):
        name, value = match[1].lower(), _value(match[2])
        base, star, rest = name.partition("*")
        if not star:
            plain.setdefault(name, value if name == "boundary" else _words(value))
        elif section := _SECTION.fullmatch(rest):
            number = int(section[1] or 0)
            sections.setdefault(base, {}).setdefault(number, (value, rest.endswith("*") or not rest))
    return plain | {name: _joined(pieces) for name, pieces in sections.items()}


def with_parameter(text: str, name: str, value: str | None) -> str:
    """The text with one parameter set, or removed where `value` is None; the others stay as they are."""
    others = [match for match in _PARAMETER.finditer(text) if match[1].lower().partition("*")[0] != name]
    kept = [text.partition(";")[0].strip()]
    for match in others:
        kept += [match[0].strip("; \t")] if match[0].isascii() else _rewritten(match)
    return "; ".join(kept + (written(name, value) if value is not None else []))


def written(name: str, value: str) -> list[str]:
    """A parameter as the words of a header: in quotes where it must be, by RFC 2231 where it is not ASCII or long."""
    if _TOKEN.fullmatch(value) and len(value) <= _LONGEST:
        return [f"{name}={value}"]
    if value.isascii() and value.isprintable() and len(value) <= _LONGEST and "=?" not in value:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return [f'{name}="{escaped}"']
    try:
        coded = quote(value, safe="!#$&+-.^_`{}~", encoding="utf-8")
    except UnicodeEncodeError:
        raise EditError(f"{name}: no charset can encode a lone surrogate") from None
    if len(coded) <= _LONGEST:
        return [f"{name}*=utf-8''{coded}"]
    pieces = re.findall(rf"(?:%..|[^%]){{1,{_LONGEST // 3}}}", coded)
    return [f"{name}*{n}*={'' if n else 'utf-8' + chr(39) * 2}{piece}" for n, piece in enumerate(pieces)]


def _rewritten(match: re.Match[str]) -> list[str]:
    """A parameter with raw 8-bit in it, which no rewritten field may hold; one without a proper name is dropped."""
    return written(match[1], _words(_value(match[2]))) if _TOKEN.fullmatch(match[1]) else []


def _value(raw: str) -> str:
    if raw.startswith('"'):
        inner = raw[1:-1] if raw.endswith('"') and len(raw) > 1 else raw[1:]
        return _ESCAPED.sub(r"\1", inner) if "\\" in inner else inner
    value = raw.strip()
    before, parenthesis, _ = value.rpartition("(")
    is_comment = parenthesis and value.endswith(")") and before[-1:].isspace()
    return before.rstrip() if is_comment else value


def _words(value: str) -> str:
    return decode_words(value) if "=?" in value else value


def _joined(pieces: dict[int, tuple[str, bool]]) -> str:
    """The value of numbered sections (RFC 2231 section 4.1): those before a gap; charset from the first."""
    charset, octets = "", b""
    for number in range(len(pieces)):
        if number not in pieces:
            break
        value, coded = pieces[number]
        if coded and number == 0 and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        octets += unquote_to_bytes(value) if coded else value.encode("utf-8", "surrogatepass")
    return decode(octets, charset)


_LONGEST: Final = 60
_PLAIN_TYPE: Final = re.compile(r"([!-'*-.0-:<-~]++/[!-'*-.0-:<-~]++)\s*+(?:;|\Z)")
_TYPE: Final = re.compile(r"([!-.0-~]+)\s*/\s*([!-.0-~]+)")
_TOKEN: Final = re.compile(r"[!#$%&+\-.0-9A-Z^_`a-z{|}~]+")
_ESCAPED: Final = re.compile(r"\\(.)", re.S)
_COMMENT: Final = re.compile(r"\([^()]*\)")
_SECTION: Final = re.compile(r"(?:([0-9]{1,4})?\*?)?")
_PARAMETER: Final = re.compile(
    r""";\s*+([^\s;="()]++)\s*+=\s*+("(?:[^"\\]|\\.)*+"?|[^;]*+)[^;]*+""", re.S
)
