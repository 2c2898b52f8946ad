"""New messages, as a strict reader sees them."""

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from penstock.filter.address import Address
from penstock.filter.message import EditError, HeaderValue, Message
from penstock.filter.message.compose import (
    compose,
    forward,
    forward_subject,
    needs_smtputf8,
    quotation,
    quoted,
    reply,
    reply_headers,
)

HEADERS: list[tuple[str, HeaderValue]] = [
    ("From", Address("help", "bücher.example", "Büro, Hilfe")),
    ("To", [Address("ann", "example.org", "Ann"), Address("bob", "example.com")]),
    ("Subject", "Grüße — " + "lang " * 40),
    ("Date", datetime(2026, 1, 5, 10, tzinfo=UTC)),
    ("Message-ID", "<1@example.org>"),
]
OURS: list[tuple[str, HeaderValue]] = [
    ("From", Address("help", "example.com", "Help")),
    ("Date", datetime(2026, 1, 6, tzinfo=UTC)),
    ("Message-ID", "<2@example.com>"),
]
ORIGINAL = Message(
    b"From: Ann <ann@example.org>\nDate: Mon, 5 Jan 2026 10:00:00 +0200\nSubject: =?utf-8?q?=C3=9Cbersicht?=\n"
    b"To: help@example.com\nMessage-ID: <1@example.org>\nIn-Reply-To: <0@example.org>\nMIME-Version: 1.0\n"
    b"Content-Type: multipart/mixed; boundary=b\n\n"
    b"--b\nContent-Type: multipart/alternative; boundary=c\n\n"
    b"--c\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n"
    b"See the files.\n\n> Gr=FC=DFe\n-- \nAnn\n\n--c\nContent-Type: text/html\n\n<p>See the files.\n--c--\n"
    b"--b\nContent-Type: application/pdf; name=\"\xc3\xbc.pdf\"\nContent-Transfer-Encoding: base64\n"
    b"Content-Disposition: attachment; filename=\"\xc3\xbc.pdf\"\n\nJVBERgA=\n"
    b"--b\nContent-Type: text/csv; charset=iso-8859-1\nContent-Disposition: attachment; filename=a.csv\n"
    b"Content-Transfer-Encoding: quoted-printable\n\n=E4;=F6\n\n"
    b"--b\nContent-Type: message/rfc822\n\nSubject: in\n\ninner\n--b--\n"
)
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
@example("\ufeff", "\ufeff\ufeffx")
@settings(max_examples=200, deadline=None)
def test_any_text_comes_back(plain: str, html: str) -> None:
    message = compose(HEADERS, plain=plain, html=html)
    strictly(message)
    first, second = message.parts
    assert first.text == as_read(plain)
    assert second.text == as_read(html)


def as_read(text: str) -> str:
    """Line endings are LF, and a mark of byte order at the start is no text (RFC 3629 section 6)."""
    return text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")


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


    def test_to_everyone(self) -> None:
        original = Message(b"From: ann@a\nReply-To: list@l\nTo: me@m, Bob <bob@b>, ann@a\nCc: list@l, me@m\n\n")
        made = dict(reply_headers(original, everyone=True))
        assert made["To"] == [Address("list", "l")]
        assert made["Cc"] == [Address("ann", "a"), Address("me", "m"), Address("bob", "b", "Bob")]
        assert "Cc" not in dict(reply_headers(Message(b"From: ann@a\nTo: ann@a\n\n"), everyone=True))

    def test_quotes_what_was_said(self) -> None:
        answer = reply(ORIGINAL, OURS, plain="Yes.\n")
        strictly(answer)
        assert [address.addr for address in answer.addresses("To")] == ["ann@example.org"]
        assert (answer["Subject"], answer["In-Reply-To"]) == ("Re: Übersicht", "<1@example.org>")
        assert answer["References"] == "<0@example.org> <1@example.org>"
        assert answer.text == (
            "Yes.\n\nOn Mon, 05 Jan 2026 10:00:00 +0200, Ann wrote:\n> See the files.\n>\n>> Grüße\n"
        )

    def test_quotes_in_html_too(self) -> None:
        answer = reply(Message(b"From: <a@b>\n\n1 < 2\n"), OURS, plain="Yes.", html="<html><body><p>Yes.</body></html>")
        strictly(answer)
        plain, html = answer.parts
        assert plain.text == "Yes.\n\na@b wrote:\n> 1 < 2\n"
        quote = "<blockquote><pre>a@b wrote:\n&gt; 1 &lt; 2\n</pre></blockquote>\n"
        assert html.text == f"<html><body><p>Yes.{quote}</body></html>"

    @pytest.mark.parametrize("raw", [b"", b"\n-- \nAnn\n", b"Content-Type: text/html\n\n<p>x"])
    def test_of_what_says_nothing(self, raw: bytes) -> None:
        assert quotation(Message(raw)) == ""
        answer = reply(Message(raw), OURS, plain="Yes.\n")
        assert strictly(answer).get_content() == "Yes.\r\n"

    def test_given_fields_win(self) -> None:
        answer = reply(ORIGINAL, [*OURS, ("subject", "Other"), ("To", "bob@example.org")], plain="x")
        assert (answer.get_all("Subject"), answer.get_all("To")) == (["Other"], ["bob@example.org"])


