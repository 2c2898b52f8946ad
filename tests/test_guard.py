"""The guard: what is automatic is not answered, and our own answers say what they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.filter.envelope import Envelope
from penstock.filter.guard import (
    HOPS,
    LOOP_MARK,
    MOST_HOPS,
    automatic,
    automatic_headers,
    generated_headers,
    hops,
    may_auto_reply,
)
from penstock.filter.message import Message

CORPUS = Path(__file__).parent.parent.parent / "shared" / "corpus"
ANN = "ann@example.org"


def message(header: str = "") -> Message:
    return Message(f"From: Ann <{ANN}>\r\nSubject: hello\r\n{header}\r\nbody\r\n".encode())


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Auto-Submitted: no\r\n",
        "Auto-Submitted: No (a person)\r\n",
        "Precedence: first-class\r\n",
        "X-Auto-Response-Suppress: None\r\n",
        "X-Autoreply: no\r\n",
        "Content-Type: multipart/mixed; boundary=report\r\n",
        "Subject: Auto-Submitted: auto-replied\r\n",
        "In-Reply-To: <a@b>\r\n",
        "Listing: 5\r\n",
        f"{HOPS}: 3\r\n",
    ],
)
def test_a_person_may_be_answered(header: str) -> None:
    assert automatic(message(header), ANN) is None


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("Auto-Submitted: auto-replied\r\n", "Auto-Submitted: auto-replied"),
        ("auto-submitted: Auto-Generated; owner=x\r\n", "Auto-Submitted: auto-generated"),
        ("Auto-Submitted:\r\n", "Auto-Submitted: "),
        ("Auto-Submitted: no\r\nAuto-Submitted: auto-notified\r\n", "Auto-Submitted: auto-notified"),
        ("Precedence: bulk\r\n", "Precedence: bulk"),
        ("Precedence: Junk\r\n", "Precedence: junk"),
        ("Precedence: list\r\n", "Precedence: list"),
        ("Precedence: auto_reply\r\n", "Precedence: auto_reply"),
        ("List-Id: <tea.lists.test>\r\n", "the field List-Id"),
        ("List-Unsubscribe: <mailto:x@y>\r\n", "the field List-Unsubscribe"),
        ("X-Auto-Response-Suppress: OOF, AutoReply\r\n", "X-Auto-Response-Suppress: oof, autoreply"),
        ("X-Autoreply: yes\r\n", "X-Autoreply: yes"),
        ("X-Autorespond: vacation\r\n", "X-Autorespond: vacation"),
        ("Content-Type: Multipart/Report; report-type=x\r\n", "a report"),
        (f"{LOOP_MARK}: yes\r\n", f"our own mark {LOOP_MARK}"),
        ("From: no-reply@example.org\r\n", "the author no-reply@example.org"),
    ],
)
def test_automatic_mail_is_known_by_its_header(header: str, reason: str) -> None:
    assert automatic(message(header), ANN) == reason


@pytest.mark.parametrize(
    "local",
    ["MAILER-DAEMON", "postmaster", "owner-tea", "tea-request", "listserv", "LISTSERV", "majordomo", "noreply",
     "no-reply", "no_reply", "donotreply", "do-not-reply", "noreply+abc", "tea-bounces", "tea-bounces+ann=x.test",
     "bounce-123", "bounces"],
)  # fmt: skip
def test_addresses_that_no_person_writes_from(local: str) -> None:
    assert automatic(message(), f"{local}@example.org") == f"the reverse-path {local}@example.org"


@pytest.mark.parametrize(
    "local", ["ann", "postmasters", "norepl", "owner", "request", "ann-requested", "bouncer", "listserver", "reply"]
)
def test_addresses_that_only_resemble_them(local: str) -> None:
    assert automatic(message(), f"{local}@example.org") is None


def test_the_null_path_is_never_answered() -> None:
    assert automatic(message(), "") == "the null reverse-path"


@dataclass
class Ledger:
    counts: Counter[str] = field(default_factory=Counter)
    windows: set[timedelta | None] = field(default_factory=set)

    def add(self, name: str, n: int = 1, window: timedelta | None = None) -> int:
        self.windows.add(window)
        self.counts[name] += n
        return self.counts[name]


@dataclass
class Written:
    message: Message
    envelope: Envelope
    sender: str
    ledger: Ledger


def test_a_peer_is_answered_so_often_and_no_more() -> None:
    ledger = Ledger()
    ann = Written(message(), Envelope(ANN), ANN, ledger)
    bob = Written(message(), Envelope("bob@example.org"), "bob@example.org", ledger)
    assert [may_auto_reply(ann, cap=2, period=timedelta(hours=1)) for _ in range(4)] == [True, True, False, False]
    assert may_auto_reply(bob, cap=2, period=timedelta(hours=1))
    assert ledger.windows == {timedelta(hours=1)}


def test_automatic_mail_is_not_counted() -> None:
    ledger = Ledger()
    assert not may_auto_reply(Written(message("Precedence: bulk\r\n"), Envelope(ANN), ANN, ledger))
    assert not ledger.counts


def test_what_we_write_ourselves_is_automatic_to_the_next_guard() -> None:
    for fields in (automatic_headers(message()), generated_headers()):
        header = "".join(f"{name}: {value}\r\n" for name, value in fields)
        assert automatic(message(header), ANN) is not None
        without_standard = header.replace("Auto-Submitted", "X-Lost")
        assert automatic(message(without_standard), ANN) == f"our own mark {LOOP_MARK}"


@pytest.mark.parametrize(
    ("header", "thread"),
    [
        ("", {}),
        ("Message-ID: <c@x>\r\n", {"In-Reply-To": "<c@x>", "References": "<c@x>"}),
        ("References: <a@x>\r\n <b@x>\r\nMessage-ID: <c@x>",
         {"In-Reply-To": "<c@x>", "References": "<a@x> <b@x> <c@x>"}),
        ("Message-ID: <c@x>\r\nIn-Reply-To: <b@x>\r\n", {"In-Reply-To": "<c@x>", "References": "<b@x> <c@x>"}),
        ("References: <a@x>\r\n", {"References": "<a@x>"}),
        ("Message-ID: <a@x>\r\nReferences: <a@x>\r\n", {"In-Reply-To": "<a@x>", "References": "<a@x>"}),
        ("Message-ID: no id\r\nReferences: nor here\r\n", {}),
        ("Message-ID: <caf\u00e9@x>\r\nReferences: <a\0@x> <b@x>\r\n", {"References": "<b@x>"}),
    ],
)  # fmt: skip
def test_an_answer_stands_in_its_thread(header: str, thread: dict[str, str]) -> None:
    fields = dict(automatic_headers(message(header.rstrip() + "\r\n" if header else "")))
    assert fields == {"Auto-Submitted": "auto-replied", LOOP_MARK: "yes", **thread}


def test_a_long_thread_is_shortened_in_the_middle() -> None:
    ids = [f"<{n}@x>" for n in range(100)]
    found = dict(automatic_headers(message(f"Message-ID: <own@x>\r\nReferences: {' '.join(ids)}\r\n")))
    assert found["References"].split() == [ids[0], *ids[-19:], "<own@x>"]


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([], 0),
        (["3"], 3),
        (["3", "7", "1"], 7),
        ([" 4 "], 4),
        (["x"], 0),
        (["-5"], 0),
        (["9" * 50], MOST_HOPS),
        (["٣"], 0),
    ],
)
def test_hops(values: list[str], count: int) -> None:
    assert hops(message("".join(f"{HOPS}: {value}\r\n" for value in values))) == count


@given(st.binary(max_size=300), st.text(max_size=20))
def test_nothing_is_raised(raw: bytes, path: str) -> None:
    for made in (Message(raw), Message(b"Auto-Submitted: " + raw), Message(b"From: " + raw)):
        automatic(made, path)
        automatic_headers(made)
        hops(made)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
def test_real_bounces_are_automatic() -> None:
    bounces = [path for path in (CORPUS / "sisimai-set-of-emails").rglob("*.eml") if path.is_file()]
    known = [path for path in bounces if automatic(Message(path.read_bytes()), ANN)]
    assert len(bounces) > 100
    assert len(known) > 0.8 * len(bounces)
