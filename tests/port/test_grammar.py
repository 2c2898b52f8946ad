"""Commands: what parses, and as what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.filter.envelope import Client, Recipient
from penstock.filter.port import grammar, xforward, xtext
from penstock.filter.port.grammar import Refused
from penstock.filter.verdict import Reply

ADDRESSES = [
    "ann@example.org",
    "postmaster",
    '"a b"@x.test',
    '"a>b@c\\"d"@x.test',
    "a+b=c@[192.0.2.1]",
    "a@[IPv6:2001:db8::1]",
    "jörg@bücher.test",
    "\udce4@x.test",
    "a..b@x.test",
    "o'hara!x%y@x.test",
    '""@x.test',
    "x" * 200 + "@x.test",
]
NO_ADDRESSES = [
    "a b@x",
    "a@b@c",
    "@x.test",
    "a@",
    "a<b@x",
    "a>b@x",
    '"a@x',
    'a"b@x',
    "a\\b@x",
    "a@x y",
    "<a@x>",
    "a,b@x",
    "a@[x",
    "x" * 1001,
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses(address: str) -> None:
    assert grammar.is_mailbox(address)
    assert grammar.recipient(f"TO:<{address}>") == Recipient(address)
    assert grammar.mail(f"from: <{address}> SIZE=1", Client(), 10).reverse_path == address
    assert grammar.recipient(f"TO:<@a.test,@b.test:{address}>") == Recipient(address), "a source route is dropped"


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_no_addresses(address: str) -> None:
    assert not grammar.is_mailbox(address)
    with pytest.raises(Refused, match=r"501 5\.1\.3"):
        grammar.recipient(f"TO:<{address}>")


@pytest.mark.parametrize(
    "parameters",
    [
        "SIZE=",
        "SIZE=-1",
        "SIZE=1 SIZE=1",
        "SIZE=٣",
        "BODY=8BIT",
        "SMTPUTF8=1",
        "RET=ALL",
        "ENVID=a=b",
        "ENVID=+4",
        "=x",
        "SIZE=1=",
        "-A=1",
    ],
)
def test_bad_parameters_of_mail(parameters: str) -> None:
    with pytest.raises(Refused, match=r"501 5\.5\.4"):
        grammar.mail(f"FROM:<> {parameters}", Client(), 100)


@pytest.mark.parametrize(
    "parameters",
    ["NOTIFY=", "NOTIFY=ALWAYS", "NOTIFY=SUCCESS,", "ORCPT=a@x", "ORCPT=rfc822;", "ORCPT=;a", "ORCPT=rfc822;a+"],
)
def test_bad_parameters_of_rcpt(parameters: str) -> None:
    with pytest.raises(Refused, match=r"501 5\.5\.4"):
        grammar.recipient(f"TO:<a@x> {parameters}")


def test_parameters_are_kept_as_they_came() -> None:
    recipient = grammar.recipient("TO:<a@x> notify=Success,failure  orcpt=rfc822;A+40x")
    assert recipient == Recipient("a@x", "Success,failure", "rfc822;A+40x")
    envelope = grammar.mail("FROM:<> ret=hdrs envid=+3D", Client(), 100)
    assert (envelope.reverse_path, envelope.ret, envelope.envid) == ("", "hdrs", "+3D")


@given(st.binary(max_size=60))
def test_any_line_parses_or_is_refused(octets: bytes) -> None:
    replies: list[Reply] = []
    for line in (octets, octets + b"\r\n", b"MAIL FROM:" + octets + b"\r\n", b"RCPT TO:<" + octets + b">\r\n"):
        try:
            verb, rest = grammar.command(line)
            assert verb == verb.upper()
            grammar.mail(rest, Client(), 100)
            grammar.recipient(rest)
        except Refused as refused:
            replies.append(refused.reply)
    assert all(500 <= reply.code < 600 for reply in replies)


@pytest.mark.parametrize("line", [b"X " + b" " * 100_000 + b"\n", b"A" * 100_000 + b"\n"])
def test_long_lines_cost_linear_time(line: bytes) -> None:
    with pytest.raises(Refused):
        grammar.command(line)


@pytest.mark.parametrize(
    "rest", ['<"' + "\\a" * 50_000 + ">", "<" + "@a," * 30_000 + ">", "<" + "a" * 90_000, "<a@" + "[" * 90_000]
)
def test_nasty_paths_cost_linear_time(rest: str) -> None:
    with pytest.raises(Refused):
        grammar.recipient(f"TO:{rest}")


@given(st.binary(max_size=40).map(lambda octets: octets.decode("utf-8", "surrogateescape")))
def test_xtext_both_ways(text: str) -> None:
    assert xtext.decode(xtext.encode(text)) == text
    assert xtext.is_xtext(xtext.encode(text))


def test_xforward_is_split_and_reads_back() -> None:
    client = Client("n" * 255, "2001:db8::1", "25", "ESMTP", "h \xe9" * 60, "4ABC", "REMOTE")
    commands = list(xforward.commands(client, list(xforward.ATTRIBUTES)))
    assert len(commands) > 1
    assert [len(command) + 2 <= 512 for command in commands].count(False) <= 1, "one attribute alone may be longer"
    read = Client()
    for command in commands:
        assert command.startswith(b"XFORWARD ")
        read = xforward.merged(read, command.decode().removeprefix("XFORWARD "))
    assert read == client


def test_xforward_tells_what_is_announced_and_known() -> None:
    client = Client(name="a", address="192.0.2.1", source="LOCAL")
    assert list(xforward.commands(client, ["NAME", "SOURCE", "PORT"])) == [b"XFORWARD NAME=a SOURCE=LOCAL"]
    assert list(xforward.commands(Client(), list(xforward.ATTRIBUTES))) == []


@pytest.mark.parametrize("rest", ["", "NAME", "NAME=a FOO=b", "NAME=a  ADDR=b"])
def test_bad_xforward(rest: str) -> None:
    with pytest.raises(Refused, match=r"501 5\.5\.4"):
        xforward.merged(Client(), rest)


def test_xforward_values_hold_no_control_characters() -> None:
    assert xforward.merged(Client(), "HELO=a+0D+0Ab NAME=[unavailable] ADDR=").helo == "a??b"