class TestForward:
    def test_inline_with_its_files(self) -> None:
        message = forward(ORIGINAL, [*OURS, ("To", "bob@example.org")], plain="For you.\n")
        parsed = strictly(message)
        assert message["Subject"] == "Fwd: Übersicht"
        assert [part.content_type for part in message.walk()] == [
            *("multipart/mixed", "text/plain", "application/pdf", "text/csv", "message/rfc822", "text/plain")
        ]
        shown = message.body("plain")
        assert shown is not None
        assert shown.text == (
            "For you.\n\n---------- Forwarded message ----------\nFrom: Ann <ann@example.org>\n"
            "Date: Mon, 5 Jan 2026 10:00:00 +0200\nSubject: Übersicht\nTo: help@example.com\n\n"
            "See the files.\n\n> Grüße\n-- \nAnn\n"
        )
        pdf, csv, inner = parsed.iter_attachments()
        assert (pdf.get_filename(), pdf.get_content()) == ("ü.pdf", b"%PDF\0")
        assert (csv.get_filename(), csv.get_content()) == ("a.csv", "ä;ö\r\n")
        assert inner.get_content()["Subject"] == "in"

    def test_inline_where_only_html_is_shown(self) -> None:
        message = forward(Message("Content-Type: text/html; charset=utf-8\n\n<p>ä".encode()), OURS)
        strictly(message)
        assert [part.content_type for part in message.walk()] == ["multipart/mixed", "text/plain", "text/html"]
        assert message.parts[1].text == "<p>ä"
        assert message["Content-Transfer-Encoding"] is None

    def test_a_text_alone_needs_no_multipart(self) -> None:
        message = forward(Message(b"Subject: x\n\nhi\n"), OURS)
        strictly(message)
        assert message.text == "---------- Forwarded message ----------\nSubject: x\n\nhi\n"

    def test_as_a_whole(self) -> None:
        original = Message(bytes(ORIGINAL).replace(b"\xc3\xbc", b"u"))
        message = forward(original, OURS, plain="For you.\n", attached=True)
        strictly(message)
        text, whole = message.parts
        assert (text.text, whole.content_type) == ("For you.\n", "message/rfc822")
        assert whole.content == bytes(original).replace(b"\n", b"\r\n")

    def test_what_is_sealed_as_a_whole(self) -> None:
        raw = b"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--\r\n"
        assert forward(Message(raw), OURS).parts[1].content == raw

    def test_an_internationalized_message_is_a_message_global(self) -> None:
        whole = Message("From: ä@example.org\nSubject: ö\n\nü\n".encode())
        message = forward(whole, OURS, attached=True)
        assert [part.content_type for part in message.walk()] == [
            *("multipart/mixed", "text/plain", "message/global", "text/plain")
        ]
        assert message["Content-Transfer-Encoding"] == "8bit"
        assert not needs_smtputf8(message)
        assert not message_from_bytes(bytes(message), policy=policy.strict).defects

    def test_of_anything(self, corpus: list[Path]) -> None:
        for path in corpus[::7]:
            raw = path.read_bytes()
            if len(raw) > 60_000:
                continue
            for message in (forward(Message(raw), OURS), reply(Message(raw), OURS, plain="x")):
                lines = bytes(message).split(b"\r\n")
                assert max(map(len, lines)) <= max(998, *map(len, re.split(rb"[\r\n]", raw))), path
                assert needs_smtputf8(Message(raw)) or not needs_smtputf8(message), path


def test_quoting() -> None:
    assert quoted("one\n\n> two\n") == "> one\n>\n>> two\n"


def test_forward_subject() -> None:
    assert forward_subject(Message(b"Subject: x\n\n")) == "Fwd: x"
    assert forward_subject(Message(b"Subject: FWD: x\n\n")) == "FWD: x"
