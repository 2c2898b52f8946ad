"""Mail, Timer, Rcpt: what a handler holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from .address import identity
from .config import duration
from .effects import Conversation, Held, Key, Pending
from .envelope import Client, Envelope
from .guard import automatic_headers, generated_headers, hops
from .handler import Handler, arguments
from .letters import Letter, redirected, written
from .machine import HandlerError, moved, resource, state_name
from .message import Message
from .pattern import PatternError
from .run import Run
from .store import Ledger, Session
from .tokens import digest
from .views import View

State = Callable[..., Any]


class Desk:
    """What Mail and Timer have in common: data, letters, and the handler's other conversations."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def now(self) -> datetime:
        """The time of this run: aware, UTC, the only clock."""
        return self._run.around.now

    @property
    def db(self) -> Session:
        """A SQLAlchemy session in the transaction that commits state and letters.

        The first touch opens the transaction, so do slow work before it. Never commit it yourself.
        """
        return self._run.around.work.session()

    @property
    def ledger(self) -> Ledger:
        """Counters and values that are kept whatever the verdict (of a preview: if it refuses the message)."""
        around = self._run.around
        return around.book.page(self._run.handler.name, around.now)

    @property
    def blanks(self) -> Mapping[str, str]:
        """The blanks of the address (for a Timer: of the mail that moved the conversation)."""
        return self._run.blanks

    @property
    def state(self) -> str | None:
        """The name of the conversation's state as this run found it; None in a stateless run."""
        return self._run.state

    @property
    def key(self) -> str | None:
        """The resource of this conversation, as STATE_KEY made it; None for "none yet"."""
        return self._run.key.resource if self._run.key else None

    @property
    def is_preview(self) -> bool:
        """Whether nothing of this run will be kept: then touch nothing outside of `mail` either."""
        return self._run.around.preview

    def render(self, template: str, /, **context: object) -> View:
        """The text of a template, for use within a message. Raises ViewError."""
        return self._run.handler.views.render(template, {**self._context(), "author": self._author(), **context})

    def send(self, to: str | Iterable[str], template: str, /, **context: object) -> Letter:
        """Write to someone: `template` names views, `context` fills them.

        Returns the letter, editable until the handler returns. Raises ViewError for a template that is
        missing or fails.
        """
        recipients = (to,) if isinstance(to, str) else tuple(to)
        return self._write(template, context, recipients, generated_headers())

    def address_of(self, state: State | str, **blanks: str) -> str:
        """The address that reaches a state (reverse routing); blanks of this run's address are known.

        Raises HandlerError if no route of the state can be filled.
        """
        name = state_name(self._run.handler, state)
        why = f"{name} has no route"
        for route in self._run.handler.routes:
            if route.state == name:
                try:
                    return route.pattern.fill({**self._run.blanks, **blanks})
                except PatternError as error:
                    why = str(error)
        raise HandlerError(f"address_of({name}): {why}")

    def move(self, state: State | str, key: str, *, sender: str | None = None) -> None:
        """Put any conversation of this handler into a state; `sender` is an identity, this mail's by default."""
        conversation = self._conversation(key, sender)
        to = state_name(self._run.handler, state)
        self._run.around.work.effects.moves[conversation.key] = moved(
            self._run.handler, conversation, to, self._run.blanks, self.now
        )

    def state_of(self, key: str, *, sender: str | None = None) -> str:
        """The name of the state that any conversation of this handler is in; `START` if there is none."""
        return self._conversation(key, sender).state

    def _conversation(self, key: str, sender: str | None) -> Conversation:
        handler = self._run.handler
        who = "" if not handler.keeps_sender else self._sender_key() if sender is None else identity(sender)
        return self._run.around.work.conversation(Key(handler.name, who, key))

    def _sender_key(self) -> str:
        raise HandlerError("a timer of a conversation without a sender needs sender=… here")

    def _author(self) -> str:
        return f"postmaster@{self._run.around.hostname}"

    def _hop(self) -> int:
        return 1

    def _context(self) -> dict[str, object]:
        return {**self._run.blanks, "options": self._run.handler.options, "now": self.now}

    def _write(
        self, template: str, context: Mapping[str, object], to: tuple[str, ...], automatic: list[tuple[str, str]]
    ) -> Letter:
        author = self._author()
        view = self.render(template, **context)
        letter = written(view, to=to, author=author, now=self.now, automatic=automatic, hop=self._hop())
        return self._post(letter)

    def _post(self, letter: Letter) -> Letter:
        letter.handler = self._run.handler.name
        if letter.recipients:
            self._run.around.work.effects.letters.append(letter)
        return letter


