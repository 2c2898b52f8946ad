"""The two doors through a real Postfix: one result whichever door, and nothing kept of mail that was not queued."""

import json
import re
import smtplib
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from penstock.filter.testing.site import Site, post, smtp_session
from penstock.postfix.private import free_port, until

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
EVERY = 25
LARGEST = 200_000
HANDLERS = ("attachments", "policy", "autoreply", "tea")
KEEPING = ("autoreply", "tea")
TABLES = """
[routing]
host = 'lists\\.test'
[handlers.autoreply.away]
"bob@b.test" = { text = "I am back on Monday." }
[[handlers.policy.rules]]
name = "robots"
action = "discard"
headers = { Auto-Submitted = ["auto-*"] }
[[handlers.policy.rules]]
name = "answers"
action = "reject"
headers = { Subject = ["/^re: /"] }
[[handlers.attachments.rules]]
name = "files"
action = "replace"
names = ["*.txt", "*.pdf", "*.eml", "*.html", "*.exe", "*.zip"]
[[handlers.attachments.rules]]
name = "pictures"
action = "rename"
types = ["image/*"]
"""
LETTER = (
    "From: Ann <ann@example.org>\r\nTo: bob@b.test\r\nSubject: {subject}\r\nMessage-ID: <{subject}@example.org>\r\n"
    "Date: Mon, 5 Jan 2026 09:00:00 +0000\r\nX-Later: {later}\r\n\r\nHello Bob\r\n"
)


def listed(names: tuple[str, ...]) -> str:
    return f"handlers = {json.dumps([f'penstock.handlers.{name}' for name in names])}\n"


# One result


@pytest.fixture(scope="module")
def sites(make_site: Callable[..., Site]) -> dict[str, Site]:
    """All handlers behind the queue; all at both doors; those that keep nothing before the queue alone."""
    keep = {"message_drop_headers": ""}
    return {
        "behind": make_site(filter=listed(HANDLERS) + TABLES, extra_main=keep),
        "both": make_site(filter=listed(HANDLERS) + TABLES, milter=listed(HANDLERS), extra_main=keep),
        "split": make_site(filter=listed(KEEPING) + TABLES, milter=listed(HANDLERS), extra_main=keep),
    }


@pytest.fixture(scope="module")
def samples() -> list[bytes]:
    if not CORPUS.is_dir():
        pytest.skip(f"no corpus at {CORPUS}")
    files = sorted(path for path in CORPUS.rglob("*") if path.is_file() and path.stat().st_size < LARGEST)
    lines = [path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for path in files[::EVERY]]
    return [content if content.endswith(b"\r\n") else content + b"\r\n" for content in lines]


def outcome(site: Site, samples: list[bytes]) -> tuple[dict[str, list[bytes]], list[tuple[str, bytes]]]:
    """What each recipient got of the samples, and the letters, without what is different each time."""
    with smtp_session(site.postfix.outside_port, stranger=True) as smtp:
        for number, content in enumerate(samples):
            try:
                post(smtp, "corpus@a.test", [f"r{number}@b.test", f"s{number}@b.test"], content, ["BODY=8BITMIME"])
            except smtplib.SMTPResponseException:
                smtp.rset()
    site.submit("ann@example.org", "bob@b.test", LETTER.format(subject="away", later="no").encode())
    site.submit("ann@example.org", "tea-join@lists.test", LETTER.format(subject="join", later="no").encode())
    until(lambda: sum(delivery.sender == "" for delivery in site.sink.deliveries) >= 2, 60, site.log)
    site.postfix.wait_empty()
    got: dict[str, list[bytes]] = {}
    letters = []
    for delivery in site.sink.deliveries:
        if delivery.sender:
            for recipient in delivery.recipients:
                got.setdefault(recipient, []).append(delivery.below_received(2))
        else:
            letters.append((delivery.recipients[0], plain(delivery.below_received(1))))
    return got, sorted(letters)


def plain(letter: bytes) -> bytes:
    dated = re.sub(rb"(?m)^(Message-ID|Date): .*$", b"", letter)
    return re.sub(rb"\+[a-z2-7]{16,}|until .*", b"", dated)


