"""Reinjection: results go back to Postfix by SMTP, one transaction a submission.

What is lost before the message is under way on a connection that lay in the pool is tried once more
on a fresh one, since the server may have closed it in the meantime. Once a message was begun nothing
is ever tried again here: the dot may have arrived, and a second try would deliver twice. The answer
is then a 451, and Postfix, which still has the original, comes again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from ..envelope import Envelope, Recipient
from ..submission import Submission
from ..verdict import REINJECT_FAILED, REINJECT_LOST, Reply
from . import replies, xforward
from .connection import Connection, Lost, Timeouts, Unwilling
from .endpoint import Endpoint
from .grammar import is_mailbox
from .pool import Pool
from .transparency import Outgoing, outgoing

__all__ = ["Reinjector", "Timeouts"]

log = logging.getLogger("penstock.port")

_UNFIT: Final = re.compile(r"[\x00-\x20\x7f]")


class Stale(Lost):
    """Lost while the server had none of the message yet."""


class Unfit(Exception):
    """The envelope holds what no command can carry; `reply` says what."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


class Reinjector:
    """The client of the reinjection port at `address` (`host:port` or `unix:/path`); safe to use from any thread.

    `helo` is the name it gives. At most `pool_size` connections are kept open while idle. Raises
    ValueError for an address that is none.
    """

    def __init__(
        self, address: str, helo: str = "localhost", timeouts: Timeouts | None = None, pool_size: int = 20
    ) -> None:
        self._pool = Pool(Endpoint.parse(address), helo, timeouts or Timeouts(), pool_size)

    def send(self, submission: Submission) -> list[Reply]:
        """Send a submission; one reply for each of its recipients, in order. Never raises.

        A recipient's own refusal is its reply; the others share the reply to the message. What is out
        of reach or breaks is a 451 of `penstock.filter.verdict`.
        """
        try:
            return self._send(submission)
        except Unfit as error:
            log.error("event=unfit queue_id=%s reply=%r", submission.envelope.queue_id, str(error))
            return self._send_fit(submission, error.reply)
        except Unwilling as error:
            log.warning("event=reinject-failed queue_id=%s error=%r", submission.envelope.queue_id, str(error))
            reply = REINJECT_FAILED
        except Lost as error:
            log.warning("event=reinject-lost queue_id=%s error=%r", submission.envelope.queue_id, str(error))
            reply = REINJECT_LOST
        except Exception:
            log.exception("event=fault at=reinject queue_id=%s", submission.envelope.queue_id)
            reply = replies.FAULT
        return [reply] * len(submission.envelope.recipients)

    def close(self) -> None:
        """Take leave on the connections in the pool."""
        self._pool.close()

    def _send_fit(self, submission: Submission, unfit: Reply) -> list[Reply]:
        """Send to those whom a command can name: one bad address must not keep a letter from all the others."""
        recipients = submission.envelope.recipients
        fit = [recipient for recipient in recipients if _is_fit(recipient)]
        if len(fit) in (0, len(recipients)):  # or it is the sender that is unfit
            return [unfit] * len(recipients)
        answers = iter(self.send(replace(submission, envelope=submission.envelope.to(*fit))))
        return [next(answers) if _is_fit(recipient) else unfit for recipient in recipients]

    def _send(self, submission: Submission) -> list[Reply]:
        content = outgoing(submission.message.chunks())
        resting = self._pool.take()
        if resting is not None:
            try:
                return self._over(resting, submission, content)
            except Stale as error:
                log.debug("event=stale error=%r", str(error))
        return self._over(self._pool.fresh(), submission, content)

    def _over(self, connection: Connection, submission: Submission, content: Outgoing) -> list[Reply]:
        try:
            answers = _transact(connection, submission, content)
        except BaseException:
            connection.close()
            raise
        self._pool.give_back(connection)
        return answers


