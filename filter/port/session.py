"""One client's session: commands in, replies out, and each message through the pipeline.

LHLO makes it LMTP (RFC 2033: a reply for each recipient), EHLO and HELO make it SMTP (one reply).
The rule that everything here serves: nothing is handed on unless its end of data was seen, and a
250 is said only after the pipeline has settled. Whatever fails on our side is 451 for the client and
a traceback in our log; the session goes on.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..arrival import Arrival
from ..envelope import Client, Envelope, Recipient
from ..message import Message
from ..verdict import Reply
from . import grammar, replies, xforward
from .door import Door
from .grammar import Refused
from .incoming import NoRoom, receive
from .wire import TimedOut, TooLong, Vanished, Wire

log = logging.getLogger("penstock.port")


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is connected, and where: `name` is for the log."""

    name: str
    listener: str
    lmtp_only: bool
    may_xforward: bool


class Session:
    """The conversation over one connection; `run` in a thread of its own."""

    def __init__(self, wire: Wire, door: Door, peer: Peer, leave: Callable[[Session], None]) -> None:
        """`leave` is called when the session is over for its client, even if a handler never lets its thread go."""
        self._wire = wire
        self._door = door
        self._peer = peer
        self._leave = leave
        self._hello: str | None = None
        self._lmtp = False
        self._client = _UNKNOWN
        self._envelope: Envelope | None = None
        self._recipients: list[Recipient] = []
        self._refusals = 0
        self._errors = 0
        self._idle_commands = 0
        self._waiting = False
        self._draining = False
        self._leaving = False
        self._open = True
        self.lines = 0
        """Command lines so far."""

    def run(self) -> None:
        """Talk until the client leaves, misbehaves or vanishes, or the server drains. Never raises."""
        log.debug("event=connect peer=%s listener=%s", self._peer.name, self._peer.listener)
        verb = "CONNECT"
        try:
            protocol = "LMTP" if self._peer.lmtp_only else "ESMTP"
            self._answer(Reply(220, None, f"{self._door.hostname} {protocol} penstock"))
            while self._open:
                line = self._next_line()
                if line is not None:
                    verb = self._obey(line)
            self._wire.flush()
        except Vanished as error:
            self._mourn(verb, error)
        except Exception:
            log.exception("event=fault peer=%s after=%s", self._peer.name, verb)
        finally:
            self._wire.close()
            self._leave(self)
            log.debug("event=disconnect peer=%s", self._peer.name)

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a command, with no transaction in progress."""
        return self._waiting and self._envelope is None

    def drain(self) -> None:
        """From another thread: say 421 when the client can bear it.

        That is at RSET between two messages, which is Postfix's question whether a connection that it kept is
        still good: it then takes another one. At MAIL it would defer the message.
        """
        self._draining = True

    def leave(self) -> None:
        """From another thread: finish the transaction in progress, then say 421."""
        self._leaving = True
        if self.is_idle:
            self._wire.end_reading()

    def abort(self) -> None:
        """From another thread: break the connection now."""
        self._wire.abort()

    def _give_up(self, answers: Sequence[Reply]) -> None:
        """From another thread, while ours is in a handler that takes too long: answer in its place, and break off."""
        self._open = False
        self._leave(self)
        for reply in answers:
            self._answer(reply)
        try:
            self._wire.flush()
        finally:
            self._wire.abort()

    # -- the loop

    def _next_line(self) -> bytes | None:
        """The next command line; None where there was none to obey, and the client has its answer."""
        if self._leaving and self._envelope is None:
            self._hang_up(replies.SHUTTING_DOWN)
            return None
        self._waiting = True
        try:
            line = self._wire.until(b"\n", self._door.limits.command_line)
            self.lines += 1
            return line
        except TooLong:
            self._refuse(replies.LINE_TOO_LONG)
        except Vanished:
            if not self._leaving or self._envelope is not None:
                raise
            self._hang_up(replies.SHUTTING_DOWN)
        finally:
            self._waiting = False
        return None

    def _obey(self, line: bytes) -> str:
        """Do what a line says and answer; returns the verb for the log."""
        verb = ""
        try:
            verb, rest = grammar.command(line)
            obey = _COMMANDS.get(verb)
            if obey is None:
                raise Refused(replies.UNKNOWN_COMMAND)
            if verb in _IDLE:
                self._idle_commands += 1
            obey(self, rest)
        except Refused as refused:
            self._refuse(refused.reply)
        if self._idle_commands > self._door.limits.idle_commands:
            self._hang_up(replies.TOO_IDLE)
        return verb

    def _answer(self, reply: Reply) -> None:
        self._wire.write(replies.encode(reply))

    def _refuse(self, reply: Reply) -> None:
        """Answer with an error, and count it where the client does not speak the protocol."""
        self._answer(reply)
        if reply.status is not None and reply.status.startswith("5.5."):
            self._errors += 1
            log.debug("event=refused peer=%s reply=%r", self._peer.name, str(reply))
        if self._errors > self._door.limits.errors:
            log.warning("event=too-many-errors peer=%s last=%r", self._peer.name, str(reply))
            self._hang_up(replies.TOO_MANY_ERRORS)

    def _hang_up(self, reply: Reply) -> None:
        self._answer(reply)
        self._open = False

    def _mourn(self, verb: str, error: Vanished) -> None:
        """Log how the client went; one that is merely slow is told so."""
        level = logging.DEBUG if self._envelope is None else logging.WARNING
        log.log(level, "event=lost peer=%s after=%s error=%r", self._peer.name, verb, str(error))
        if isinstance(error, TimedOut):
            with contextlib.suppress(Vanished):
                self._answer(replies.TIMEOUT)
                self._wire.flush()

    # -- the commands

    def _lhlo(self, rest: str) -> None:
        self._greet(rest, lmtp=True, extended=True)

    def _ehlo(self, rest: str) -> None:
        self._greet(rest, lmtp=False, extended=True)

    def _helo(self, rest: str) -> None:
        self._greet(rest, lmtp=False, extended=False)

    def _greet(self, name: str, *, lmtp: bool, extended: bool) -> None:
        if self._peer.lmtp_only and not lmtp:
            raise Refused(replies.SAY_LHLO)
        if not name:
            raise Refused(replies.SYNTAX)
        self._reset()
        self._hello, self._lmtp = name, lmtp
        extensions = self._extensions() if extended else []
        self._answer(Reply(250, None, "\n".join([self._door.hostname, *extensions])))

    def _extensions(self) -> list[str]:
        size = f"SIZE {self._door.limits.message_size}"
        forward = [f"XFORWARD {' '.join(xforward.ATTRIBUTES)}"] if self._peer.may_xforward else []
        return ["PIPELINING", size, "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", *forward]

    def _xforward(self, rest: str) -> None:
        if not self._peer.may_xforward:
            raise Refused(replies.NOT_AUTHORIZED)
        if self._hello is None:
            raise Refused(replies.HELLO_FIRST)
        if self._envelope is not None:
            raise Refused(replies.NESTED_MAIL)
        self._client = xforward.merged(self._client, rest)
        self._answer(replies.OK)

    def _mail(self, rest: str) -> None:
        if self._hello is None:
            raise Refused(replies.HELLO_FIRST)
        if self._envelope is not None:
            raise Refused(replies.NESTED_MAIL)
        self._envelope = grammar.mail(rest, self._client, self._door.limits.message_size)
        self._answer(replies.SENDER_OK)

    def _rcpt(self, rest: str) -> None:
        if self._envelope is None:
            raise Refused(replies.MAIL_FIRST)
        recipient = grammar.recipient(rest)
        if len(self._recipients) >= self._door.limits.recipients:
            raise Refused(replies.TOO_MANY_RECIPIENTS)
        refusal = self._door.refusal(self._envelope, recipient)
        if refusal is not None:
            self._refusals += 1
            self._answer(refusal)
            return
        self._recipients.append(recipient)
        self._answer(replies.RECIPIENT_OK)

    def _data(self, rest: str) -> None:
        if rest:
            raise Refused(replies.SYNTAX)
        if self._envelope is None:
            raise Refused(replies.MAIL_FIRST)
        if not self._recipients:  # pipelined behind recipients that were refused: no fault of the client's
            refused = self._refusals and not self._lmtp  # RFC 2033 section 4.2 wants 503 in LMTP
            self._answer(replies.NO_VALID_RECIPIENTS if refused else replies.RECIPIENT_FIRST)
            return
        self._answer(replies.GO_AHEAD)
        envelope = self._envelope.to(*self._recipients)
        try:
            message = Message(receive(self._wire, self._door.limits, self._door.spool))
            arrival = Arrival(envelope, message, self._peer.listener, self._hello or "", self._lmtp)
            for reply in self._door.outcome(arrival, self._give_up):
                self._answer(reply)
        except TooLong:
            self._answer_message(replies.TOO_BIG)
        except NoRoom as error:
            log.error("event=spool-failed folder=%s error=%r", self._door.spool.folder, str(error.__cause__))
            self._answer_message(replies.NO_ROOM)
        self._errors = self._idle_commands = 0
        self._reset()

    def _rset(self, rest: str) -> None:
        if self._draining and self._envelope is None:
            self._hang_up(replies.SHUTTING_DOWN)
            return
        self._reset()
        self._answer(replies.OK)

    def _noop(self, rest: str) -> None:
        self._answer(replies.OK)

    def _vrfy(self, rest: str) -> None:
        self._answer(replies.CANNOT_VERIFY if rest else replies.SYNTAX)

    def _help(self, rest: str) -> None:
        self._answer(Reply(214, "2.0.0", f"Commands: {' '.join(_COMMANDS)}"))

    def _quit(self, rest: str) -> None:
        self._hang_up(replies.BYE)

    def _answer_message(self, reply: Reply) -> None:
        """Answer a message as a whole: in LMTP each recipient has its reply."""
        for _ in range(len(self._recipients) if self._lmtp else 1):
            self._answer(reply)

    def _reset(self) -> None:
        self._client = _UNKNOWN
        self._envelope = None
        self._recipients = []
        self._refusals = 0


_UNKNOWN: Final = Client()
_COMMANDS: Final[Mapping[str, Callable[[Session, str], None]]] = {
    "LHLO": Session._lhlo,
    "EHLO": Session._ehlo,
    "HELO": Session._helo,
    "XFORWARD": Session._xforward,
    "MAIL": Session._mail,
    "RCPT": Session._rcpt,
    "DATA": Session._data,
    "RSET": Session._rset,
    "NOOP": Session._noop,
    "VRFY": Session._vrfy,
    "HELP": Session._help,
    "QUIT": Session._quit,
}
_IDLE: Final = frozenset(_COMMANDS) - {"XFORWARD", "MAIL", "RCPT", "DATA", "QUIT"}
