"""SMTP replies as octets, both ways, and the ones that the port itself gives."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from ..verdict import Reply

OK: Final = Reply(250, "2.0.0", "Ok")
SENDER_OK: Final = Reply(250, "2.1.0", "Ok")
RECIPIENT_OK: Final = Reply(250, "2.1.5", "Ok")
CANNOT_VERIFY: Final = Reply(252, "2.0.0", "Send some mail, and see")
GO_AHEAD: Final = Reply(354, None, "End data with <CR><LF>.<CR><LF>")
BYE: Final = Reply(221, "2.0.0", "Bye")

FAULT: Final = Reply(451, "4.3.0", "The filter failed; the message is safe, try again later")
SHUTTING_DOWN: Final = Reply(421, "4.3.2", "The filter is shutting down")
TOO_BUSY: Final = Reply(421, "4.7.0", "Too many connections")
NO_THREAD: Final = Reply(421, "4.3.2", "Out of resources, try again later")
TOO_MANY_ERRORS: Final = Reply(421, "4.7.0", "Too many errors")
TOO_IDLE: Final = Reply(421, "4.7.0", "Too many commands that carry no mail")
TIMEOUT: Final = Reply(421, "4.4.2", "Timeout")

NO_ROOM: Final = Reply(452, "4.3.1", "Insufficient system storage")
TOO_MANY_RECIPIENTS: Final = Reply(452, "4.5.3", "Too many recipients")
LINE_TOO_LONG: Final = Reply(500, "5.5.2", "Line too long")
NOT_A_LINE: Final = Reply(500, "5.5.2", "A command ends in CRLF and holds no control character")
UNKNOWN_COMMAND: Final = Reply(500, "5.5.2", "Command not recognized")
SAY_LHLO: Final = Reply(500, "5.5.1", "This is LMTP: say LHLO")
SYNTAX: Final = Reply(501, "5.5.4", "Syntax error in parameters")
BAD_SENDER: Final = Reply(501, "5.1.7", "Bad sender address syntax")
BAD_RECIPIENT: Final = Reply(501, "5.1.3", "Bad recipient address syntax")
HELLO_FIRST: Final = Reply(503, "5.5.1", "Say EHLO or LHLO first")
MAIL_FIRST: Final = Reply(503, "5.5.1", "Need MAIL first")
NESTED_MAIL: Final = Reply(503, "5.5.1", "A mail transaction is already open")
RECIPIENT_FIRST: Final = Reply(503, "5.5.1", "Need RCPT first")
NO_VALID_RECIPIENTS: Final = Reply(554, "5.5.1", "No valid recipients")
NOT_AUTHORIZED: Final = Reply(550, "5.7.0", "XFORWARD is not taken from you")
TOO_BIG: Final = Reply(552, "5.3.4", "Message too big")
UNKNOWN_PARAMETER: Final = Reply(555, "5.5.4", "Unsupported parameter")

_LINE: Final = re.compile(rb"([2-5]\d\d)(?:[ -](.*))?", re.DOTALL)
_STATUS: Final = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?: |$)", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_TEXT_LENGTH: Final = 480  # with code and status within the 512 octets of RFC 5321 section 4.5.3.1.5


class Malformed(Exception):
    """What came is no SMTP reply."""


@lru_cache(maxsize=256)  # a session says the same few things over and over
def encode(reply: Reply) -> bytes:
    """A reply as it goes over the wire; nothing in its text can end a line early or begin another reply."""
    head = f"{reply.status} " if reply.status else ""
    lines = [part for line in reply.text.split("\n") for part in _folded(_CONTROL.sub("?", line.rstrip("\r")))]
    encoded = "".join(f"{reply.code}-{head}{line}\r\n" for line in lines[:-1]) + f"{reply.code} {head}{lines[-1]}\r\n"
    return encoded.encode("ascii", "replace")


@lru_cache(maxsize=256)
def decode(lines: bytes) -> Reply:
    """The reply in these lines, with the enhanced status split off. Raises Malformed."""
    matches = [_LINE.fullmatch(line) for line in lines.splitlines()]
    codes = {match and match[1] for match in matches}
    if None in codes or len(codes) != 1:
        raise Malformed(repr(lines[:200]))
    code = int(next(match[1] for match in matches if match))
    texts = [(match[2] or b"").decode("utf-8", "replace") for match in matches if match]
    status = _STATUS.match(texts[0])
    if status is None or int(status[1][0]) != code // 100:
        return Reply(code, None, "\n".join(texts))
    return Reply(code, status[1], "\n".join(text.removeprefix(status[1]).removeprefix(" ") for text in texts))


def _folded(line: str) -> list[str]:
    return [line[start : start + _TEXT_LENGTH] for start in range(0, len(line), _TEXT_LENGTH)] or [""]
