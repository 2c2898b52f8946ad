"""Delivery status notifications, as another program reads them."""

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import Message as Parsed

import pytest
from penstock.filter.envelope import Envelope, Recipient
from penstock.filter.message import Message
from penstock.filter.message.report import ReportedRecipient, delivery_status, header_of

ORIGINAL = Message(b"From: ann@example.org\r\nSubject: =?utf-8?q?=C3=A4?=\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n")
REFUSAL = "smtp; 550 5.7.1 No,\nreally"
FAILED = ReportedRecipient("bob@lists.test", "failed", "5.7.1", REFUSAL, "rfc822;Bob+2Bx@lists.test")
DELIVERED = ReportedRecipient("müller@lists.test", "delivered", "2.0.0")


def notice(
    *recipients: ReportedRecipient, ret: str | None = None, envid: str | None = None, original: Message = ORIGINAL
) -> Message:
    return delivery_status(
        original,
        envelope=Envelope("ann@example.org", tuple(Recipient(r.address) for r in recipients), ret=ret, envid=envid),
        reporting_mta="mx.lists.test",
        recipients=recipients,
        sender_address="MAILER-DAEMON@mx.lists.test",
        message_id="<1@mx.lists.test>",
        date=datetime(2026, 1, 5, 10, tzinfo=UTC),
        text="Your message was refused.\n",
    )


def groups(message: Message) -> list[Parsed]:
    parsed = message_from_bytes(bytes(message), policy=policy.default)
    assert not any(part.defects for part in parsed.walk())
    status = [part for part in parsed.walk() if part.get_content_type() == "message/delivery-status"]
    found = status[0].get_payload()
    assert isinstance(found, list)
    return found


def test_the_three_parts() -> None:
    message = notice(FAILED)
    assert [part.content_type for part in message.walk()] == [
        *("multipart/report", "text/plain", "message/delivery-status", "text/rfc822-headers")
    ]
    field = message.field("Content-Type")
    assert field is not None
    assert field.params["report-type"] == "delivery-status"
    assert message.defects == ()
    assert message["Auto-Submitted"] == "auto-replied"
    assert [address.addr for address in message.addresses("To")] == ["ann@example.org"]
    assert message.parts[0].text == "Your message was refused.\n"
    assert bytes(message).isascii()


def test_the_fields() -> None:
    about, bob, other = groups(notice(FAILED, DELIVERED, envid="QQ+2B1"))
    assert dict(about.items()) == {"Original-Envelope-Id": "QQ+1", "Reporting-MTA": "dns; mx.lists.test"}
    assert dict(bob.items()) == {
        "Original-Recipient": "rfc822; Bob+x@lists.test",
        "Final-Recipient": "rfc822; bob@lists.test",
        "Action": "failed",
        "Status": "5.7.1",
        "Diagnostic-Code": "smtp; 550 5.7.1 No, really",
    }
    assert other["Final-Recipient"] == "utf-8; m\\x{FC}ller@lists.test"
    assert "Diagnostic-Code" not in other


@pytest.mark.parametrize(
    ("recipient", "ret", "kind"),
    [
        (FAILED, "FULL", "message/rfc822"),
        (FAILED, "HDRS", "text/rfc822-headers"),
        (FAILED, None, "text/rfc822-headers"),
        (DELIVERED, "FULL", "text/rfc822-headers"),
    ],
)
def test_what_is_returned(recipient: ReportedRecipient, ret: str | None, kind: str) -> None:
    message = notice(recipient, ret=ret)
    returned = message.parts[2]
    assert returned.content_type == kind
    assert returned.content == (bytes(ORIGINAL) if kind == "message/rfc822" else header_of(ORIGINAL))
    assert message.defects == ()


@pytest.mark.parametrize(
    ("recipient", "subject"),
    [(FAILED, "Undelivered mail returned to sender"), (DELIVERED, "Successful mail delivery report")],
)
def test_subject(recipient: ReportedRecipient, subject: str) -> None:
    assert notice(recipient)["Subject"] == subject


@pytest.mark.parametrize(
    ("original", "kind"),
    [
        (ORIGINAL, "message/rfc822"),
        (Message("Subject: ä\n\nö\n".encode()), "message/global"),
        (Message(b"X: " + b"\xe9" * 3000 + b"\n\n"), "message/rfc822"),
    ],
)
@pytest.mark.parametrize("ret", ["FULL", "HDRS"])
def test_a_strict_reader_has_no_complaint(original: Message, kind: str, ret: str) -> None:
    message = notice(FAILED, DELIVERED, ret=ret, original=original)
    parsed = message_from_bytes(bytes(message), policy=policy.strict)
    assert not any(part.defects for part in parsed.walk())
    returned = message.parts[2]
    if ret == "HDRS":
        assert max(map(len, bytes(message).split(b"\r\n"))) <= 998
        assert bytes(message).isascii()
        assert returned.content == header_of(original)
    else:
        assert (returned.content_type, message["Content-Transfer-Encoding"]) == (kind, "8bit")
        assert returned.content == re.sub(rb"\r?\n", b"\r\n", bytes(original))


def test_stray_octets_in_an_address_do_no_harm() -> None:
    bad = ReportedRecipient("b\udcff\r\nX: y@lists.test", "failed", "5.1.1", "smtp; \udcff\0", "rfc822;+0D+0Ax")
    (_, recipient) = groups(notice(bad))
    assert set(recipient) == {"Original-Recipient", "Final-Recipient", "Action", "Status", "Diagnostic-Code"}
