"""A session without libmilter: a context of our own, and a core that says what the test wants."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from penstock.filter.arrival import Arrival
from penstock.filter.envelope import Client, Envelope, Recipient
from penstock.filter.judgement import Judgement, Wants
from penstock.filter.spool import Spool
from penstock.filter.verdict import Discard, Reply
from penstock.milter.context import Answer
from penstock.milter.session import Door, Session

CONNECT = ("mail.stranger.test", ("192.0.2.25", 40000))
LOCAL = ("localhost", ("127.0.0.1", 0))


@dataclass
class Pretend:
    """A context: macros in, and out what was asked of it."""

    macros: dict[str, str | bytes] = field(default_factory=dict)
    said: list[tuple[Any, ...]] = field(default_factory=list)

    def getsymval(self, name: str) -> str | None:
        value = self.macros.get(name)
        return value.decode() if isinstance(value, bytes) else value

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *words: self.said.append((name, *words))


@dataclass
class Judge:
    """A core that passes everything, but for what the test says; it keeps what it was asked."""

    wants: Wants = field(default_factory=lambda: Wants(True, True, True))
    judging: Callable[[Judgement], Judgement] = lambda judgement: judgement
    words: dict[str, Reply | Discard] = field(default_factory=dict)
    arrivals: list[Arrival] = field(default_factory=list)
    asked: list[tuple[Envelope, Recipient]] = field(default_factory=list)

    def at_rcpt(self, envelope: Envelope, recipient: Recipient) -> Reply | Discard | None:
        self.asked.append((envelope, recipient))
        return self.words.get(recipient.address)

    def judge(self, arrival: Arrival, give_up: Callable[[Reply], None]) -> Judgement:
        self.arrivals.append(arrival)
        return self.judging(Judgement(arrival.message, arrival.envelope))


@pytest.fixture
def context() -> Pretend:
    return Pretend({"j": "mx.b.test", "i": "4XYZ"})


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
def session(context: Pretend, judge: Judge, tmp_path: Path) -> Session:
    made = Session(Door(judge, "unix:/m", 10_000, Spool(tmp_path, 1000)))
    made.connect(context, *CONNECT)
    made.helo("client.test")
    return made


TO = (b"<bob@b.test>",)


def send(session: Session, context: Pretend, content: bytes = b"A: 1\n\nhi\r\n", to: Sequence[bytes] = TO) -> Answer:
    """One message; its header has a field a line, with LF."""
    session.mail(b"<ann@a.test>")
    for recipient in to:
        session.rcpt(context, recipient)
    header, _, body = content.partition(b"\n\n")
    for line in header.split(b"\n"):
        name, _, value = line.partition(b":")
        session.header(name.decode(), value)
    session.body(body)
    return session.end(context)


def test_an_arrival_is_what_came(session: Session, context: Pretend, judge: Judge) -> None:
    context.macros |= {"{tls_version}": "TLSv1.3", "{cipher}": "AES", "{auth_type}": "PLAIN", "{auth_authen}": "ann"}
    session.mail(b"<ann@a.test>", b"SIZE=100", b"body=8BITMIME", b"SMTPUTF8", b"RET=HDRS", b"ENVID=a+2Bb", b"AUTH=<>")
    session.rcpt(context, b"<bob@b.test>", b"NOTIFY=SUCCESS,DELAY", b"ORCPT=rfc822;Bob@b.test")
    session.rcpt(context, b"<carl@c.test>")
    session.header("Subject", b"no space")
    session.header("X-Folded", b"  one\n\ttwo \xff")
    session.body(b"hi\r\n")
    session.body(b"\0")
    assert session.end(context) is Answer.CONTINUE
    [arrival] = judge.arrivals
    assert bytes(arrival.message) == b"Subject:no space\r\nX-Folded:  one\r\n\ttwo \xff\r\n\r\nhi\r\n\0"
    assert arrival.envelope == Envelope(
        "ann@a.test",
        (Recipient("bob@b.test", "SUCCESS,DELAY", "rfc822;Bob@b.test"), Recipient("carl@c.test")),
        "8BITMIME", True, 100, "HDRS", "a+2Bb",
        Client(
            "mail.stranger.test", "192.0.2.25", "40000", "ESMTP", "client.test", "4XYZ", None,
            "TLSv1.3", "AES", "ann", "PLAIN",
        ),
    )  # fmt: skip
    assert (arrival.listener, arrival.peer, arrival.replies_each) == ("unix:/m", "mx.b.test", False)
    assert arrival.envelope.client.is_authenticated


def test_what_postfix_does_not_tell_is_none(context: Pretend, judge: Judge) -> None:
    session = Session(Door(judge, "unix:/m"))
    session.connect(Pretend(), "unknown", None)
    send(session, Pretend())
    assert judge.arrivals[0].envelope.client == Client()
    assert judge.arrivals[0].peer == ""
    assert not judge.arrivals[0].envelope.client.is_authenticated


def test_a_login_that_is_no_utf8_is_a_login(session: Session, context: Pretend, judge: Judge) -> None:
    context.macros |= {"{auth_type}": "LOGIN", "{auth_authen}": b"j\xf6rg"}
    send(session, context)
    assert judge.arrivals[0].envelope.client.login == "?"


def test_messages_of_a_session_are_told_apart(session: Session, context: Pretend, judge: Judge) -> None:
    send(session, context, b"A: 1\n\none")
    session.mail(b"<lost@a.test>", b"SMTPUTF8")
    session.rcpt(context, b"<lost@b.test>")
    session.header("Lost", b" x")
    session.body(b"lost")
    session.reset()
    session.reset()  # Postfix may abort twice
    send(session, context, b"B: 2\n\ntwo")
    session.mail(b"<lost@a.test>")  # not even an abort
    session.rcpt(context, b"<lost@b.test>")
    session.header("Lost", b" x")
    session.helo("another.test")
    send(session, context, b"C: 3\n\nthree", to=(b"<carl@c.test>",))
    assert [bytes(arrival.message) for arrival in judge.arrivals] == [
        b"A: 1\r\n\r\none",
        b"B: 2\r\n\r\ntwo",
        b"C: 3\r\n\r\nthree",
    ]
    assert [len(arrival.envelope.recipients) for arrival in judge.arrivals] == [1, 1, 1]
    assert [arrival.envelope.smtputf8 for arrival in judge.arrivals] == [False] * 3
    assert [arrival.envelope.client.helo for arrival in judge.arrivals] == ["client.test"] * 2 + ["another.test"]
    assert not session.in_transaction


# -- RCPT


def test_recipients_are_refused_dropped_and_taken(session: Session, context: Pretend, judge: Judge) -> None:
    judge.words = {"no@b.test": Reply(550, "5.1.1", "No"), "drop@b.test": Discard()}
    judge.words["later@b.test"] = Reply(450, None, "L")
    session.mail(b"<ann@a.test>", b"BODY=8BITMIME")
    answers = [session.rcpt(context, b"<%b@b.test>" % word) for word in (b"bob", b"no", b"drop", b"later")]
    assert answers == [Answer.CONTINUE, Answer.REJECT, Answer.CONTINUE, Answer.TEMPFAIL]
    assert context.said == [("setreply", "550", "5.1.1", "No"), ("setreply", "450", None, "L")]
    assert [(asked.reverse_path, asked.recipients, asked.body) for asked, _ in judge.asked] == [
        ("ann@a.test", (), "8BITMIME")
    ] * 4
    assert session.end(context) is Answer.CONTINUE
    assert [recipient.address for recipient in judge.arrivals[0].envelope.recipients] == ["bob@b.test"]
    assert context.said[2:] == [("delrcpt", "<drop@b.test>")]


def test_twins_are_two_recipients(session: Session, context: Pretend, judge: Judge) -> None:
    send(session, context, to=(b"<bob@b.test>", b"<bob@b.test>"))
    assert [recipient.address for recipient in judge.arrivals[0].envelope.recipients] == ["bob@b.test"] * 2
    assert context.said == []


def test_without_a_word_on_recipients_nobody_is_asked(context: Pretend, tmp_path: Path) -> None:
    judge = Judge(Wants(rcpt=False, header=True, body=True))
    session = Session(Door(judge, "unix:/m"))
    session.mail(b"<ann@a.test>")
    assert session.rcpt(context, b"<bob@b.test>") is Answer.NOREPLY
    assert judge.asked == []


def test_mail_submitted_on_the_host_has_no_recipient_refused(context: Pretend, judge: Judge) -> None:
    judge.words = {"no@b.test": Reply(550, "5.1.1", "No")}
    session = Session(Door(judge, "unix:/m"))
    session.connect(context, *LOCAL)
    session.mail(b"ann@a.test")
    assert session.rcpt(context, b"no@b.test") is Answer.CONTINUE
    assert session.end(context) is Answer.CONTINUE
    [arrival] = judge.arrivals
    assert (arrival.envelope.reverse_path, arrival.envelope.recipients) == ("ann@a.test", (Recipient("no@b.test"),))
    assert (arrival.envelope.client.source, arrival.envelope.client.address) == ("LOCAL", "127.0.0.1")


@pytest.mark.parametrize(
    ("connected", "path"),
    [(CONNECT, b"ann@a.test"), (("localhost", ("127.0.0.1", 40000)), b"ann@a.test"), (LOCAL, b"<ann@a.test>")],
)
def test_nobody_else_counts_as_local(context: Pretend, judge: Judge, connected: Any, path: bytes) -> None:
    judge.words = {"no@b.test": Reply(550, "5.1.1", "No")}
    session = Session(Door(judge, "unix:/m"))
    session.connect(context, *connected)
    session.mail(path)
    assert session.rcpt(context, b"<no@b.test>") is Answer.REJECT


# -- the end of a message


def test_a_refusal(session: Session, context: Pretend, judge: Judge) -> None:
    judge.judging = lambda judgement: replace(judgement, reply=Reply(554, "5.7.1", "100% no\nAt all"))
    assert send(session, context) is Answer.REJECT
    assert context.said == [("setreply", "554", "5.7.1", "100%% no", "At all")]


def test_a_deferral_a_discard_and_a_hold(session: Session, context: Pretend, judge: Judge) -> None:
    judge.judging = lambda judgement: replace(judgement, reply=Reply(451, "4.7.1", "Later"))
    assert send(session, context) is Answer.TEMPFAIL
    judge.judging = lambda judgement: replace(judgement, discard=True)
    assert send(session, context) is Answer.DISCARD
    context.said.clear()
    judge.judging = lambda judgement: replace(judgement, hold="for\r\nMonday")
    assert send(session, context) is Answer.CONTINUE
    assert context.said == [("quarantine", "for??Monday")]


def test_operations_come_in_their_order_and_before_a_hold(session: Session, context: Pretend, judge: Judge) -> None:
    def change(judgement: Judgement) -> Judgement:
        message = judgement.message
        message["Subject"] = "new"
        message.add("X-Last", "1")
        message.add("X-First", "2", first=True)
        del message["X-Gone"]
        message.append_text("bye")
        envelope = replace(judgement.envelope.to("carl@c.test"), reverse_path="")
        return replace(judgement, envelope=envelope, hold="why")

    judge.judging = change
    assert send(session, context, b"Subject: old\nX-Gone: x\nTo: bob\n\nhi\r\n") is Answer.CONTINUE
    assert context.said == [
        ("chgheader", "X-Gone", 1, ""),
        ("chgheader", "Subject", 1, " new"),
        ("addheader", "X-Last", " 1"),
        ("addheader", "X-First", " 2", 0),
        ("replacebody", b"hi\r\nbye"),
        ("delrcpt", "<bob@b.test>"),
        ("addrcpt", "<carl@c.test>", None),
        ("chgfrom", "<>", None),
        ("quarantine", "why"),
    ]


def test_what_cannot_be_said_is_a_451_with_a_line_in_the_log(
    session: Session, context: Pretend, judge: Judge, caplog: pytest.LogCaptureFixture
) -> None:
    def change(judgement: Judgement) -> Judgement:
        judgement.message.add("X-Long", "x " * 60_000)
        return judgement

    judge.judging = change
    assert send(session, context) is Answer.TEMPFAIL
    assert context.said[-1][:3] == ("setreply", "451", "4.3.0")
    [line] = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert "queue_id=4XYZ" in line
    assert "X-Long" in line


def test_a_core_that_raises_is_a_451(session: Session, context: Pretend, judge: Judge) -> None:
    def fault(judgement: Judgement) -> Judgement:
        raise Discard  # a verdict is no Exception

    judge.judging = fault
    assert send(session, context) is Answer.TEMPFAIL
    assert context.said[-1][:3] == ("setreply", "451", "4.3.0")


def test_a_message_that_is_too_large(session: Session, context: Pretend, judge: Judge) -> None:
    head = b"Subject:x\r\n\r\n"
    assert send(session, context, b"Subject:x\n\n" + b"x" * (10_000 - len(head))) is Answer.CONTINUE
    assert send(session, context, b"Subject:x\n\n" + b"x" * (10_001 - len(head))) is Answer.REJECT
    assert context.said == [("setreply", "552", "5.3.4", "Message too big")]
    assert [arrival.message.size for arrival in judge.arrivals] == [10_000]


def test_a_large_message_lies_in_the_spool(session: Session, context: Pretend, judge: Judge) -> None:
    assert send(session, context, b"Subject: x\n\n" + b"y" * 5000) is Answer.CONTINUE
    assert bytes(judge.arrivals[0].message) == b"Subject: x\r\n\r\n" + b"y" * 5000
    assert not isinstance(judge.arrivals[0].message.raw, bytes)


def test_a_spool_that_is_full_is_a_452(context: Pretend, judge: Judge, tmp_path: Path) -> None:
    session = Session(Door(judge, "unix:/m", spool=Spool(tmp_path / "gone", 10)))
    assert send(session, context) is Answer.TEMPFAIL
    assert context.said == [("setreply", "452", "4.3.1", "Insufficient system storage")]
    assert send(session, context, b"\n\n") is Answer.CONTINUE


def test_a_step_that_failed_is_told_at_the_end(session: Session, context: Pretend, judge: Judge) -> None:
    session.mail(b"<ann@a.test>")
    session.rcpt(context, b"<bob@b.test>")
    session.spoil()
    assert session.end(context) is Answer.TEMPFAIL
    assert judge.arrivals == []
    assert send(session, context) is Answer.CONTINUE


def test_without_the_leading_space_negotiated_it_is_supplied(context: Pretend, judge: Judge) -> None:
    def change(judgement: Judgement) -> Judgement:
        judgement.message.add("X-New", "1")
        return judgement

    judge.judging = change
    session = Session(Door(judge, "unix:/m"), spaced=False)
    assert send(session, context, b"Subject:x\n\nhi") is Answer.CONTINUE
    assert bytes(judge.arrivals[0].message).startswith(b"Subject: x\r\n")
    assert context.said == [("addheader", "X-New", "1")]
