"""Untouched mail arrives as it was: every message of the corpus that Postfix itself passes unchanged.

Each message goes into the same Postfix twice, from a stranger: by a port without a content filter, and through
the filter. What the first way leaves unchanged, below Postfix's own Received fields, the second must too. This
Postfix is told to keep the fields that it drops by default (Return-Path, Bcc, Content-Length).
"""

import smtplib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from penstock.filter.testing.site import Site, post, smtp_session
from penstock.postfix.private import free_port

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
PASSED_AT_FIRST = 969
WITHOUT_FILTER = free_port()


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    door = f"127.0.0.1:{WITHOUT_FILTER} inet n - n - - smtpd\n  -o content_filter= -o local_header_rewrite_clients=\n"
    return make_site(extra_master=door, extra_main={"message_drop_headers": ""})


@pytest.fixture(scope="module")
def messages() -> dict[str, bytes]:
    """Every message of the corpus with CRLF lines, by the name of its file."""
    if not CORPUS.is_dir():
        pytest.skip(f"no corpus at {CORPUS}")
    return {str(path.relative_to(CORPUS)): with_crlf(path.read_bytes()) for path in files()}


def files() -> Iterator[Path]:
    """All but what describes the corpus."""
    for path in sorted(CORPUS.rglob("*")):
        if path.is_file() and path.name != "README.md" and "LICENSES" not in path.parts:
            yield path


def with_crlf(content: bytes) -> bytes:
    lines = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return lines if lines.endswith(b"\r\n") else lines + b"\r\n"


def send_all(port: int, way: str, contents: list[bytes]) -> int:
    """Send each to its own address; how many Postfix took."""
    taken = 0
    with smtp_session(port, stranger=True) as smtp:
        for number, content in enumerate(contents):
            try:
                post(smtp, "corpus@a.test", [f"{way}-{number}@b.test"], content, mail=["BODY=8BITMIME"])
                taken += 1
            except smtplib.SMTPResponseException:
                smtp.rset()
    return taken


def test_the_corpus_arrives_octet_for_octet(
    site: Site, messages: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    contents = list(messages.values())
    taken = send_all(WITHOUT_FILTER, "direct", contents) + send_all(site.postfix.outside_port, "filtered", contents)
    site.sink.wait(taken, timeout=120)
    site.postfix.wait_empty()

    arrived = {delivery.recipients[0]: delivery for delivery in site.sink.deliveries}

    def came(way: str, number: int, passes: int) -> bytes | None:
        delivery = arrived.get(f"{way}-{number}@b.test")
        return delivery.below_received(passes) if delivery else None

    names = list(messages)
    unchanged = [number for number, sent in enumerate(contents) if came("direct", number, 1) == sent]
    changed = [names[number] for number in unchanged if came("filtered", number, 2) != contents[number]]
    with capsys.disabled():
        print(f"\n{len(unchanged)} of {len(contents)} messages pass Postfix unchanged, {len(changed)} of these not us")
    assert changed == []
    assert len(unchanged) >= PASSED_AT_FIRST
