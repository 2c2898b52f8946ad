"""What a client may ask of the port: nothing that a stranger sends may stop the service."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the server; sizes in octets, times in seconds.

    `message_size` is announced as SIZE. `command_line` counts the line end; RFC 5321 asks for 512, SMTPUTF8,
    DSN and XFORWARD add to it, and a HELO of Postfix's 2,048 octets has up to three times as many in xtext.
    `errors` and `idle_commands` (those that carry no mail) end a session with 421. `idle` bounds the wait for a
    command or for the next octets of a message, `data` the whole of a message.
    """

    message_size: int = 50 * 1024 * 1024
    command_line: int = 8192
    recipients: int = 1000
    connections: int = 200
    errors: int = 20
    idle_commands: int = 100
    idle: float = 300.0
    data: float = 1200.0
