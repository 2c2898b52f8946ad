"""Replies as octets, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.filter.port.replies import Malformed, decode, encode
from penstock.filter.verdict import Reply


@pytest.mark.parametrize(
    ("reply", "octets"),
    [
        (Reply(250, "2.0.0", "Ok"), b"250 2.0.0 Ok\r\n"),
        (Reply(354, None, "Go"), b"354 Go\r\n"),
        (Reply(550, "5.7.1", "One\ntwo"), b"550-5.7.1 One\r\n550 5.7.1 two\r\n"),
        (Reply(550, "5.7.1", "a\r\n250 Ok\rx\0"), b"550-5.7.1 a\r\n550 5.7.1 250 Ok?x?\r\n"),
        (Reply(550, "5.7.1", "é"), b"550 5.7.1 ?\r\n"),
        (Reply(250, None, ""), b"250 \r\n"),
    ],
)
def test_encode(reply: Reply, octets: bytes) -> None:
    assert encode(reply) == octets


@given(st.text())
def test_no_text_makes_a_second_reply(text: str) -> None:
    lines = encode(Reply(550, "5.7.1", text)).split(b"\r\n")
    assert lines.pop() == b""
    assert all(line.startswith(b"550-5.7.1 ") for line in lines[:-1])
    assert lines[-1].startswith(b"550 5.7.1 ")
    assert all(len(line) <= 510 and b"\n" not in line and b"\r" not in line for line in lines)


@pytest.mark.parametrize(
    ("octets", "reply"),
    [
        (b"250 2.0.0 Ok: queued as 4X\r\n", Reply(250, "2.0.0", "Ok: queued as 4X")),
        (b"250\r\n", Reply(250, None, "")),
        (b"250-2.1.0 a\r\n250 2.1.0 b\r\n", Reply(250, "2.1.0", "a\nb")),
        (b"550-5.1.1 a\r\n550 b\r\n", Reply(550, "5.1.1", "a\nb")),
        (b"250 5.1.1 odd\r\n", Reply(250, None, "5.1.1 odd")),
        (b"450 4.7.1\n", Reply(450, "4.7.1", "")),
        (b"220 mx \xff\r\n", Reply(220, None, "mx �")),
    ],
)
def test_decode(octets: bytes, reply: Reply) -> None:
    assert decode(octets) == reply


@pytest.mark.parametrize(
    "octets", [b"\r\n", b"hello\r\n", b"25 x\r\n", b"999 x\r\n", b"250-a\r\n550 b\r\n", b"2500 x\r\n", b"250 a\rb\r\n"]
)
def test_what_is_no_reply(octets: bytes) -> None:
    with pytest.raises(Malformed):
        decode(octets)
