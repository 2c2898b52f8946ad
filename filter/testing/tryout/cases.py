"""What the try-out sends, and what must come of it.

A case is one message with all that it leads to, told beforehand. The try-out compares: what the log says
that handlers did, and what arrived in the sink.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

OWNED: Final = "lists.test"

CONFIGURATION: Final = r"""
handlers = ["penstock.handlers.autoreply", "penstock.handlers.tea"]

[routing]
host = 'lists\.test'

[[handlers.policy.rules]]
name = "no watches"
action = "reject"
headers = { Subject = ["*cheap watches*"] }
text = "We need no watches"

[handlers.autoreply.away."ann@office.test"]
name = "Ann"
text = "I am on the river until Monday."
"""
"""What follows in `[filter]`: the handlers behind the queue, and the options of all."""

MILTER: Final = """
handlers = ["penstock.handlers.policy", "penstock.handlers.attachments", "penstock.handlers.tea"]
"""
"""What follows in `[milter]`: the two that keep nothing, and a list, whose refusals are told there as well."""


@dataclass(frozen=True, slots=True)
class Arrives:
    """One message that must reach the sink.

    It is the `same` as what was sent, octet for octet; the same message `rewritten`; or a `letter`, which a
    handler or Postfix made. It holds the text `has` and not the text `lacks`.
    """

    recipient: str
    kind: Literal["same", "rewritten", "letter"] = "same"
    has: str = ""
    lacks: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One message. `recipient` is None for an answer to the letter that came last.

    `outside` mail comes from a stranger, whose address may be forged; other mail from this host. `did` are the
    deeds of handlers, as `deeds` tells them. `refused` is the reply that its client hears, where it is not taken.
    """

    title: str
    sender: str
    recipient: str | None
    subject: str
    outside: bool = True
    attachment: bool = False
    did: tuple[str, ...] = ()
    refused: str = ""
    arrives: tuple[Arrives, ...] = ()

    def content(self, number: int, recipient: str) -> bytes:
        """The message, complete with what a mail program writes: lines end in CRLF."""
        head = (
            f"From: {self.sender}\nTo: {recipient}\nSubject: {self.subject}\n"
            f"Date: Mon, 02 Nov 2026 12:00:00 +0000\nMessage-ID: <try-{number}@{self.sender.partition('@')[2]}>\n"
        )
        body = _WITH_PROGRAM if self.attachment else "\n.A line with a dot\nand the end of it.\n"
        return (head + body).replace("\n", "\r\n").encode("ascii")


_WITH_PROGRAM: Final = """\
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="part"

--part
Content-Type: text/plain

The invoice is attached.
--part
Content-Type: application/pdf; name="invoice.pdf.exe"
Content-Disposition: attachment; filename="invoice.pdf.exe"
Content-Transfer-Encoding: base64

TVqQAAMAAAAEAAAA//8AALgAAAAAAAAAQAAAAAAAAAA=
--part--
"""

CASES: Final = (
    Case(
        "A letter that is no handler's business",
        *("bob@example.test", "dan@office.test", "Lunch"),
        arrives=(Arrives("dan@office.test"),),
    ),
    Case(
        "A program in an attachment is taken out",
        *("bob@example.test", "dan@office.test", "Your invoice"),
        attachment=True,
        did=("attachments: replace invoice.pdf.exe (executable by content)",),
        arrives=(Arrives("dan@office.test", "rewritten", "Programs are not accepted here", "TVqQAAMAAAA"),),
    ),
    Case(
        "The firewall refuses before the queue: the client is told while it waits",
        *("mallory@example.test", "dan@office.test", "Cheap watches"),
        did=("policy: refused with 550 5.7.1 We need no watches, before the queue",),
        refused="550 5.7.1 We need no watches",
    ),
    Case(
        "What the list would refuse behind the queue is told before it, too",
        *("mallory@example.test", "tea@lists.test", "Dear members"),
        did=("tea: refused with 550 5.7.1 Join first, or you are a member already, before the queue",),
        refused="550 5.7.1 Join first, or you are a member already",
    ),
    Case(
        "Ann is away: her mail arrives, and its sender has an answer",
        *("bob@example.test", "ann@office.test", "Boats"),
        did=("autoreply: a letter to <bob@example.test>",),
        arrives=(
            Arrives("ann@office.test"),
            Arrives("bob@example.test", "letter", "I am on the river until Monday."),
        ),
    ),
    Case(
        "The same sender has no second answer: penstock remembers",
        *("bob@example.test", "ann@office.test", "More boats"),
        arrives=(Arrives("ann@office.test"),),
    ),
    Case(
        "Bob joins the tea list, and is asked whether it was him",
        *("bob@example.test", "tea-join@lists.test", "Let me in"),
        did=("tea: START → JOINING", "tea: a letter to <bob@example.test>"),
        arrives=(Arrives("bob@example.test", "letter", "Please confirm"),),
    ),
    Case(
        "Bob answers that letter, and is a member",
        *("bob@example.test", None, "Re: Please confirm"),
        did=("tea: JOINING → POSTING", "tea: a letter to <bob@example.test>"),
        arrives=(Arrives("bob@example.test", "letter", "Welcome"),),
    ),
)
