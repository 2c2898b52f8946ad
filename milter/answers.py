"""How the door says what was decided: SMTP replies, and the operations on message and envelope."""

from __future__ import annotations

import logging
import re
from typing import Final

from ..filter.envelope import Envelope
from ..filter.judgement import Judgement
from ..filter.verdict import Reply
from .context import Answer, Context
from .edits import operations
from .operation import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    DeleteHeader,
    DeleteRecipient,
    Inexpressible,
    InsertHeader,
    Operation,
    ReplaceBody,
)

log = logging.getLogger("penstock.milter")

FAULT: Final = Reply(451, "4.3.0", "The filter failed; try again later")
NO_THREAD: Final = Reply(451, "4.3.2", "Out of resources, try again later")
NO_ROOM: Final = Reply(452, "4.3.1", "Insufficient system storage")
INEXPRESSIBLE: Final = Reply(451, "4.3.0", "The filter asks for what cannot be done before the queue; try again later")
TOO_BIG: Final = Reply(552, "5.3.4", "Message too big")

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_LINE: Final = 480
"""With code and status within the 512 octets of RFC 5321 section 4.5.3.1.5; libmilter takes 980, with `%` doubled."""
_LINES: Final = 32  # pymilter takes no more


def refuse(context: Context, reply: Reply) -> Answer:
    """Say it, and return what the callback must. To Postfix a single `%` begins a macro, so it is doubled."""
    text = reply.text.encode("ascii", "replace").decode()
    lines = [part for line in text.split("\n") for part in _folded(_CONTROL.sub("?", line.rstrip("\r")))]
    context.setreply(str(reply.code), reply.status, *(line.replace("%", "%%") for line in lines[:_LINES]))
    return Answer.REJECT if reply.is_permanent else Answer.TEMPFAIL


def give(context: Context, before: Envelope, judgement: Judgement, *, spaced: bool) -> Answer:
    """Carry out a judgement; `before` is the envelope as Postfix has it. Raises what the context raises.

    `spaced`: values of fields hold their leading space. A change that cannot be made is 451 for the whole message:
    it never goes on in another form than was decided.
    """
    if judgement.reply is not None:
        return refuse(context, judgement.reply)
    if judgement.discard:
        return Answer.DISCARD
    try:
        for operation in operations(judgement.message, before, judgement.envelope, leading_space=spaced):
            say(context, operation)
    except Inexpressible as error:
        log.error("event=inexpressible queue_id=%s error=%r", before.queue_id, str(error))
        return refuse(context, INEXPRESSIBLE)
    return Answer.CONTINUE if judgement.hold is None else hold(context, judgement.hold)


def say(context: Context, operation: Operation) -> None:
    """Ask Postfix for one operation. Raises what the context raises."""
    match operation:
        case AddHeader(name, value):
            context.addheader(name, value)
        case InsertHeader(index, name, value):
            context.addheader(name, value, index)
        case ChangeHeader(name, occurrence, value):
            context.chgheader(name, occurrence, value)
        case DeleteHeader(name, occurrence):
            context.chgheader(name, occurrence, "")
        case ReplaceBody():
            for chunk in operation.chunks():
                context.replacebody(chunk)
        case AddRecipient(address, parameters):
            context.addrcpt(address, parameters or None)
        case DeleteRecipient(address):
            context.delrcpt(address)
        case ChangeSender(address, parameters):
            context.chgfrom(address, parameters or None)


def hold(context: Context, reason: str) -> Answer:
    """Have Postfix put the message on hold; of the reason, which it takes, it tells nobody."""
    context.quarantine(_CONTROL.sub("?", reason).encode("utf-8", "replace").decode()[:_LINE] or "held")
    return Answer.CONTINUE


def _folded(line: str) -> list[str]:
    return [line[start : start + _LINE] for start in range(0, len(line), _LINE)] or [" "]
