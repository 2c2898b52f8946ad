"""What a client may say, and what it hears."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from penstock.filter.port import Limits
from penstock.filter.verdict import Discard

EXTENSIONS = {"PIPELINING", "SIZE 52428800", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8"}
XFORWARD = "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"


@pytest.mark.parametrize("verb", ["EHLO", "LHLO", "ehlo"])
def test_it_announces_exactly_what_it_carries(port: Any, verb: str) -> None:
    with port.connect() as client:
        (reply,) = client.ask(f"{verb} client.example")
    lines = [line[4:] for line in reply.splitlines()]
    assert lines[0] == "filter.example"
    assert set(lines[1:]) == EXTENSIONS | {XFORWARD}
    assert len(lines) == 8


def test_helo_is_answered_in_one_line(port: Any) -> None:
    with port.connect() as client:
        assert client.ask("HELO client.example") == ["250 filter.example"]


def test_smtp_gives_one_reply_and_lmtp_one_for_each_recipient(port: Any) -> None:
    with port.smtp() as client:
        assert client.mail("a@x.test", "b@x.test").startswith("250 2.0.0")
        assert client.ask("NOOP") == ["250 2.0.0 Ok"]
    with port.lmtp() as client:
        assert client.mail("a@x.test", "b@x.test", "a@x.test").startswith("250 2.0.0")
        assert [client.reply()[:9] for _ in range(2)] == ["250 2.0.0"] * 2
        assert client.ask("NOOP") == ["250 2.0.0 Ok"]
    assert [arrival.replies_each for arrival in port.pipeline.arrivals] == [False, True]
    assert port.pipeline.arrivals[1].peer == "mx.example.org"


def test_a_transaction_pipelined_whole(port: Any) -> None:
    with port.lmtp() as client:
        client.send(b"MAIL FROM:<>\r\nRCPT TO:<unknown@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n")
        assert [client.reply()[:3] for _ in range(4)] == ["250", "550", "250", "354"]
        client.send(b"S: 1\r\n\r\nx\r\n.\r\nMAIL FROM:<c@x.test>\r\nRSET\r\nQUIT\r\n")
        assert [client.reply()[:3] for _ in range(4)] == ["250", "250", "250", "221"]
        assert client.rest() == b""
    assert port.sink.letters[0].commands[-2:] == [b"MAIL FROM:<> SIZE=11", b"RCPT TO:<b@x.test>"]


def test_many_messages_a_session(port: Any) -> None:
    with port.smtp() as client:
        for number in range(50):
            assert client.mail("a@x.test", content=b"N: %d\r\n\r\n" % number).startswith("250")
    assert [letter.content for letter in port.sink.letters] == [b"N: %d\r\n\r\n" % number for number in range(50)]
    assert port.sink.connections == 1


def test_all_parameters_reach_the_pipeline_and_the_sink(port: Any) -> None:
    mail = "MAIL FROM:<ann@example.org> SIZE=1000 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=abc+3D AUTH=<>"
    rcpt = "RCPT TO:<jörg@x.test> NOTIFY=SUCCESS,DELAY ORCPT=utf-8;jörg@x.test"
    forward = (
        "XFORWARD NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 PORT=25 PROTO=ESMTP HELO=a+2Bb IDENT=4ABC SOURCE=REMOTE"
    )
    with port.smtp() as client:
        assert [reply[:3] for reply in client.ask(forward, mail, rcpt, "DATA")] == ["250", "250", "250", "354"]
        client.send(b"x: y\r\n\r\n.\r\n")
        assert client.reply().startswith("250")
        assert client.mail("b@x.test").startswith("250")
    envelope = port.pipeline.arrivals[0].envelope
    assert (envelope.size, envelope.body, envelope.smtputf8, envelope.ret, envelope.envid) == (
        1000,
        "8BITMIME",
        True,
        "HDRS",
        "abc+3D",
    )
    assert (envelope.client.name, envelope.client.address, envelope.client.helo) == (None, "2001:db8::1", "a+b")
    assert envelope.queue_id == "4ABC"
    assert port.pipeline.arrivals[1].envelope.client.ident is None, "XFORWARD holds for one transaction"
    assert port.sink.letters[0].commands == [
        b"XFORWARD ADDR=IPV6:2001:db8::1 PORT=25 PROTO=ESMTP HELO=a+2Bb IDENT=4ABC SOURCE=REMOTE",
        b"MAIL FROM:<ann@example.org> SIZE=8 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=abc+3D",
        "RCPT TO:<jörg@x.test> NOTIFY=SUCCESS,DELAY ORCPT=utf-8;jörg@x.test".encode(),
    ]


@pytest.mark.parametrize(
    ("commands", "replies"),
    [
        (["MAIL FROM:<a@x.test>"], ["503 5.5.1"]),
        (["EHLO x", "RCPT TO:<a@x.test>"], ["503 5.5.1"]),
        (["EHLO x", "DATA"], ["503 5.5.1"]),
        (["EHLO x", "MAIL FROM:<>", "MAIL FROM:<>"], ["250 2.1.0", "503 5.5.1"]),
        (["EHLO x", "MAIL FROM:<>", "XFORWARD NAME=a"], ["250 2.1.0", "503 5.5.1"]),
        (["EHLO x", "MAIL FROM:<>", "DATA"], ["250 2.1.0", "503 5.5.1"]),
        (["EHLO x", "MAIL FROM:<>", "RCPT TO:<unknown@x>", "DATA"], ["250 2.1.0", "550 5.1.1", "554 5.5.1"]),
        (["LHLO x", "MAIL FROM:<>", "RCPT TO:<unknown@x>", "DATA"], ["250 2.1.0", "550 5.1.1", "503 5.5.1"]),
        (["LHLO x", "MAIL FROM:<>", "RCPT TO:<fault@x>", "RCPT TO:<a@x>"], ["250 2.1.0", "451 4.3.0", "250 2.1.5"]),
        (["EHLO x", "MAIL FROM:<a@x> SIZE=52428801"], ["552 5.3.4"]),
        (["EHLO x", "MAIL FROM:<a@x> BODY=BINARYMIME"], ["501 5.5.4"]),
        (["EHLO x", "MAIL FROM:<a@x> FOO=1"], ["555 5.5.4"]),
        (["EHLO x", "MAIL FROM:a@x"], ["501 5.1.7"]),
        (["EHLO x", "MAIL TO:<a@x>"], ["501 5.5.4"]),
        (["EHLO x", "MAIL FROM:<>", "RCPT TO:<a b@x>"], ["250 2.1.0", "501 5.1.3"]),
        (["EHLO x", "MAIL FROM:<>", "RCPT TO:<>"], ["250 2.1.0", "501 5.1.3"]),
        (["EHLO x", "MAIL FROM:<>", "RCPT TO:<a@x> NOTIFY=NEVER,DELAY"], ["250 2.1.0", "501 5.5.4"]),
        (["EHLO"], []),
        (
            ["VRFY ann", "VRFY", "HELP", "NOOP x", "RSET"],
            ["252 2.0.0", "501 5.5.4", "214 2.0.0", "250 2.0.0", "250 2.0.0"],
        ),
        (["STARTTLS", "BDAT 1 LAST", "", "\0", "NO\x01OP", "GET / HTTP/1.1"], ["500 5.5.2"] * 6),
        (["XFORWARD NAME=x"], ["503 5.5.1"]),
        (["EHLO x", "XFORWARD LOGIN=x"], ["501 5.5.4"]),
        (
            ["EHLO x", "MAIL FROM:<>", "RCPT TO:<a@x>", "RSET", "DATA"],
            ["250 2.1.0", "250 2.1.5", "250 2.0.0", "503 5.5.1"],
        ),
        (["EHLO x", "MAIL FROM:<>", "EHLO y", "RCPT TO:<a@x>"], ["250 2.1.0", "250-filter", "503 5.5.1"]),
        (["EHLO x", "MAIL FROM:<>", "RCPT TO:<a@x>", "DATA now"], ["250 2.1.0", "250 2.1.5", "501 5.5.4"]),
    ],
)
def test_replies(port: Any, commands: list[str], replies: list[str]) -> None:
    with port.connect() as client:
        said = client.ask(*commands)
        if commands[0].endswith(" x") and commands[0][:4] in ("EHLO", "LHLO"):
            assert said.pop(0).startswith("250-filter.example")
        if replies:
            assert [reply[: len(due)] for reply, due in zip(said, replies, strict=True)] == replies
        else:
            assert said[0].startswith("501 5.5.4")
        assert client.ask("NOOP") == ["250 2.0.0 Ok"], "the session goes on"
    assert not port.sink.letters


def test_a_line_must_end_in_crlf(port: Any) -> None:
    with port.connect() as client:
        client.send(b"NOOP\nNOOP\r\n")
        assert client.reply().startswith("500 5.5.2")
        assert client.reply().startswith("250")


def test_a_line_too_long_is_refused_and_the_next_one_heard(serve: Callable[..., Any]) -> None:
    with serve(Limits(command_line=2048)).connect() as client:
        client.send(
            b"NOOP "
            + b"x" * 2041
            + b"\r\n"
            + b"NOOP "
            + b"x" * 2042
            + b"\r\n"
            + b"NOOP "
            + b"x" * 9000
            + b"\r\nNOOP\r\n"
        )
        assert [client.reply()[:9] for _ in range(4)] == ["250 2.0.0", "500 5.5.2", "500 5.5.2", "250 2.0.0"]


def test_too_many_recipients_are_deferred_and_the_others_served(serve: Callable[..., Any]) -> None:
    port = serve(Limits(recipients=3))
    with port.lmtp() as client:
        rcpts = [f"RCPT TO:<r{number}@x.test>" for number in range(5)]
        replies = client.ask("MAIL FROM:<>", *rcpts, "DATA")
        assert [reply[:9] for reply in replies[1:-1]] == ["250 2.1.5"] * 3 + ["452 4.5.3"] * 2
        client.send(b".\r\n")
        assert [client.reply()[:3] for _ in range(3)] == ["250"] * 3
        assert client.ask("NOOP") == ["250 2.0.0 Ok"]


def test_many_refused_recipients_are_no_protocol_errors(port: Any) -> None:
    with port.lmtp() as client:
        replies = client.ask("MAIL FROM:<>", *["RCPT TO:<unknown@x.test>"] * 60, "DATA", "NOOP")
        assert [reply[:3] for reply in replies] == ["250"] + ["550"] * 60 + ["503", "250"]


def test_too_many_errors_end_the_session(port: Any, caplog: pytest.LogCaptureFixture) -> None:
    with port.smtp() as client:
        client.send(b"NONSENSE\r\n" * 100)
        said = client.rest().decode().splitlines()
    assert [line[:3] for line in said] == ["500"] * 21 + ["421"]
    assert "too-many-errors" in caplog.text


def test_commands_that_carry_no_mail_are_bounded(serve: Callable[..., Any]) -> None:
    port = serve(Limits(idle_commands=10))
    with port.smtp() as client:
        for _ in range(20):
            assert client.ask("RSET")[0].startswith("250")
            assert client.mail("a@x.test").startswith("250")
        client.send(b"NOOP\r\n" * 50)
        assert client.rest().decode().splitlines()[-1].startswith("421 4.7.0")


def test_a_silent_client_is_told_and_left(serve: Callable[..., Any]) -> None:
    with serve(Limits(idle=0.2)).smtp() as client:
        assert client.rest().startswith(b"421 4.4.2")


def test_a_message_that_drips_is_cut_off(serve: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    port = serve(Limits(data=0.2))
    with port.smtp() as client:
        client.ask("MAIL FROM:<>", "RCPT TO:<a@x.test>", "DATA")
        with contextlib.suppress(OSError):
            for _ in range(200):
                client.send(b"x")
                time.sleep(0.02)
        assert not port.pipeline.arrivals
    assert "takes too long" in caplog.text


def test_xforward_is_believed_from_configured_networks_only(serve: Callable[..., Any]) -> None:
    with serve(xforward_from=["192.0.2.0/24"]).connect() as client:
        hello, forward = client.ask("EHLO x", "XFORWARD NAME=forged.example")
        assert "XFORWARD" not in hello
        assert forward.startswith("550 5.7.0")


@pytest.mark.parametrize("fault", [RuntimeError("boom"), Discard("lost its way"), SystemExit(1), MemoryError()])
def test_a_fault_is_451_and_a_traceback_in_our_log_only(
    port: Any, fault: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    port.pipeline.raises = fault
    with port.lmtp() as client:
        assert client.mail("a@x.test", "b@x.test").startswith("451 4.3.0")
        assert client.reply().startswith("451 4.3.0")
        port.pipeline.raises = None
        assert client.mail("a@x.test").startswith("250")
    assert "Traceback" in caplog.text
    assert len(port.sink.letters) == 1


def test_one_group_after_the_other(port: Any) -> None:
    port.pipeline.split = True
    port.sink.answers["RCPT"] = ["250 2.1.5 Ok", "550 5.1.1 Not that one", "451 4.3.0 Later"]
    with port.lmtp() as client:
        first = client.mail("a@x.test", "b@x.test", "c@x.test")
        said = [first, client.reply(), client.reply()]
    assert [reply[:9] for reply in said] == ["250 2.0.0", "550 5.1.1", "451 4.3.0"]
    assert said[1] == "550 5.1.1 Not that one"


def test_8_bit_octets_in_hello_and_addresses_pass_as_they_are(port: Any) -> None:
    with port.connect() as client:
        assert client.ask(b"EHLO \xff\xfe")[0].startswith("250-")
        said = client.ask(b"MAIL FROM:<\xe4\xf6@x.test>", b'RCPT TO:<"a b\\"\xff"@x.test>', b"DATA")
        assert [reply[:3] for reply in said] == ["250", "250", "354"]
        client.send(b".\r\n")
        assert client.reply().startswith("250")
    assert port.sink.letters[0].commands == [b"MAIL FROM:<\xe4\xf6@x.test> SIZE=0", b'RCPT TO:<"a b\\"\xff"@x.test>']


def test_a_client_that_vanishes_delivers_nothing(port: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "penstock.port")
    whole = b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@x.test>\r\nDATA\r\nSubject: x\r\n\r\nhello\r\n.\r"
    for end in range(0, len(whole) + 1, 3):
        client = port.connect()
        client.send(whole[:end])
        client.close()
    with port.smtp() as client:
        assert client.mail("last@x.test").startswith("250")
    assert [letter.commands[-1] for letter in port.sink.letters] == [b"RCPT TO:<last@x.test>"]
    assert "event=lost" in caplog.text


def test_a_helo_of_any_length_takes_ident_and_source_from_nobody(port: Any) -> None:
    """Postfix's lmtp and smtp pass on what the client said, up to 2,048 octets, each of them three in xtext."""
    with port.lmtp() as client:
        assert client.ask(f"XFORWARD PROTO=ESMTP HELO={'+2B' * 2040} IDENT=4ABC SOURCE=REMOTE") == ["250 2.0.0 Ok"]
        assert client.mail("bob@x.test").startswith("250")
    told = port.pipeline.arrivals[0].envelope.client
    assert (told.helo, told.ident, told.source) == ("+" * 255, "4ABC", "REMOTE")
