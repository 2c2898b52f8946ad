"""The lines that wire Postfix to penstock, with a site's values in them.

`main.cf`, `milter.cf`, `owned.cf` and `master.cf` in this folder are what an administrator reads; here their words
between at signs are filled in. At signs, since `$name` and `${name}` are Postfix's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

Wire = Literal["lmtp", "smtp"]


@dataclass(frozen=True, slots=True)
class Wiring:
    """How one Postfix and one penstock meet.

    `listen` is where Postfix reaches the filter: `unix:PATH`, relative to the queue directory, or
    `HOST:PORT`; `milter` is where it reaches the milter: `unix:PATH` as well, or `inet:HOST:PORT`. `wire` is
    the protocol spoken at `listen`; a unix socket means LMTP. `reinject` is the `HOST:PORT` that smtpd
    takes mail back on. `size` is in octets.
    """

    listen: str = "unix:penstock/filter.sock"
    reinject: str = "127.0.0.1:10026"
    milter: str = "unix:penstock/milter.sock"
    owned: tuple[str, ...] = ()
    wire: Wire = "lmtp"
    processes: int = 20
    recipients: int = 1000
    size: int = 100 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.wire == "smtp" and self.listen.startswith("unix:"):
            raise ValueError("smtp(8) reaches a TCP port only; over a unix socket the wire is lmtp")

    @property
    def next_hop(self) -> str:
        """The filter as Postfix writes a next hop: for lmtp(8) with its kind, for smtp(8) in brackets (no MX)."""
        if self.listen.startswith("unix:"):
            return self.listen
        host, _, port = self.listen.rpartition(":")
        bracketed = f"[{host.strip('[]')}]:{port}"
        return f"inet:{bracketed}" if self.wire == "lmtp" else bracketed

    def main_cf(self) -> str:
        """The lines of main.cf that send all mail through the filter."""
        return _filled("main.cf", next_hop=self.next_hop, recipients=str(self.recipients))

    def owned_cf(self) -> str:
        """The lines of main.cf that bring the owned domains to the filter; nothing where there are none."""
        if not self.owned:
            return ""
        transports = ", ".join(f"{{ {domain} = penstock:{self.next_hop} }}" for domain in self.owned)
        return _filled("owned.cf", domains=", ".join(self.owned), transports=transports)

    def milter_cf(self) -> str:
        """The lines of main.cf that have mail judged before the queue."""
        return _filled("milter.cf", milter=self.milter)

    def master_cf(self) -> str:
        """The services of master.cf: the client that brings mail to the filter, and the way back."""
        return _filled(
            "master.cf",
            client=self.wire,
            processes=str(self.processes),
            reinject=self.reinject,
            size=str(self.size),
        )


def _filled(name: str, **values: str) -> str:
    """The snippet `name` with its words filled in; KeyError for a word that nobody gave.

    The comments keep their words: they explain them.
    """
    lines = files(__package__).joinpath(name).read_text("utf-8").splitlines(keepends=True)
    return "".join(
        line if line.startswith("#") else re.sub(r"@([a-z_]+)@", lambda word: values[word[1]], line) for line in lines
    )
