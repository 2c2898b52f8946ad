"""One connection of Postfix: callbacks in, an arrival at the end of each message, and the answer.

Postfix makes a connection for each SMTP session, in which there may be any number of messages; whatever ended the one
before, MAIL begins anew. Nothing here is refused before its time: what goes wrong with a message on our side is told
at its end (451, and the message stays with the client), since Postfix waits for no answer before that but at RCPT.

The callbacks of one connection may come in different threads, never two at once. A session does not hold its
context: pymilter's holds the session, and the two would never be freed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from ..filter.arrival import Arrival
from ..filter.envelope import Envelope, Recipient
from ..filter.judgement import Judgement
from ..filter.message import Message
from ..filter.spool import Spool
from ..filter.verdict import HANDLER_TOO_SLOW, Discard, Reply
from ..filter.watch import Watch
from . import answers, grammar
from .client import Visitor, macro
from .content import Content, TooLarge
from .context import Answer, Context
from .core import Core
from .helpers import Helpers

log = logging.getLogger("penstock.milter")

PROGRESS: Final = 10.0
"""Seconds between two signs of life to Postfix, which waits for 300 (`milter_content_timeout`)."""

_Word = Reply | Discard | None
_FAULTY: Final[_Word] = answers.FAULT

RCPT_LIMIT: Final = 20.0
"""Seconds for a word on a recipient: there Postfix waits for 30 (`milter_command_timeout`), and no longer."""


@dataclass(frozen=True, slots=True)
class Door:
    """What all sessions share. `message_size` is in octets, `progress` and `rcpt_limit` in seconds."""

    core: Core
    listener: str
    message_size: int = 50 * 1024 * 1024
    spool: Spool = field(default_factory=Spool)
    progress: float = PROGRESS
    rcpt_limit: float = RCPT_LIMIT
    helpers: Helpers = field(default_factory=Helpers)
    watch: Watch = field(default_factory=Watch)


class Session:
    """One connection. `spaced`: values of fields come with their leading space."""

    def __init__(self, door: Door, *, spaced: bool = True) -> None:
        self._door = door
        self._spaced = spaced
        self._visitor = Visitor()
        self._peer = ""
        self.reset()

    @property
    def in_transaction(self) -> bool:
        """Whether a message is under way."""
        return self._path is not None

    def reset(self) -> None:
        """No message is under way."""
        self._path: bytes | None = None
        self._parameters: tuple[bytes, ...] = ()
        self._local = False
        self._recipients: list[Recipient] = []
        self._dropped: set[int] = set()
        self._content: Content | None = None
        self._is_spoilt = False

    @property
    def answers_rcpt(self) -> bool:
        """Whether Postfix waits for a word on each recipient."""
        return self._door.core.wants.rcpt

    def spoil(self) -> Answer:
        """A step has failed whose answer Postfix does not wait for: it is told at the end of the message."""
        self._is_spoilt = True
        return Answer.NOREPLY

    def connect(self, context: Context, name: str, address: Any) -> None:
        """A client has connected to Postfix."""
        self._visitor = Visitor.connected(name, address)
        self._peer = macro(context, "j") or ""

    def helo(self, name: str) -> None:
        """HELO or EHLO; there may be several, the last one counts."""
        self._visitor.helo = name

    def mail(self, path: bytes, *parameters: bytes) -> None:
        """A message begins."""
        self.reset()
        self._path, self._parameters = path, parameters
        self._local = self._visitor.submits(path)
        self._content = Content(self._door.message_size, self._door.spool, spaced=self._spaced)

    def rcpt(self, context: Context, path: bytes, *parameters: bytes) -> Answer:
        """One recipient, who may be refused unless the mail was submitted on the host: there nobody could be told."""
        recipient = grammar.recipient(path, parameters)
        answer = None
        if self.answers_rcpt and not self._local:
            answer = self._word_on(self._envelope(context), recipient)
        if isinstance(answer, Reply):
            return answers.refuse(context, answer)
        if answer is not None:
            self._dropped.add(len(self._recipients))
        self._recipients.append(recipient)
        return Answer.CONTINUE if self.answers_rcpt else Answer.NOREPLY

    def header(self, name: str, value: bytes) -> None:
        """One field: its value with LF for line ends."""
        if self._content is not None:
            self._content.field(name, value)

    def body(self, octets: bytes) -> None:
        """A piece of the body."""
        if self._content is not None:
            self._content.piece(octets)

    def end(self, context: Context) -> Answer:
        """The end of the message: judge it, and say what becomes of it."""
        try:
            message = self._message()
            envelope = self._envelope(context).to(*self._recipients)
            kept = self._without_dropped(envelope)
            if not kept.recipients:
                return Answer.DISCARD
            arrival = Arrival(kept, message, self._door.listener, self._peer, replies_each=False)
            return answers.give(context, envelope, self._judged(context, arrival), spaced=self._spaced)
        except Trouble as trouble:
            return answers.refuse(context, trouble.reply)
        finally:
            self.reset()

    def _envelope(self, context: Context) -> Envelope:
        client = self._visitor.client(context, self._parameters, local=self._local)
        return grammar.envelope(self._path or b"", self._parameters, client)

    def _without_dropped(self, envelope: Envelope) -> Envelope:
        if not self._dropped:
            return envelope
        numbered = enumerate(envelope.recipients)
        return envelope.to(*(recipient for number, recipient in numbered if number not in self._dropped))

    def _message(self) -> Message:
        if self._content is None or self._is_spoilt:
            raise Trouble(answers.FAULT)
        try:
            return Message(self._content.whole())
        except TooLarge:
            raise Trouble(answers.TOO_BIG) from None
        except OSError as error:
            log.error("event=spool-failed folder=%s error=%r", self._door.spool.folder, str(error))
            raise Trouble(answers.NO_ROOM) from error

    def _judged(self, context: Context, arrival: Arrival) -> Judgement:
        """What the core decides; while that takes long, Postfix is told that there is progress."""
        core, helpers = self._door.core, self._door.helpers
        faulty = Judgement(arrival.message, arrival.envelope, answers.FAULT)

        def judge(settle: Callable[[Judgement], None]) -> Judgement:
            return core.judge(arrival, lambda reply: settle(replace(faulty, reply=reply)))

        return helpers.run(judge, faulty, self._door.progress, context.progress)

    def _word_on(self, envelope: Envelope, recipient: Recipient) -> _Word:
        """What the core says of a recipient; what takes too long is given up, since no progress can be told at RCPT."""
        door = self._door

        def ask(settle: Callable[[_Word], None]) -> _Word:
            late = partial(settle, HANDLER_TOO_SLOW)
            return door.watch.run(lambda: door.core.at_rcpt(envelope, recipient), door.rcpt_limit, late)

        return door.helpers.run(ask, _FAULTY)


class Trouble(Exception):
    """The message cannot be judged; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply
