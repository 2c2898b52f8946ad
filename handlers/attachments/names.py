"""The names of a file: all that some mail program might read, as the system behind it would act on them.

A message can name a file more than once, in Content-Disposition and in Content-Type, plainly and by RFC 2231,
and each program takes another one. So a rule is tried on all of them. What people do not see, controls and
marks of writing direction, is left out, and so are the dots and spaces at the end that Windows drops.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from penstock import Part

UNNAMED: Final = "unnamed"
LONGEST: Final = 100


def names_of(part: Part) -> tuple[str, ...]:
    """Every name of the part in the form that patterns are tried on: lower case, no folders; none if it has none."""
    claimed = list(_claimed(part))
    return _forms(claimed) if claimed else ()


def uuencoded_names(content: bytes) -> tuple[str, ...]:
    """The names of files written out within a text, as before MIME; some programs still offer them as attachments."""
    if b"begin" not in content:                    # a plain search takes a hundredth of the expression's time
        return ()
    return _forms(found.decode("latin-1") for found in _UUENCODED.findall(content))


def shown_name(part: Part) -> str:
    """The name for people, on one line and of at most `LONGEST` characters; `unnamed` if there is none."""
    name = next((name for name in map(_visible, _claimed(part)) if name), UNNAMED)
    if len(name) <= LONGEST:
        return name
    end = LONGEST // 2
    return f"{name[: LONGEST - end - 1]}…{name[-end:]}"


def _forms(claimed: Iterable[str]) -> tuple[str, ...]:
    """A name ends at a NUL for some programs, and at a colon for Windows: what follows is a stream of that file."""
    ends = ((name, name.partition("\0")[0], name.partition(":")[0]) for name in claimed)
    return tuple(dict.fromkeys(form for forms in ends for form in map(_compared, forms) if form))


def _claimed(part: Part) -> Iterator[str]:
    if not any("name" in value.lower() for name in _FIELDS for value in part.get_all(name)):
        return  # as most parts: then no field need be taken apart
    yield part.filename or ""
    for field in part.fields:
        if field.name.lower() in _FIELDS:
            params = field.params
            yield from (params[name] for name in ("filename", "name") if name in params)
            # The reading above takes RFC 2231 before the plain form, and the first of two; some programs do not.
            yield from (match.decode("latin-1").strip('" \t\r\n') for match in _PLAIN.findall(field.raw))


def _compared(name: str) -> str:
    last = re.split(r"[/\\]", _visible(name).rstrip("./\\ \t'"))[-1]
    return ".".join(piece.strip() for piece in last.split(".")).lower()


def _visible(name: str) -> str:
    return _UNSEEN.sub("", name).strip()


_FIELDS: Final = ("content-disposition", "content-type")
_PLAIN: Final = re.compile(rb"""[;\s](?:file)?name\s*=\s*("(?:[^"\\]|\\.)*+"?|[^;\r\n]*+)""", re.IGNORECASE | re.DOTALL)
_UUENCODED: Final = re.compile(rb"^begin(?:-base64)? [0-7]{3,4} ([^\r\n]{1,255})\r?\n[!-`]", re.MULTILINE)
_UNSEEN: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