class Mail(Desk):
    """A mail object in a handler's hands: envelope, message, and the ways to answer.

    `message` may be edited; `results` carries what one handler tells later ones.
    """

    def __init__(self, run: Run, envelope: Envelope, message: Message, results: dict[str, Any]) -> None:
        super().__init__(run)
        self.envelope = envelope
        self.message = message
        self.results = results
        self._sender: str | None = None

    @property
    def sender(self) -> str:
        """The sender's identity, by which conversations are keyed; "" for the null reverse-path.

        BATV and our own SRS are undone, the domain is a lower-case A-label. `envelope.reverse_path` is as received.
        """
        if self._sender is None:
            self._sender = identity(self.envelope.reverse_path, self._run.around.own_domains)
        return self._sender

    @property
    def recipients(self) -> tuple[str, ...]:
        """The recipients of this run, as received: all of the message's, or the one that was routed."""
        return tuple(recipient.address for recipient in self.envelope.recipients)

    @property
    def recipient(self) -> str:
        """The recipient of this run. Raises HandlerError in a run for several; see `recipients`."""
        if len(self.envelope.recipients) != 1:
            raise HandlerError("this run is for several recipients: mail.recipients has them; @route asks for one each")
        return self.envelope.recipients[0].address

    @property
    def client(self) -> Client:
        """Who brought the message to Postfix."""
        return self.envelope.client

    def reply(self, template: str, /, **context: object) -> Letter:
        """Answer the sender, at the reverse-path as received, in the thread of this message.

        Raises HandlerError for mail from the null reverse-path, which nobody may answer.
        """
        if self.envelope.is_null:
            raise HandlerError("mail from the null reverse-path may not be answered (RFC 5321 section 4.5.5)")
        return self._write(template, context, (self.envelope.reverse_path,), automatic_headers(self.message))

    def redirect(self, to: str | Iterable[str], *, sender: str | None = None, verp: bool = False) -> Letter:
        """Send this message, as edited so far, to others. `sender` is the reverse-path, by default as received.

        With `verp` Postfix gives each recipient a return path of its own (`sender+user=host`).
        """
        recipients = (to,) if isinstance(to, str) else to
        path = self.envelope.reverse_path if sender is None else sender
        letter = redirected(self.message, to=recipients, sender=path, verp=verp, now=self.now, author=self._author())
        letter.smtputf8 = self.envelope.smtputf8
        return self._post(letter)

    def keep(self, reason: str) -> None:
        """Hold a copy of the message as it came, for a person to look at, while the mail itself goes its way."""
        around = self._run.around
        kept = Held(
            envelope=self.envelope, message=Message(self.message.raw), handler=self._run.handler.name, reason=reason,
            expires=self.now + around.held_life,
        )  # fmt: skip
        around.work.effects.held.append(kept)

    def confirm(
        self, purpose: str, *facts: str, via: State | str, expires: str | timedelta = "3d", template: str = "confirm"
    ) -> Letter:
        """Ask the sender, at the address that this conversation is keyed on, whether they meant it.

        Mails a token address of the state `via`, whose route has a blank `{token}`; this message is kept
        until `expires`. `mail.confirmed` takes the answer.
        """
        until = self.now + (duration(expires) if isinstance(expires, str) else expires)
        tokens = self._run.around.tokens
        token = tokens.sign(*self._claim(purpose, facts), expires=until)
        self._run.around.work.effects.pending.append(
            Pending(
                digest=digest(token), handler=self._run.handler.name, purpose=purpose, facts=facts,
                sender=self.sender, expires=until, message=self.message.copy(),
            )
        )  # fmt: skip
        address = self.address_of(via, token=token)
        letter = self.reply(template, purpose=purpose, facts=facts, confirm_address=address, expires=until, token=token)
        letter.message["From"] = address
        return letter

    def confirmed(self, purpose: str, *facts_and_token: str) -> Pending | None:
        """What `confirm` asked, if this mail answers it: the token is ours, fresh, unused, and this sender's.

        Returns the question with the message that it was asked for, or None. The token is then used up.
        """
        *facts, token = facts_and_token
        around = self._run.around
        stored = digest(token)
        if not around.tokens.verify(token, *self._claim(purpose, tuple(facts)), now=self.now):
            return None
        pending = around.work.pending(stored)
        if pending is None or pending.expires <= self.now:
            return None
        around.work.effects.used.append(stored)
        return pending

    def _claim(self, purpose: str, facts: tuple[str, ...]) -> tuple[str, ...]:
        return (f"{self._run.handler.name}:{purpose}", self.sender, *facts)

    def _sender_key(self) -> str:
        return self._run.key.sender if self._run.key else self.sender

    def _author(self) -> str:
        return self.envelope.recipients[0].address if len(self.envelope.recipients) == 1 else super()._author()

    def _hop(self) -> int:
        return hops(self.message) + 1

    def _context(self) -> dict[str, object]:
        return {**super()._context(), "mail": self, "message": self.message, "sender": self.sender}


class Timer(Desk):
    """A deadline that has come. `sender` is the conversation's, `""` where the key leaves it out."""

    def __init__(self, run: Run, conversation: Conversation) -> None:
        super().__init__(run)
        self.conversation = conversation
        self.sender = conversation.key.sender

    def _sender_key(self) -> str:
        return self.sender

    def _context(self) -> dict[str, object]:
        return {**super()._context(), "timer": self, "sender": self.sender}


class Rcpt:
    """One RCPT at the milter: the envelope and the client are known, no message, and no database."""

    def __init__(self, envelope: Envelope, recipient: str, ledger: Ledger, now: datetime) -> None:
        self.envelope = envelope
        self.recipient = recipient
        self.ledger = ledger
        self.now = now
        self.sender = identity(envelope.reverse_path)

    @property
    def client(self) -> Client:
        """Who speaks to Postfix."""
        return self.envelope.client


def conversation_key(handler: Handler, mail: Mail, blanks: Mapping[str, str]) -> Key | None:
    """The key of the conversation that a mail belongs to, or None for "none yet".

    The null reverse-path has no conversation unless the handler leaves the sender out of its keys, or
    finds another one with SENDER_KEY.
    """
    found = resource(handler, mail, blanks)
    if handler.sender_key is not None:
        sender = handler.sender_key(mail, **arguments(handler.sender_key, blanks, handler.options))
    else:
        sender = (mail.sender or None) if handler.keeps_sender else ""
    return None if found is None or sender is None else Key(handler.name, sender, found)
