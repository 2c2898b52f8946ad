"""One SMTP connection to the reinjection port: greeting, capabilities, commands in groups.

Commands leave together where PIPELINING is announced (RFC 2920), at most a hundred at a time, so
that neither side ever waits for the other to read.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from ..verdict import Reply
from . import replies
from .endpoint import Endpoint
from .replies import Malformed
from .wire import Buffer, TooLong, Vanished, Wire

_LONGEST_LINE: Final = 4096
_LONGEST_REPLY: Final = 100_000
_GROUP: Final = 100


class Lost(Exception):
    """The connection is of no more use: it broke, timed out, or what came was no SMTP."""


class Unwilling(Exception):
    """The server cannot be reached, or greets with a refusal."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait: for a connection, and for any one reply or write.

    RFC 5321 section 4.5.3.2.6 asks for 10 minutes for the reply to a message; Postfix gives us longer than that.
    """

    connect: float = 30.0
    reply: float = 600.0


class Connection:
    """A greeted connection. `capabilities` maps EHLO keywords, in upper case, to their parameters."""

    def __init__(self, endpoint: Endpoint, helo: str, timeouts: Timeouts) -> None:
        """Connect and say EHLO. Raises Unwilling."""
        self.used_at = time.monotonic()
        self.is_open = True
        self.capabilities: Mapping[str, str] = {}
        try:
            self._wire = Wire(endpoint.connect(timeouts.connect), timeouts.reply)
        except OSError as error:
            raise Unwilling(f"{endpoint}: {error}") from error
        try:
            self.capabilities = self._greeted(helo)
        except Lost as error:
            self.close()
            raise Unwilling(f"{endpoint}: {error}") from error
        except Unwilling:
            self.quit()
            raise

    def ask(self, commands: Sequence[bytes]) -> list[Reply]:
        """Send commands (without line ends) and return their replies. Raises Lost."""
        size = _GROUP if "PIPELINING" in self.capabilities else 1
        answers: list[Reply] = []
        for start in range(0, len(commands), size):
            group = commands[start : start + size]
            self._wire.write(b"\r\n".join([*group, b""]))
            answers += [self._reply() for _ in group]
        return answers

    def deliver(self, buffers: Iterable[Buffer]) -> Reply:
        """Send a message and its end, and return the reply. Raises Lost: nobody knows then what the server did."""
        try:
            self._wire.send(chain(buffers, [b".\r\n"]))
        except Vanished as error:
            self.close()
            raise Lost(str(error)) from error
        return self._reply()

    def reset(self) -> None:
        """End a transaction without a message; where that fails the connection is closed."""
        try:
            if not self.ask([b"RSET"])[0].is_ok:
                self.quit()
        except Lost:
            pass

    def quit(self) -> None:
        """Take leave, and do not wait for the answer."""
        try:
            self._wire.send([b"QUIT\r\n"])
        except Vanished:
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Close without a word."""
        self.is_open = False
        self._wire.close()

    def _greeted(self, helo: str) -> Mapping[str, str]:
        greeting = self._reply()
        if greeting.code != 220:
            raise Unwilling(f"greeted with {greeting}")
        hello = self.ask([f"EHLO {helo}".encode()])[0]
        if not hello.is_ok:
            raise Unwilling(f"EHLO is answered with {hello}")
        words = [line.partition(" ") for line in hello.text.split("\n")[1:]]
        return {keyword.upper(): parameters for keyword, _, parameters in words}

    def _reply(self) -> Reply:
        try:
            line = lines = self._wire.until(b"\n", _LONGEST_LINE)
            while line[:3].isdigit() and line[3:4] == b"-":
                line = self._wire.until(b"\n", _LONGEST_LINE)
                lines += line
                if len(lines) > _LONGEST_REPLY:
                    raise Malformed("a reply without end")
            reply = replies.decode(lines)
        except (Vanished, TooLong, Malformed) as error:
            self.close()
            raise Lost(f"{type(error).__name__}: {error}") from error
        if reply.code == 421:  # the server is about to close
            self.close()
        return reply
