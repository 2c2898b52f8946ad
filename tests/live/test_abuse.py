"""What strangers and broken programs do to the port: an SMTP error or a closed connection, and the service stays."""

import os
import random
import smtplib
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from penstock.filter.testing.site import Site, smtp_session

MEGABYTE = 1024 * 1024
LETTER = b"Subject: still there\r\n\r\nText\r\n"
DIALOGUE = (
    b"LHLO client\r\nXFORWARD NAME=x ADDR=192.0.2.1\r\nMAIL FROM:<ann@a.test>\r\n"
    b"RCPT TO:<vanish@b.test>\r\nDATA\r\nSubject: x\r\n\r\nhalf a"
)


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture(autouse=True)
def _service_stays(site: Site) -> object:
    """After each test the same processes still take mail, and nothing but that mail was delivered since."""
    pids = site.pids
    yield
    site.sink.wait(0)
    before = len(site.sink.deliveries)
    site.submit("ann@a.test", "after@b.test", LETTER, stranger=True)
    assert site.sink.wait(before + 1)[-1].below_received(2) == LETTER
    assert site.pids == pids


def connections(site: Site) -> list[socket.socket]:
    """One connection to each door."""
    unix = socket.socket(socket.AF_UNIX)
    unix.connect(str(site.postfix.socket_path))
    tcp = socket.create_connection(("127.0.0.1", site.port))
    for connection in (unix, tcp):
        connection.settimeout(20)
    return [unix, tcp]


def answers(connection: socket.socket) -> bytes:
    """All that comes until the end."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionError:
        pass
    return received


@pytest.mark.parametrize("seed", range(5))
def test_garbage(site: Site, seed: int) -> None:
    garbage = random.Random(seed).randbytes(200_000)
    for connection in connections(site):
        with connection:
            try:
                connection.sendall(garbage)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # closed on us in the middle: that is one of the two right answers
            replies = answers(connection)
        assert replies.startswith(b"220 ")
        assert all(line[:1] in b"245" for line in replies.split(b"\r\n") if line)
    assert site.sink.deliveries == []


def test_http_is_not_smtp(site: Site) -> None:
    for connection in connections(site):
        with connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nQUIT\r\n")
            assert b"\r\n500 5.5.2" in answers(connection)


@pytest.mark.parametrize("end", [*range(0, len(DIALOGUE), 16), len(DIALOGUE)])
def test_a_client_that_vanishes(site: Site, end: int) -> None:
    for connection in connections(site):
        with connection:
            connection.sendall(DIALOGUE[:end])
    assert site.sink.deliveries == []


def test_seventy_megabytes_by_way_of_postfix_bounce(site: Site) -> None:
    line = b"x" * 998 + b"\r\n"
    site.submit("ann@a.test", "big@b.test", b"Subject: big\r\n\r\n" + line * (70 * MEGABYTE // 1000))
    [bounce] = site.sink.wait()
    assert (bounce.sender, bounce.recipients) == ("", ("ann@a.test",))
    assert b"5.3.4" in bounce.content


def test_seventy_megabytes_declared(site: Site) -> None:
    with smtp_session(site.port) as smtp:
        assert smtp.docmd(f"MAIL FROM:<ann@a.test> SIZE={70 * MEGABYTE}")[0] == 552


def test_seventy_megabytes_undeclared(site: Site) -> None:
    """The session goes on after the 552: what was too much is read and dropped."""
    before = resident(site.pids)
    with smtp_session(site.port) as smtp:
        with pytest.raises(smtplib.SMTPResponseException, match=r"552.*5\.3\.4"):
            smtp.sendmail("ann@a.test", "big@b.test", b"Subject: big\r\n\r\n" + b"x" * (70 * MEGABYTE))
        assert smtp.noop()[0] == 250
    assert resident(site.pids) - before < 150 * MEGABYTE


def test_many_idle_connections(site: Site) -> None:
    idle = [connection for _ in range(60) for connection in connections(site)]
    for connection in idle:
        connection.close()


def resident(pids: list[int]) -> int:
    """Resident memory of these processes, in octets."""
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")
