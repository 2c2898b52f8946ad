"""`bytes(Message(raw)) == raw` for any octets, and no view of any of them raises."""

import gc
import mmap
import tempfile
import weakref
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from penstock.filter.message import Limits, Message
from penstock.filter.message.compose import reply_headers

HEAD = b"From: a@b\r\nSubject: x\r\n"
MIXED = HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"

SCRAP_LIST = [
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b"--", b"--b", b"--b--", b"\r\n--b\r\n", b"\0"),
    *(b"\xff", b"=", b'"'),
    *(b"(", b"<", b">", b"@", b",", b"Subject", b"From ", b"From: ", b"To: a@b, c <d@e>", b"Date: Mon, 1 Jan 2026"),
    *(b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: message/rfc822\r\n\r\n"),
    *(b"Content-Type: text/plain; charset=x; name*0*=utf-8''%e4;name*1=b\r\n", b"Content-Type: multipart/digest; "),
    *(b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n"),
    *(b"=?utf-8?q?=C3=A4?=", b"=?x?b?!?=", b"=?utf-8?b?w6Q?=", b"boundary=b", b"charset=utf-16"),
    *(b"\r\n\r\n", b"QUJD"),
]  # fmt: skip
SCRAPS = st.sampled_from(SCRAP_LIST)
MAIL = st.lists(st.one_of(SCRAPS, st.binary(max_size=6)), max_size=40).map(b"".join)


def look_at_everything(message: Message) -> None:
    for part in message.walk():
        assert part.content_type
        for value in (part.charset, part.extension, part.text, part.disposition, *part.extensions, part.filename or ""):
            assert isinstance(value, str)
        assert isinstance(part.content, bytes)
        assert all(child.parent is part for child in part.parts)
        assert part.is_multipart in (True, False)
        assert part.is_attachment in (True, False)
        assert [field.name for field in part.fields] == list(part)
        for field in part.fields:
            assert isinstance(field.value, str)
            assert field.raw
            assert isinstance(field.params, dict)
            assert isinstance(field.token, str)
        for name in {name.lower() for name in part}:
            assert part[name] == part.get_all(name)[0]
            assert name in part
            part.addresses(name)
            part.ids(name)
        assert part.date is None or part.date.tzinfo
    for kind in ("plain", "html"):
        shown = message.body(kind)
        assert shown is None or shown.content_type == f"text/{kind}"
    assert all(0 <= defect.start <= message.size for defect in message.defects)
    assert message.sealed in (True, False)
    assert message.body_start + len(message.raw_body) == message.size
    reply_headers(message)


def assert_faithful(raw: bytes) -> None:
    message = Message(raw)
    look_at_everything(message)
    assert bytes(message) is raw
    assert message.edits == ()
    assert message.size == len(raw)
    assert b"".join(message.chunks()) == raw


def test_the_corpus_as_it_is_in_lf_and_in_crlf(corpus: list[Path]) -> None:
    for path in corpus:
        raw = path.read_bytes()
        lf = raw.replace(b"\r\n", b"\n")
        for form in {raw, lf, lf.replace(b"\n", b"\r\n")}:
            assert_faithful(form)


@given(MAIL)
@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_mail(raw: bytes) -> None:
    assert_faithful(raw)


@given(st.integers(min_value=0), st.lists(st.tuples(st.integers(min_value=0), st.integers(0, 30), SCRAPS), max_size=8))
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
def test_mutated_mail(corpus: list[Path], which: int, changes: list[tuple[int, int, bytes]]) -> None:
    raw = bytearray(corpus[which % len(corpus)].read_bytes()[:20_000])
    for at, length, scrap in changes:
        at %= len(raw) + 1
        raw[at : at + length] = scrap
    assert_faithful(bytes(raw))


@pytest.mark.parametrize("shift", [0, 1, 1 << 20])
def test_views_and_mappings_are_like_bytes(shift: int) -> None:
    raw = MIXED + b"x" * shift + b"\r\n--b\r\n\r\none\r\n--b\r\nSubject: two\r\n\r\n2\r\n--b--\r\n"
    with tempfile.TemporaryFile() as file:
        file.write(raw)
        file.flush()
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        for source in (raw, memoryview(raw), memoryview(bytearray(raw)), mapping):
            message = Message(source)
            assert bytes(message) == raw
            assert [part.content for part in message.parts] == [b"one", b"2"]
            message["Subject"] = "y"
            message.parts[0].remove()
            assert bytes(message) == raw.replace(b"Subject: x", b"Subject: y").replace(b"--b\r\n\r\none\r\n", b"")
            assert message.raw is source


def test_chunks_of_an_edited_message_are_the_source_itself() -> None:
    raw = HEAD + b"\r\n" + b"x" * 1_000_000
    message = Message(raw)
    message["X-Seen"] = "yes"
    spans = [chunk for chunk in message.chunks() if isinstance(chunk, memoryview)]
    assert sum(map(len, spans)) == len(raw)
    assert all(span.obj is raw for span in spans)


def test_a_message_is_freed_as_soon_as_nobody_holds_it() -> None:
    message = Message(MIXED + b"--b\r\n\r\none\r\n--b--\r\n")
    look_at_everything(message)
    message["Subject"] = "y"
    message.wrap("mixed")
    message.append_text("foot")
    watch = weakref.ref(message)
    copies = [weakref.ref(message.copy())]
    gc.disable()
    try:
        del message
        assert watch() is None
        assert copies[0]() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("limits", "kinds", "defect"),
    [
        (Limits(depth=2), ["multipart/mixed"] * 3, "nested too deep"),
        (Limits(parts=2), ["multipart/mixed"] * 2 + ["application/octet-stream"], "too many parts"),
    ],
)
def test_past_the_limits_the_rest_is_one_opaque_leaf(limits: Limits, kinds: list[str], defect: str) -> None:
    raw = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(5))
    message = Message(raw, limits=limits)
    assert [part.content_type for part in message.walk()] == kinds
    assert defect in {found.text.partition(":")[0] for found in message.defects}
    assert bytes(message) == raw


