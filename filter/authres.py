"""Authentication-Results (RFC 8601): what another host found out about a message's origin.

Read from the octets of the field, never from its decoded text: the values quote what strangers chose, and an
encoded word in one of them would otherwise turn into syntax. A field that does not follow the grammar gives
nothing: half a field might say the opposite of the whole.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from .message import Message


@dataclass(frozen=True, slots=True)
class Result:
    """One method's result, both in lower case (`dmarc`, `pass`), and its properties (`header.from`)."""

    method: str
    result: str
    properties: Mapping[str, str] = field(default_factory=dict)


def results(message: Message, authserv_ids: Collection[str], method: str) -> list[Result]:
    """All results of a method (in lower case) by any of these authserv-ids, from the top of the header."""
    trusted = {name.lower() for name in authserv_ids}
    if not trusted:
        return []
    fields = (f.raw.partition(b":")[2] for f in message.fields if f.name.lower() == "authentication-results")
    parsed = (parse(raw) for raw in fields)
    return [r for found in parsed if found and found[0] in trusted for r in found[1] if r.method == method]


def parse(raw: bytes) -> tuple[str, tuple[Result, ...]] | None:
    """The authserv-id in lower case and the results of a field's raw value; None for one that is malformed."""
    text = _without_comments(raw.decode("latin-1"))  # in which no letter beyond ASCII has an ASCII lower case
    match = _FIELD.fullmatch(text) if text is not None else None
    if match is None:
        return None
    segments = [segment[1].strip(_BLANKS) for segment in _SEGMENT.finditer(match["rest"])]
    if not all(_PAIRS.fullmatch(segment) for segment in segments):
        return None
    return _plain(match["id"]).lower(), tuple(_result(segment) for segment in segments if "=" in segment)


def _result(segment: str) -> Result:
    """`method[/version]=result`, then reason and properties; the first of two equal names counts."""
    (method, result), *others = [(pair[1].lower(), _plain(pair[2])) for pair in _PAIR.finditer(segment)]
    properties = {name: value.encode("latin-1").decode("utf-8", "replace") for name, value in reversed(others)}
    return Result(method, result.lower(), properties)


def _without_comments(text: str) -> str | None:
    """The text with a blank for every comment; None where a comment or a quoted string does not end."""
    kept: list[str] = []
    at = 0
    while at < len(text):
        if match := _NO_COMMENT.match(text, at):
            kept.append(match[0])
            at = match.end()
        elif text[at] == "(" and (end := _after_comment(text, at)):
            kept.append(" ")
            at = end
        else:
            return None
    return "".join(kept)


def _after_comment(text: str, at: int) -> int | None:
    depth = 0
    for match in _PARENTHESIS.finditer(text, at):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if depth == 0:
            return match.end()
    return None


def _plain(value: str) -> str:
    return _QUOTED.sub(lambda quoted: re.sub(r"\\(.)", r"\1", quoted[0][1:-1], flags=re.DOTALL), value)


_BLANKS: Final = " \t\r\n"
_SPACE: Final = r"[ \t\r\n]"
_QUOTED_STRING: Final = r'"(?:[^"\\]|\\.)*+"'
_VALUE: Final = rf'(?:{_QUOTED_STRING}|[^ \t\r\n;()"])++'
_NAME: Final = r'[^ \t\r\n;()"=/]++'
_EQUALS: Final = rf"(?:{_SPACE}*+/{_SPACE}*+[0-9]++)?{_SPACE}*+={_SPACE}*+"
_ONE: Final = rf"{_NAME}{_EQUALS}{_VALUE}"
_QUOTED: Final = re.compile(_QUOTED_STRING, re.DOTALL)
_NO_COMMENT: Final = re.compile(rf'(?:{_QUOTED_STRING}|[^"()])++', re.DOTALL)
_PARENTHESIS: Final = re.compile(r"[()]|\\.", re.DOTALL)
_FIELD: Final = re.compile(
    rf'{_SPACE}*+(?P<id>{_QUOTED_STRING}|[^ \t\r\n;()"=]++)(?:{_SPACE}++[0-9]++)?{_SPACE}*+'
    rf'(?P<rest>(?:;(?:{_QUOTED_STRING}|[^";])*+)*+)',
    re.DOTALL,
)
_SEGMENT: Final = re.compile(rf';((?:{_QUOTED_STRING}|[^";])*+)', re.DOTALL)
_PAIR: Final = re.compile(rf"({_NAME}){_EQUALS}({_VALUE})", re.DOTALL)
_PAIRS: Final = re.compile(rf"(?:none|{_ONE}(?:{_SPACE}++{_ONE})*+|)", re.DOTALL | re.IGNORECASE)
