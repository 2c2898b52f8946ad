"""The client's side of a session: what connect, HELO and Postfix's macros tell of who is there.

Mail that is submitted on the host reaches the milter through cleanup(8), which plays an SMTP session from 127.0.0.1
and port 0. Nothing else does so with addresses without angle brackets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..filter.envelope import Client
from .context import Context

_LOCAL = "127.0.0.1"


@dataclass(slots=True)
class Visitor:
    """Who is connected to Postfix; None for what was not told."""

    name: str | None = None
    address: str | None = None
    port: str | None = None
    helo: str | None = None

    @classmethod
    def connected(cls, name: str, address: Any) -> Visitor:
        """From the arguments of the connect callback: `address` is a pair or more for IP, a path or None.

        Postfix says `[192.0.2.1]` or `unknown` for a client whose name it does not know.
        """
        known = None if name == "unknown" or name.startswith("[") else name
        if not isinstance(address, tuple):
            return cls(known)
        return cls(known, address[0], str(address[1]) if address[1] else None)

    def submits(self, path: bytes) -> bool:
        """Whether a MAIL with this path is mail that was submitted on the host."""
        return self.address == _LOCAL and self.port is None and path[:1] != b"<"

    def client(self, context: Context, parameters: Sequence[bytes], *, local: bool) -> Client:
        """The facts for handlers, from MAIL on. Postfix gives a message its queue id only at the first RCPT."""
        tls = macro(context, "{tls_version}")
        mechanism = macro(context, "{auth_type}")
        return Client(
            name=self.name,
            address=self.address,
            port=self.port,
            protocol="ESMTP" if parameters or tls or mechanism else None,
            helo=self.helo,
            ident=macro(context, "i"),
            source="LOCAL" if local else None,
            tls=tls,
            cipher=macro(context, "{cipher}") if tls else None,
            login=macro(context, "{auth_authen}") if mechanism else None,
            mechanism=mechanism,
        )


def macro(context: Context, name: str) -> str | None:
    """The value of a macro; octets that are no UTF-8 make it unreadable, which is not the same as absent."""
    try:
        return context.getsymval(name) or None
    except UnicodeDecodeError:
        return "?"