def test_the_door_makes_no_difference_to_what_is_delivered(sites: dict[str, Site], samples: list[bytes]) -> None:
    expected = outcome(sites["behind"], samples)
    got, letters = expected
    assert [recipient for recipient, _ in letters] == ["ann@example.org", "ann@example.org"]
    edited = sum(got.get(f"r{number}@b.test", [b""])[0] not in (b"", content) for number, content in enumerate(samples))
    assert len(samples) > 40
    assert len(got) > len(samples)
    assert edited > 3
    assert outcome(sites["both"], samples) == expected
    assert outcome(sites["split"], samples) == expected


# Nothing of mail that was not queued


@pytest.fixture(scope="module")
def later() -> Iterator[str]:
    """A milter behind ours; where it listens, as Postfix has it."""
    port = free_port()
    script = Path(__file__).with_name("later.py")
    process = subprocess.Popen([sys.executable, str(script), f"inet:{port}@127.0.0.1"])
    until(lambda: listens(port), 20, lambda: "the later milter does not listen")
    yield f"inet:127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


def listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site], later: str) -> Site:
    made = make_site(filter=listed(KEEPING) + TABLES, milter=listed(HANDLERS))
    made.postfix.reconfigure("-e", f"smtpd_milters = {{ unix:penstock/milter.sock, default_action=tempfail }} {later}")
    return made


def rows(site: Site) -> dict[str, int]:
    """How many rows each table has, the counters of the ledger too."""
    found: dict[str, int] = {}
    for file in ("penstock.db", "penstock-ledger.db"):
        database = sqlite3.connect(f"file:{site.folder}/{file}?mode=ro", uri=True)
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            found[name] = database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
        database.close()
    return found


def came(site: Site) -> Counter[tuple[str, str]]:
    """What the sink has: sender, and first recipient."""
    return Counter((delivery.sender, delivery.recipients[0]) for delivery in site.sink.deliveries)


def arrived(site: Site, expected: dict[tuple[str, str], int]) -> None:
    """Wait until that much has come, and assert that no more comes."""
    until(lambda: came(site) == expected, 30, lambda: f"{came(site)}\n{site.log()}\n{site.postfix.log_end()}")
    site.postfix.wait_empty()
    assert came(site) == expected


def person(number: int) -> str:
    return f"ann{number}@example.org"


def test_a_later_milter_refuses(site: Site) -> None:
    before = rows(site)
    for recipient in ("bob@b.test", "tea-join@lists.test"):
        with pytest.raises(smtplib.SMTPResponseException, match="Refused by a later milter"):
            site.submit(person(1), recipient, LETTER.format(subject="refused", later="reject").encode())
    site.postfix.wait_empty()
    assert rows(site) == before
    assert came(site) == {}
    site.submit(person(1), "bob@b.test", LETTER.format(subject="taken", later="no").encode())
    arrived(site, {(person(1), "bob@b.test"): 1, ("", person(1)): 1})


def test_the_client_retries_under_a_new_queue_id(site: Site) -> None:
    before = rows(site)
    letter = LETTER.format(subject="again", later="reject at first").encode()
    with pytest.raises(smtplib.SMTPResponseException, match="Deferred by a later milter"):
        site.submit(person(2), ["bob@b.test"], letter)
    assert rows(site) == before
    site.submit(person(2), ["bob@b.test"], letter)
    arrived(site, {(person(2), "bob@b.test"): 1, ("", person(2)): 1})


@pytest.mark.parametrize("end", [b".\r\n", b""], ids=["before the reply", "before the dot"])
def test_the_client_vanishes(site: Site, end: bytes) -> None:
    """Behind the dot Postfix has the message, and the client's next try is another one: each is delivered, and the
    letter is written once. Before the dot there was no message."""
    sender = person(3 if end else 4)
    letter = LETTER.format(subject=f"vanished{len(end)}", later="wait").encode()
    before = rows(site)
    smtp = smtp_session(site.postfix.smtp_port)
    for command in (f"MAIL FROM:<{sender}>", "RCPT TO:<bob@b.test>", "DATA"):
        assert smtp.docmd(command)[0] < 400
    smtp.send(letter + end)
    smtp.close()
    if end:
        arrived(site, {(sender, "bob@b.test"): 1, ("", sender): 1})
    else:
        until(lambda: "lost connection after DATA" in site.postfix.log(), 30, site.postfix.log_end)
        assert rows(site) == before
    site.submit(sender, "bob@b.test", letter.replace(b"wait", b"no"))
    arrived(site, {(sender, "bob@b.test"): 2 if end else 1, ("", sender): 1})