NASTY = {
    "fields": b"X: y\r\n" * 100_000 + b"\r\n",
    "names": b"".join(b"X%d: y\r\n" % n for n in range(20_000)),
    "folds": b"X: y\r\n" + b" z\r\n" * 50_000,
    "bare CR": b"X:\r" * 70_000,
    "depth": HEAD + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(1000)),
    "messages": b"Content-Type: message/rfc822\r\n\r\n" * 1000,
    "parts": MIXED + b"--b\r\n\r\nx\r\n" * 11_000 + b"--b--\r\n",
    "delimiters": MIXED + b"--b\r\n" * 50_000,
    "lines of dashes": MIXED + b"--\r\n" * 50_000,
    "long boundary": MIXED.replace(b"=b", b"=" + b"q" * 7000) + (b"--" + b"q" * 6999 + b"\n") * 100,
    "one line": HEAD + b"\r\n" + b"x" * 1_000_000,
    "words": b"To: " + b"=?utf-8?q?=C3=A4?= " * 7000 + b"\r\n\r\n",
    "open words": b"Subject: " + b"=?utf-8?q?" * 20_000 + b"\r\n\r\n",
    "parentheses": b"To: " + b"(" * 200_000 + b"\r\n\r\n",
    "addresses": b"To: " + b"a@b," * 50_000 + b"\r\n\r\n",
    "quotes": b"To: " + b'"a" ' * 50_000 + b"\r\n\r\n",
    "parameters": b"Content-Type: text/plain" + b";a=b" * 50_000 + b"\r\n\r\n",
    "sections": b"Content-Type: text/plain" + b"".join(b";a*%d*=%%41" % n for n in range(15_000)) + b"\r\n\r\n",
    "damaged base64": HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + b"A*" * 100_000,
}


@pytest.mark.parametrize("name", NASTY)
def test_nasty_input(name: str) -> None:
    """Anything worse than linear time would show as a hang here; bench/message.py prints how times grow."""
    assert_faithful(NASTY[name])
