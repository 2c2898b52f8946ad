"""Dots, line ends and the end of data, whole and at every edge of a chunk."""

from __future__ import annotations

import io
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock.filter.port.transparency import outgoing, unstuffed

TRICKY = [
    b"",
    b".",
    b"..",
    b".\r",
    b"\r",
    b"\n",
    b"\r\n",
    b".\r\n",
    b"..\r\n",
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r\r\n",
    b"\n\r\n",
    b"a",
    b"a\r\n.b\r\n",
    b"a\n.b",
    b"\r\n..",
    b"\xff\x00.\r\n\n",
]
octets = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"a", b"\x80\x00"]), max_size=12).map(
    b"".join
)


def stuffed(message: bytes) -> bytes:
    """A message as RFC 5321 section 4.5.2 sends it, written here without a look at the code."""
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in message.split(b"\r\n"))


def sent(message: bytes, *cuts: int) -> bytes:
    edges = [0, *sorted(cuts), len(message)]
    ready = outgoing([message[start:stop] for start, stop in itertools.pairwise(edges)])
    return b"".join(ready.buffers)


@pytest.mark.parametrize("message", [message + b"\r\n" for message in TRICKY])
def test_what_was_stuffed_comes_back(message: bytes) -> None:
    assert unstuffed(stuffed(message)) == message


def test_an_empty_message() -> None:
    assert unstuffed(b"") == b""
    ready = outgoing([])
    assert (ready.size, list(ready.buffers)) == (0, [])


@given(octets)
@settings(max_examples=300)
def test_what_leaves_is_safe_for_any_server(message: bytes) -> None:
    wire = sent(message)
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", wire), "no bare CR or LF"
    assert wire in (b"", b"\r\n") or wire.endswith(b"\r\n")
    lines = wire.split(b"\r\n")[:-1]
    assert all(line.startswith(b"..") for line in lines if line.startswith(b"."))
    mended = re.sub(rb"\r\n|\r|\n", b"\r\n", message)
    mended += b"" if mended.endswith(b"\r\n") or not mended else b"\r\n"
    assert [line.removeprefix(b".") for line in lines] == mended.split(b"\r\n")[:-1]
    assert outgoing([message]).size == len(mended)


@given(octets, st.data())
@settings(max_examples=300)
def test_chunk_edges_do_not_show(message: bytes, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(message)), max_size=5))
    assert sent(message, *cuts) == sent(message)


def test_a_clean_message_is_not_copied() -> None:
    message = b"Subject: x\r\n\r\n" + b"long \xff line " * 1000 + b"\r\n"
    view = memoryview(message)
    (buffer,) = outgoing([view]).buffers
    assert buffer is view


@pytest.mark.parametrize("edge", [b"\r\n", b"\r\n.", b"\n.", b"\r", b"."])
def test_pieces_of_a_large_message_meet_well(edge: bytes) -> None:
    for shift in range(-3, 4):
        message = b"x" * (1024 * 1024 + shift) + edge + b"y" * 100
        expected = stuffed(re.sub(rb"\r\n|\r|\n", b"\r\n", message) + b"\r\n")
        assert sent(message) == expected


@pytest.mark.parametrize("message", [b"a: b\r\n\r\n.\r\n..\r\n.x\r\n\n.\r\n.\n\r.\r\rtext\r\n", b".\r\n"])
def test_data_cut_at_every_edge_gives_the_same_octets(port: Any, message: bytes) -> None:
    wire = stuffed(message) + b".\r\n"
    with port.smtp() as client:
        for cut in range(len(wire) + 1):
            assert client.ask("MAIL FROM:<>", "RCPT TO:<a@x.test>", "DATA")[-1].startswith("354")
            client.send(wire[:cut])
            client.send(wire[cut:])
            assert client.reply().startswith("250")
    assert len(port.pipeline.arrivals) == len(wire) + 1
    assert {bytes(arrival.message) for arrival in port.pipeline.arrivals} == {message}


def test_octet_by_octet(port: Any) -> None:
    message = b"a: b\r\n\r\n.\r\nx\n.\r\ny\r.\r\n"
    with port.smtp() as client:
        client.ask("MAIL FROM:<>", "RCPT TO:<a@x.test>", "DATA")
        for octet in io.BytesIO(stuffed(message) + b".\r\nQUIT\r\n"):
            for one in octet:
                client.send(bytes([one]))
        assert client.reply().startswith("250")
        assert client.reply().startswith("221")
    assert bytes(port.pipeline.arrivals[0].message) == message


@pytest.mark.parametrize(
    "fake", [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n", b"\n\n.\r\n", b"\r\r\n.\r\r\n"]
)
def test_nothing_but_crlf_dot_crlf_ends_a_message(port: Any, fake: bytes) -> None:
    smuggled = b"MAIL FROM:<evil@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\nowned\r\n"
    with port.smtp() as client:
        assert client.mail("a@x.test", content=b"S: x\r\n\r\nhi" + fake + smuggled).startswith("250")
        assert client.ask("NOOP") == ["250 2.0.0 Ok"]
    (letter,) = port.sink.letters
    assert b"owned" in letter.content
    assert len(port.pipeline.arrivals) == 1


def test_untouched_mail_is_the_same_at_the_sink(port: Any) -> None:
    messages = [
        b"",
        b"\r\n",
        b".\r\n",
        b"..\r\n",
        b"a: b\r\n\r\n.x\r\n..y\r\n",
        b"\xff" * 100_000 + b"\r\n",
        (b"." * 77 + b"\r\n") * 30_000,
    ]
    with port.smtp() as client:
        for message in messages:
            client.ask("MAIL FROM:<> BODY=8BITMIME", "RCPT TO:<a@x.test>", "DATA")
            client.send(stuffed(message) + b".\r\n")
            assert client.reply().startswith("250")
    assert [letter.content for letter in port.sink.letters] == messages


CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus at {CORPUS}")
def test_the_corpus_is_the_same_at_the_sink(port: Any) -> None:
    files = sorted(path for path in CORPUS.rglob("*") if path.is_file() and path.stat().st_size < 1_000_000)
    messages = [re.sub(rb"\r\n|\r|\n", b"\r\n", path.read_bytes().rstrip(b"\r\n")) + b"\r\n" for path in files]
    with port.lmtp() as client:
        for message in messages:
            assert client.mail("a@x.test", content=stuffed(message)).startswith("250")
    changed = [
        str(path)
        for path, message, came, left in zip(files, messages, port.pipeline.arrivals, port.sink.letters, strict=True)
        if not bytes(came.message) == left.content == message
    ]
    assert not changed
    assert len(files) > 500
