"""The sink is a witness: what it says it took, it has on disk, octet for octet."""

import json
import smtplib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock.filter.testing.sink import Sink


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    with Sink(tmp_path / "sink") as running:
        yield running


def client(sink: Sink) -> smtplib.SMTP:
    host, port = sink.address.split(":")
    return smtplib.SMTP(host, int(port), timeout=10)


def raw(sink: Sink) -> socket.socket:
    host, port = sink.address.split(":")
    connection = socket.create_connection((host, int(port)), 10)
    assert connection.recv(100).startswith(b"220")
    return connection


def test_what_came_is_on_disk_with_its_envelope_verbatim(sink: Sink, tmp_path: Path) -> None:
    with client(sink) as smtp:
        smtp.ehlo()
        smtp.mail("a@example.org", ["BODY=8BITMIME", "RET=HDRS", "ENVID=abc"])
        smtp.rcpt("b@example.org", ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;B+2Bb@example.org"])
        smtp.data(b"Subject: dots\r\n\r\n.one\r\n..two\r\n.\r\n\xff")

    [delivery] = sink.wait()
    assert (delivery.sender, delivery.recipients) == ("a@example.org", ("b@example.org",))
    assert delivery.mail_parameters == {"BODY": "8BITMIME", "RET": "HDRS", "ENVID": "abc"}
    assert delivery.rcpt_parameters("b@example.org")["ORCPT"] == "rfc822;B+2Bb@example.org"
    assert delivery.content == b"Subject: dots\r\n\r\n.one\r\n..two\r\n.\r\n\xff\r\n"
    assert (tmp_path / "sink" / "000001.eml").read_bytes() == delivery.content
    envelope = json.loads((tmp_path / "sink" / "000001.json").read_text())
    assert (envelope["mail"], envelope["rcpts"]) == (delivery.mail, list(delivery.rcpts))


def test_a_null_sender_and_a_quoted_local_part_are_read(sink: Sink) -> None:
    with client(sink) as smtp:
        smtp.ehlo()
        smtp.docmd('MAIL FROM:<> SIZE=3')
        smtp.docmd(r'RCPT TO:<"a> \"b"@example.org> NOTIFY=NEVER')
        smtp.data(b"x")

    [delivery] = sink.wait()
    assert delivery.sender == ""
    assert delivery.rcpt_parameters(r'"a> \"b"@example.org') == {"NOTIFY": "NEVER"}


@pytest.mark.parametrize("almost", [b"\n.\r\n", b"\r\n.\n", b"\n.\n", b"\r.\r\n"])
def test_only_crlf_dot_crlf_ends_the_data(sink: Sink, almost: bytes) -> None:
    with raw(sink) as connection:
        connection.sendall(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nbegin" + almost + b"end\r\n.\r\nQUIT\r\n")
        while b"221" not in connection.recv(1000):
            pass

    [delivery] = sink.deliveries
    assert delivery.content == b"begin" + almost.replace(b"\r\n.", b"\r\n") + b"end\r\n"


def test_it_refuses_as_told_and_relents(sink: Sink) -> None:
    sink.refuse("RCPT", "550 5.1.1 Nobody", only="bob@")
    with client(sink) as smtp:
        assert smtp.sendmail("a@b.test", ["ann@b.test", "bob@b.test"], "x") == {"bob@b.test": (550, b"5.1.1 Nobody")}
    sink.refuse("DOT", "452 4.3.1 Full")
    with client(sink) as smtp, pytest.raises(smtplib.SMTPDataError, match="Full"):
        smtp.sendmail("a@b.test", "ann@b.test", "x")
    sink.relent()
    with client(sink) as smtp:
        smtp.sendmail("a@b.test", "bob@b.test", "x")

    assert [delivery.recipients for delivery in sink.deliveries] == [("ann@b.test",), ("bob@b.test",)]


def test_a_client_that_vanishes_within_data_leaves_nothing(sink: Sink, tmp_path: Path) -> None:
    with raw(sink) as connection:
        connection.sendall(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nhalf a mess")
    with client(sink) as smtp:
        smtp.sendmail("a@b.test", "ann@b.test", "whole")

    assert [delivery.content for delivery in sink.deliveries] == [b"whole\r\n"]
    assert len(list((tmp_path / "sink").glob("*.eml"))) == 1


def test_an_unknown_verb_cannot_be_refused(sink: Sink) -> None:
    with pytest.raises(ValueError, match="EHLO, MAIL, RCPT"):
        sink.refuse("VRFY", "550 no")


def test_waiting_in_vain_tells_what_came(sink: Sink) -> None:
    with pytest.raises(AssertionError, match="waited for 1 deliveries, got 0"):
        sink.wait(timeout=0.1)