def _transact(connection: Connection, submission: Submission, content: Outgoing) -> list[Reply]:
    """One mail transaction; leaves the connection ready for the next, or closed."""
    envelope = submission.envelope
    lacking = [need for need in _needs(submission) if need not in connection.capabilities]
    if lacking:
        text = f"The mail system behind the filter does not offer {', '.join(lacking)}, which this mail needs"
        return [Reply(451, "4.3.5", text)] * len(envelope.recipients)
    identity = list(xforward.commands(envelope.client, connection.capabilities.get("XFORWARD", "").upper().split()))
    commands = [_mail(submission, content.size, connection), *map(_rcpt, envelope.recipients), b"DATA"]
    answers = _asked(connection, [*identity, *commands])
    for answer in answers[: len(identity)]:
        if not answer.is_ok:  # Postfix, too, goes on without
            log.warning("event=xforward-refused queue_id=%s reply=%r", envelope.queue_id, str(answer))
    mail, *recipients, data = answers[len(identity) :]
    if not mail.is_ok:
        recipients = [mail] * len(recipients)
    try:
        outcome = _content(connection, content, data, wanted=any(reply.is_ok for reply in recipients))
    except Lost as error:
        log.warning("event=reinject-lost queue_id=%s after=DATA error=%r", envelope.queue_id, str(error))
        outcome = REINJECT_LOST
    return [outcome if reply.is_ok else reply for reply in recipients]


def _asked(connection: Connection, commands: Sequence[bytes]) -> list[Reply]:
    try:
        answers = connection.ask(commands)
    except Lost as error:
        raise Stale(str(error)) from error
    for number, answer in enumerate(answers, 1):
        if answer.code == 421 or (300 <= answer.code < 400 and number < len(answers)):
            raise Stale(str(answer))
    return answers


def _content(connection: Connection, content: Outgoing, data: Reply, *, wanted: bool) -> Reply:
    """Send the message where `data`, the reply to DATA, asks for it; the reply for the accepted recipients."""
    if data.code == 354 and not wanted:  # only the end of the connection gets out of a DATA without recipients
        connection.close()
        return data
    if data.code == 354:
        data = connection.deliver(content.buffers)
    else:
        connection.reset()
        if data.is_ok:
            raise Lost(f"DATA is answered with {data}")
    if data.code == 421 or data.code // 100 == 3:
        connection.close()
        raise Lost(f"the message is answered with {data}")
    return data


def _needs(submission: Submission) -> Iterator[str]:
    """The extensions that this mail cannot do without."""
    envelope = submission.envelope
    if envelope.smtputf8:
        yield "SMTPUTF8"
    if envelope.body == "8BITMIME":
        yield "8BITMIME"
    if envelope.ret or envelope.envid or any(r.notify or r.orcpt for r in envelope.recipients):
        yield "DSN"
    if submission.verp:
        yield "XVERP"


def _mail(submission: Submission, size: int, connection: Connection) -> bytes:
    envelope: Envelope = submission.envelope
    if envelope.reverse_path and not is_mailbox(envelope.reverse_path):
        raise Unfit(replies.BAD_SENDER)
    announced = connection.capabilities
    words = [f"MAIL FROM:<{envelope.reverse_path}>"]
    if "SIZE" in announced:
        words.append(f"SIZE={size}")
    if envelope.body and "8BITMIME" in announced:
        words.append(f"BODY={envelope.body}")
    if envelope.smtputf8:
        words.append("SMTPUTF8")
    if envelope.ret:
        words.append(f"RET={envelope.ret}")
    if envelope.envid:
        words.append(f"ENVID={envelope.envid}")
    if submission.verp:
        words.append("XVERP")
    return _command(words)


def _rcpt(recipient: Recipient) -> bytes:
    if not is_mailbox(recipient.address):
        raise Unfit(replies.BAD_RECIPIENT)
    words = [f"RCPT TO:<{recipient.address}>"]
    if recipient.notify:
        words.append(f"NOTIFY={recipient.notify}")
    if recipient.orcpt:
        words.append(f"ORCPT={recipient.orcpt}")
    return _command(words)


def _is_fit(recipient: Recipient) -> bool:
    try:
        return bool(_rcpt(recipient))
    except Unfit:
        return False


def _command(words: list[str]) -> bytes:
    for parameter in words[1:]:
        if _UNFIT.search(parameter):
            raise Unfit(replies.SYNTAX)
    return " ".join(words).encode("utf-8", "surrogateescape")
