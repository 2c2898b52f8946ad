"""One case put to the test: sent for real, then compared with what must come of it."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ...message import Message
from ..sink import Delivery
from ..site import Site
from .cases import Arrives, Case
from .deeds import deeds

PATIENCE = 10.0
"""Seconds that a message may take to arrive."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case: to whom it went, how, and all that is not as it must be. `refused` is a reply to it."""

    recipient: str
    sent: bytes
    did: Sequence[str]
    arrived: Sequence[Delivery]
    wrong: Sequence[str]
    refused: str = ""


def put_to_the_test(site: Site, case: Case, number: int) -> Outcome:
    """Send the message of a case and wait until all came of it that must, and the queue is empty."""
    recipient = case.recipient or _answer_address(site)
    sent = case.content(number, recipient)
    (site.folder / "sent").mkdir(exist_ok=True)
    (site.folder / "sent" / f"{number}.eml").write_bytes(sent)
    logged, before = len(site.log()), len(site.sink.deliveries)
    refused = _submit(site, case, recipient, sent)
    _settle(site, before + len(case.arrives), logged, len(case.did))
    did, arrived = deeds(site.log()[logged:]), site.sink.deliveries[before:]
    wrong = [*_wrong_reply(case, refused), *_wrong_deeds(case, did), *_wrong_mail(case, arrived, sent)]
    return Outcome(recipient, sent, did, arrived, wrong, refused)


def kind_of(delivery: Delivery, sent: bytes) -> str:
    """`same`, `rewritten` or `letter`, as `Arrives` has them."""
    got = delivery.below_received(2)
    if got == sent:
        return "same"
    return "rewritten" if Message(got)["Message-ID"] == Message(sent)["Message-ID"] else "letter"


def _submit(site: Site, case: Case, recipient: str, sent: bytes) -> str:
    """Send it; the reply that refuses it, or ""."""
    try:
        site.submit(case.sender, recipient, sent, stranger=case.outside)
    except smtplib.SMTPResponseException as error:
        text = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return f"{error.smtp_code} {text}"
    return ""


def _settle(site: Site, deliveries: int, logged: int, did: int) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        come = len(site.sink.deliveries) >= deliveries and len(deeds(site.log()[logged:])) >= did
        if come and not site.postfix.queue():
            return
        time.sleep(0.1)


def _answer_address(site: Site) -> str:
    """Where an answer to the last letter goes: the address in its From."""
    letters = [delivery for delivery in site.sink.deliveries if delivery.sender == ""]
    found = Message(letters[-1].content).addresses("From") if letters else []
    return found[0].addr if found else "nobody@lists.test"


def _wrong_reply(case: Case, refused: str) -> list[str]:
    return [] if refused == case.refused else [f"it was to be {case.refused or 'taken'}, not {refused or 'taken'}"]


def _wrong_deeds(case: Case, did: Sequence[str]) -> list[str]:
    missing = [f"this was to happen: {deed}" for deed in case.did if deed not in did]
    return missing + [f"this was not to happen: {deed}" for deed in did if deed not in case.did]


def _wrong_mail(case: Case, arrived: Sequence[Delivery], sent: bytes) -> list[str]:
    left = list(arrived)
    wrong = []
    for expected in case.arrives:
        fits = [delivery for delivery in left if _fits(delivery, expected, sent)]
        if fits:
            left.remove(fits[0])
        else:
            wrong.append(f"this was to arrive: {expected.kind} to <{expected.recipient}> {expected.has}".rstrip())
    return wrong + [f"this was not to arrive: {delivery.mail} to {delivery.recipients}" for delivery in left]


def _fits(delivery: Delivery, expected: Arrives, sent: bytes) -> bool:
    return (
        delivery.recipients == (expected.recipient,)
        and kind_of(delivery, sent) == expected.kind
        and expected.has.encode() in delivery.content
        and not (expected.lacks and expected.lacks.encode() in delivery.content)
    )
