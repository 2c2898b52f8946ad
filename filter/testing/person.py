"""People who write, for tests that read as a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..address import parse
from ..envelope import Client, Envelope
from ..letters import new_message_id
from ..message import Message
from ..message.compose import HeaderValue, compose
from ..submission import Submission
from .got import Got

if TYPE_CHECKING:
    from .office import Office


class Received:
    """A letter in somebody's box: the message, its reverse-path, and whose box it is."""

    def __init__(self, submission: Submission, recipient: str) -> None:
        self.message: Message = submission.message
        self.sender = submission.envelope.reverse_path
        self.verp = submission.verp
        self.recipient = recipient

    def __str__(self) -> str:
        return f"to {self.recipient}: {self.message['Subject']!r}"


class Person:
    """Someone with an address: writes, answers, and gets letters."""

    def __init__(self, office: Office, address: str, *, verified: bool) -> None:
        self._office = office
        self.address = address
        outside = Client(address="192.0.2.1", name="outside.test", source="REMOTE")
        self._client = Client(source="LOCAL") if verified else outside

    def writes(
        self,
        to: str | Iterable[str],
        text: str = "",
        *,
        subject: str | None = None,
        html: str | None = None,
        headers: Mapping[str, str] | None = None,
        attach: Mapping[str, bytes] | None = None,
        reverse_path: str | None = None,
    ) -> Got:
        """Write to one or several addresses; returns what happened. The subject is by default the text's first line.

        `attach` are file names and contents; `reverse_path` differs from the address for bounces ("").
        """
        recipients = [to] if isinstance(to, str) else list(to)
        first_line = text.strip().partition("\n")[0][:70]
        fields: dict[str, HeaderValue] = {
            "From": self.address,
            "To": ", ".join(recipients),
            "Subject": subject if subject is not None else first_line,
            "Date": self._office.clock.now(),
            "Message-ID": new_message_id(self.address),
            **(headers or {}),
        }
        message = compose(list(fields.items()), plain=text, html=html)
        for filename, content in (attach or {}).items():
            message.attach(content, filename=filename)
        return self.sends(message, *recipients, reverse_path=reverse_path)

    def sends(self, message: Message, *to: str, reverse_path: str | None = None) -> Got:
        """Send a message as it is."""
        path = self.address if reverse_path is None else reverse_path
        return self._office.deliver(Message(bytes(message)), Envelope(path, client=self._client).to(*to))

    def answers(self, letter: Received, text: str = "Yes.", *, headers: Mapping[str, str] | None = None) -> Got:
        """Answer a letter, where its Reply-To or From says; returns what happened."""
        target = parse(letter.message["Reply-To"] or letter.message["From"] or "")
        assert target is not None, f"the letter {letter} says nowhere whom to answer"
        message_id = letter.message["Message-ID"] or ""
        references = " ".join([*letter.message.ids("References"), message_id])
        thread = {"In-Reply-To": message_id, "References": references, **(headers or {})}
        return self.writes(target.addr, text, subject=f"Re: {letter.message['Subject']}", headers=thread)

    def gets(self, *, subject: str | None = None, text: str | None = None) -> Received:
        """Take the oldest unread letter whose subject and text contain these. Fails if there is none."""
        box = self._office.box(self.address)
        for letter in box:
            body = letter.message.body("plain") or letter.message.body("html")
            if (subject is None or subject in (letter.message["Subject"] or "")) and (
                text is None or (body is not None and text in body.text)
            ):
                box.remove(letter)
                return letter
        wanted = " and ".join(f"{what} {value!r}" for what, value in (("subject", subject), ("text", text)) if value)
        unread = "; ".join(str(letter) for letter in box) or "none"
        raise AssertionError(f"{self.address} has no letter with {wanted or 'anything in it'}; unread: {unread}")

    def gets_nothing(self) -> None:
        """Assert that the box is empty."""
        unread = "; ".join(str(letter) for letter in self._office.box(self.address))
        assert not unread, f"{self.address} has unread letters: {unread}"
