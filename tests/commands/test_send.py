"""`penstock send`: what goes out, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from penstock.filter.commands import main
from penstock.filter.testing.sink import Sink


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    with Sink(tmp_path / "sink") as sink:
        yield sink


def send(sink: Sink, *arguments: str, input: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["send", "--host", sink.address, *arguments], input=input)


def test_a_message_is_written(sink: Sink) -> None:
    result = send(sink, "--from", "ann@example.org", "--to", "bob@example.org", "--subject", "täglich", "--text", "hi")
    assert (result.exit_code, result.stdout) == (0, "✓ <bob@example.org>  250 2.0.0 Ok: kept\n")
    (delivery,) = sink.deliveries
    assert (delivery.sender, delivery.recipients) == ("ann@example.org", ("bob@example.org",))
    assert b"\r\nSubject: =?utf-8?" in delivery.content.lower().replace(b"subject", b"Subject")
    assert delivery.content.endswith(b"\r\n\r\nhi\r\n")


def test_a_file_goes_out_as_it_is(sink: Sink) -> None:
    message = b"From: ann@example.org\r\nTo: bob@example.org, Eve <eve@example.org>\r\n\r\n.a\r\n..b\r\n\xff\x00\r\n"
    result = send(sink, "-", input=message)
    assert result.exit_code == 0
    assert "taken from the header" in result.stderr
    (delivery,) = sink.deliveries
    assert delivery.content == message
    assert delivery.recipients == ("bob@example.org", "eve@example.org")
    assert delivery.mail_parameters == {"SIZE": str(len(message)), "BODY": "8BITMIME"}


def test_line_ends_become_those_of_mail(sink: Sink) -> None:
    send(sink, "-", "--from", "a@x.test", "--to", "b@x.test", input=b"Subject: x\n\n.a\rb")
    assert sink.deliveries[0].content == b"Subject: x\r\n\r\n.a\r\nb\r\n"


def test_all_parameters(sink: Sink) -> None:
    dsn = ("--notify", "SUCCESS,FAILURE", "--ret", "hdrs", "--envid", "QQ+2B1", "--smtputf8")
    send(sink, "--from", "<>", "--to", "<büro@example.org>", *dsn)
    (delivery,) = sink.deliveries
    assert delivery.sender == ""
    assert delivery.rcpt_parameters("büro@example.org") == {"NOTIFY": "SUCCESS,FAILURE"}
    wanted = {"RET": "HDRS", "ENVID": "QQ+2B1", "SMTPUTF8": ""}
    assert wanted.items() <= delivery.mail_parameters.items()


def test_one_refused_of_two(sink: Sink) -> None:
    sink.refuse("RCPT", "550 5.1.1 No such person", only="bob")
    result = send(sink, "--from", "a@x.test", "--to", "bob@x.test", "--to", "eve@x.test")
    assert result.exit_code == 1
    assert result.stdout == "✗ <bob@x.test>  550 5.1.1 No such person\n✓ <eve@x.test>  250 2.0.0 Ok: kept\n"
    assert result.stderr == f"Error: {sink.address} refused 1 of 2 recipients\n"


@pytest.mark.parametrize("verb", ["EHLO", "MAIL", "RCPT", "DATA", "DOT"])
def test_a_refusal_at_any_place_is_everyones(sink: Sink, verb: str) -> None:
    sink.refuse(verb, "452 4.3.1 Disk full")
    result = send(sink, "--from", "a@x.test", "--to", "bob@x.test", "--to", "eve@x.test")
    assert result.exit_code == 1
    assert result.stdout.count("452 4.3.1 Disk full") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "a@x.test", "--to", "b@x.test", "--host", "nonsense"), "unix:/path, host:port"),
        (("--from", "a@x.test", "--to", "b@x.test\r\nRSET"), "control character"),
        (("--from", "a@x.test", "--to", "b@x.test", "--envid", "a\r\nRSET"), "newline"),
        (("--from", "a@x.test"), "--from and --to must be given"),
        (("-",), "give --from"),
    ],
)
def test_wrong_calls(sink: Sink, arguments: tuple[str, ...], words: str) -> None:
    result = send(sink, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert sink.deliveries == []


def test_nobody_there() -> None:
    result = CliRunner().invoke(main, ["send", "--host", "127.0.0.1:1", "--from", "a@x.test", "--to", "b@x.test"])
    assert result.exit_code == 1
    assert result.stderr == "Error: 127.0.0.1:1 cannot be reached: Connection refused; --host ADDRESS names another\n"
