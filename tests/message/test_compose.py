"""New messages, as a strict reader sees them."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock.filter.address import Address
from penstock.filter.message import EditError, HeaderValue, Message
from penstock.filter.message.compose import compose, forward_subject, needs_smtputf8, quoted, reply_headers

HEADERS: list[tuple[str, HeaderValue]] = [
    ("From", Address("help", "bücher.example", "Büro, Hilfe")),
    ("To", [Address("ann", "example.org", "Ann"), Address("bob", "example.com")]),
    ("Subject", "Grüße — " + "lang " * 40),
    ("Date", datetime(2026, 1, 5, 10, tzinfo=UTC)),
    ("Message-ID", "<1@example.org>"),
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


def strictly(message: Message) -> EmailMessage:
    """The message as the standard library's strict parser reads it: any defect anywhere is an error."""
    raw = bytes(message)
    lines = raw.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert not any(b"\n" in line or b"\r" in line for line in lines)
    assert message.defects == ()
    parsed = cast(EmailMessage, message_from_bytes(raw, policy=policy.strict))
    for part in parsed.walk():
        assert not part.defects
        assert not any(value.defects for value in part.values())  # type: ignore[attr-defined]
    return parsed


@pytest.mark.parametrize(
    ("plain", "html", "kinds"),
    [
        ("text\n", None, ["text/plain"]),
        (None, "<p>text", ["text/html"]),
        ("Grüße\n", "<p>Grüße", ["multipart/alternative", "text/plain", "text/html"]),
        (None, None, ["text/plain"]),
    ],
)
def test_text_html_or_both(plain: str | None, html: str | None, kinds: list[str]) -> None:
    message = compose(HEADERS, plain=plain, html=html)
    assert [part.get_content_type() for part in strictly(message).walk()] == kinds
    assert [part.content_type for part in message.walk()] == kinds
    assert message.edits == ()
    for kind, text in (("plain", plain), ("html", html)):
        shown = message.body(kind)
        assert text is None or (shown is not None and shown.text == text)


def test_headers_are_read_back() -> None:
    parsed = strictly(compose(HEADERS, plain="x"))
    assert parsed["Subject"] == "Grüße — " + ("lang " * 40).strip()
    assert str(parsed["From"]) == '"Büro, Hilfe" <help@xn--bcher-kva.example>'
    assert parsed["Date"].datetime == datetime(2026, 1, 5, 10, tzinfo=UTC)
    assert all(len(line) <= 78 for line in bytes(compose(HEADERS, plain="x")).split(b"\r\n"))


def test_content_fields_are_made_here() -> None:
    message = compose([*HEADERS, ("content-type", "text/x-evil"), ("MIME-Version", "2")], plain="x")
    assert message.get_all("MIME-Version") == ["1.0"]
    assert message.content_type == "text/plain"


@given(TEXT, TEXT)
@settings(max_examples=200, deadline=None)
def test_any_text_comes_back(plain: str, html: str) -> None:
    message = compose(HEADERS, plain=plain, html=html)
    strictly(message)
    first, second = message.parts
    assert first.text == plain.replace("\r\n", "\n").replace("\r", "\n")
    assert second.text == html.replace("\r\n", "\n").replace("\r", "\n")


def test_attachments() -> None:
    message = compose(HEADERS, plain="see the file\n", html="<p>see")
    message.attach(b"%PDF\0", type="application/pdf", filename="Übersicht 2026.pdf")
    parsed = strictly(Message(bytes(message)))
    (attachment,) = parsed.iter_attachments()
    assert attachment.get_filename() == "Übersicht 2026.pdf"
    assert attachment.get_content() == b"%PDF\0"
    assert parsed.get_body(("plain",)).get_content() == "see the file\r\n"  # type: ignore[union-attr]


def test_a_value_makes_no_header() -> None:
    with pytest.raises(EditError, match="Subject"):
        compose([("Subject", "a\r\nBcc: b@c")], plain="x")


def test_smtputf8_is_needed_for_a_local_part_beyond_ascii() -> None:
    assert needs_smtputf8(compose([("To", Address("ä", "example.org"))], plain="x"))
    assert not needs_smtputf8(compose(HEADERS, plain="ä"))


class TestReply:
    def test_goes_to_reply_to_in_the_thread(self) -> None:
        original = Message(
            b"From: Ann <ann@a>\nReply-To: list@l, x@y\nSubject: =?utf-8?q?=C3=A4?=\nMessage-ID: <3@a>\n"
            b"References: <1@a>\n <2@a>\n\n"
        )
        assert reply_headers(original) == [
            ("To", [Address("list", "l"), Address("x", "y")]),
            ("Subject", "Re: ä"),
            ("In-Reply-To", "<3@a>"),
            ("References", "<1@a> <2@a> <3@a>"),
        ]

    def test_of_a_reply_has_one_re(self) -> None:
        original = Message(b"From: a@b\nSubject: RE: x\nMessage-ID: <2@a>\nIn-Reply-To: <1@a>\n\n")
        assert dict(reply_headers(original)) == {
            "To": [Address("a", "b")],
            "Subject": "RE: x",
            "In-Reply-To": "<2@a>",
            "References": "<1@a> <2@a>",
        }

    def test_of_a_bare_message(self) -> None:
        assert reply_headers(Message(b"")) == [("Subject", "Re:")]

    def test_a_long_thread_keeps_its_first_and_its_latest(self) -> None:
        ids = [f"<{number}@a>" for number in range(100)]
        original = Message(f"Message-ID: <z@a>\nReferences: {' '.join(ids)}\n\n".encode())
        references = str(dict(reply_headers(original))["References"]).split()
        assert len(references) == 31
        assert (references[0], references[-2:]) == ("<0@a>", ["<99@a>", "<z@a>"])


def test_quoting() -> None:
    assert quoted("one\n\n> two\n") == "> one\n>\n>> two\n"


def test_forward_subject() -> None:
    assert forward_subject(Message(b"Subject: x\n\n")) == "Fwd: x"
    assert forward_subject(Message(b"Subject: FWD: x\n\n")) == "FWD: x"
