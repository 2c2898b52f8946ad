"""XFORWARD: who brought the message to Postfix, told from one hop to the next.

Attributes are NAME=value, xtext, `[UNAVAILABLE]` where the sender does not know, at most 255
characters each and 512 octets a command; they hold for one mail transaction. See Postfix's
XFORWARD_README. What comes in may be longer: Postfix passes on a HELO of any length, and what is more than the limit
is cut off. To refuse the command would let a stranger take IDENT and SOURCE, which stand beside HELO, from us.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Final

from ..envelope import Client
from . import replies, xtext
from .grammar import Refused

ATTRIBUTES: Final = {
    "NAME": "name",
    "ADDR": "address",
    "PORT": "port",
    "PROTO": "protocol",
    "HELO": "helo",
    "IDENT": "ident",
    "SOURCE": "source",
}
"""The attributes of the protocol, and where a Client has them."""

_UNKNOWN: Final = ("[UNAVAILABLE]", "[TEMPUNAVAIL]", "")
_LONGEST_VALUE: Final = 255
_LONGEST_COMMAND: Final = 512
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_IPV6: Final = "IPV6:"


def merged(client: Client, rest: str) -> Client:
    """The client as this command adds to it. `rest` is what stands behind the verb. Raises Refused."""
    told: dict[str, str | None] = {}
    for word in rest.split(" "):
        name, equals, value = word.partition("=")
        if name.upper() not in ATTRIBUTES or not equals:
            raise Refused(replies.SYNTAX)
        told[ATTRIBUTES[name.upper()]] = _value(xtext.decode(value))
    if told.get("address"):
        told["address"] = re.sub("^ipv6:", "", told["address"] or "", flags=re.IGNORECASE)
    return replace(client, **told)


def commands(client: Client, announced: Collection[str]) -> Iterator[bytes]:
    """The commands (without line end) that tell the next hop what it announced to take, of what is known."""
    line = "XFORWARD"
    for name, attribute in ATTRIBUTES.items():
        value = getattr(client, attribute)
        if value is None or name not in announced:
            continue
        if name == "ADDR" and ":" in value:
            value = _IPV6 + value
        word = f" {name}={xtext.encode(value[:_LONGEST_VALUE])}"
        if len(line) + len(word) + 2 > _LONGEST_COMMAND and line != "XFORWARD":
            yield line.encode()
            line = "XFORWARD"
        line += word
    if line != "XFORWARD":
        yield line.encode()


def _value(value: str) -> str | None:
    if value.upper() in _UNKNOWN:
        return None
    return _CONTROL.sub("?", value[:_LONGEST_VALUE])
