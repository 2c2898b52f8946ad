"""`penstock capture` as a process of its own: what it keeps, what it says, and when it ends."""

from __future__ import annotations

import json
import re
import resource
import signal
import smtplib
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from penstock.filter.arrival import Arrival
from penstock.filter.commands import main
from penstock.filter.commands.keeper import CANNOT_KEEP, ENOUGH, Keeper, Kept
from penstock.filter.envelope import Client, Envelope, Recipient
from penstock.filter.message import Message
from penstock.filter.testing.sink import Sink
from penstock.filter.verdict import OK, Reply

PENSTOCK = str(Path(sys.executable).with_name("penstock"))
LETTER = b"From: ann@example.org\r\nSubject: Lunch, on Friday?\r\n\r\n.a dot\r\n\xff\x00 octets, no line end"
NOT_NOW, NEVER = Reply(451, "4.4.2", "not now"), Reply(550, "5.1.1", "never")


class Capture:
    """A running `penstock capture`; `session` opens an SMTP session with it."""

    def __init__(self, folder: Path, *options: str) -> None:
        command = [PENSTOCK, "capture", str(folder), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.greeting = self.process.stdout.readline()
        self.where = self.greeting.removeprefix("Listening on ").partition(";")[0]

    def session(self) -> smtplib.SMTP:
        """A session to be closed without leave: QUIT may come too late, after its last message."""
        if self.where.startswith("unix:"):
            return smtplib.LMTP(self.where.removeprefix("unix:"))
        host, _, port = self.where.rpartition(":")
        return smtplib.SMTP(host, int(port))

    def ends(self) -> tuple[int, str, str]:
        """Wait for its end; exit status, and what it printed from the second line on, and to stderr."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        out, err = self.process.stdout.read(), self.process.stderr.read()
        return self.process.wait(60), out, err


Start = Callable[..., Capture]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mail" / "captured"


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start it, on a free port unless the options say otherwise."""
    started: list[Capture] = []

    def start(*options: str) -> Capture:
        listen = () if "--listen" in options else ("--listen", "127.0.0.1:0")
        started.append(Capture(folder, *listen, *options))
        return started[-1]

    yield start
    for capture in started:
        if capture.process.poll() is None:
            capture.process.kill()
        capture.process.communicate()


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    with Sink(tmp_path / "sink") as sink:
        yield sink


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_message_and_its_envelope_are_kept(start: Start, folder: Path) -> None:
    capture = start("--count", "1")
    with closing(capture.session()) as smtp:
        smtp.ehlo()
        smtp.docmd("XFORWARD NAME=mail.example.com ADDR=192.0.2.9 IDENT=4F5 SOURCE=REMOTE")
        smtp.mail("ann@example.org", ["BODY=8BITMIME", "RET=HDRS", "ENVID=x+2By", "SIZE=77"])
        smtp.rcpt("bob@example.org", ["NOTIFY=SUCCESS", "ORCPT=rfc822;Bob@example.org"])
        smtp.rcpt("eve@example.org")
        assert smtp.data(LETTER)[0] == 250
    status, out, err = capture.ends()
    assert (status, err) == (0, "")
    name = "0001-lunch-on-friday.eml"
    assert names(folder) == [name, f"{name}.json"]
    assert (folder / name).read_bytes() == LETTER + b"\r\n"
    line = out.splitlines()[-1]
    assert line == f"{name}  <ann@example.org> to <bob@example.org>, <eve@example.org>, {len(LETTER) + 2} octets"
    assert Envelope.from_dict(json.loads((folder / f"{name}.json").read_text("utf-8"))) == Envelope(
        "ann@example.org",
        (Recipient("bob@example.org", "SUCCESS", "rfc822;Bob@example.org"), Recipient("eve@example.org")),
        body="8BITMIME", size=77, ret="HDRS", envid="x+2By",
        client=Client(name="mail.example.com", address="192.0.2.9", ident="4F5", source="REMOTE"),
    )  # fmt: skip


def test_it_says_that_it_swallows_mail(start: Start) -> None:
    capture = start()
    assert "swallowed" in capture.greeting
    capture.process.terminate()
    assert "goes nowhere; --reinject passes it on" in capture.ends()[1]


def test_mail_goes_on_unchanged(start: Start, folder: Path, sink: Sink) -> None:
    capture = start("--reinject", sink.address, "--count", "1")
    with closing(capture.session()) as smtp:
        smtp.sendmail("ann@example.org", ["bob@example.org"], b"Subject: x\r\n\r\n.dot\r\n")
    assert sink.wait()[0].content == b"Subject: x\r\n\r\n.dot\r\n"
    status, out, _ = capture.ends()
    assert status == 0
    assert "swallow" not in capture.greeting + out
    assert names(folder) == ["0001-x.eml", "0001-x.eml.json"]


def test_the_way_back_has_the_last_word(start: Start, folder: Path, sink: Sink) -> None:
    sink.refuse("RCPT", "550 5.1.1 No such person", only="bob")
    capture = start("--reinject", sink.address, "--listen", f"unix:{folder.parent.parent}/filter.sock", "--count", "1")
    with closing(capture.session()) as lmtp:
        lmtp.ehlo()
        lmtp.mail("ann@example.org")
        lmtp.rcpt("bob@example.org")
        lmtp.rcpt("eve@example.org")
        assert lmtp.data(b"Subject: x\r\n\r\n")[0] == 550
        assert lmtp.getreply()[0] == 250
    _, out, _ = capture.ends()
    assert out.splitlines()[-1].endswith("; 550 5.1.1 No such person")
    assert len(names(folder)) == 2


def test_a_way_back_out_of_reach_defers(start: Start, folder: Path) -> None:
    capture = start("--reinject", "127.0.0.1:1", "--count", "1")
    with closing(capture.session()) as smtp, pytest.raises(smtplib.SMTPDataError, match="out of reach"):
        smtp.sendmail("ann@example.org", ["bob@example.org"], b"Subject: x\r\n\r\n")
    status, out, err = capture.ends()
    assert status == 0
    assert "451 4.4.1" in out
    assert "event=reinject-failed" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(start: Start, folder: Path, number: signal.Signals) -> None:
    address = f"unix:{folder.parent.parent}/filter.sock"
    capture = start("--listen", address)
    with closing(capture.session()) as lmtp:
        lmtp.ehlo()
        capture.process.send_signal(number)
        assert capture.ends()[::2] == (0, "")
        assert lmtp.getreply()[0] == 421
    assert not Path(address.removeprefix("unix:")).exists()


def test_numbers_go_on_where_they_ended(start: Start, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "0041-old.eml").touch()
    (folder / "notes.txt").touch()
    capture = start("--count", "2")
    with closing(capture.session()) as smtp:
        for subject in ("=?utf-8?q?=2E=2E/=00_=C3=A9t=C3=A9?=", "one"):
            smtp.sendmail("", ["bob@example.org"], f"Subject: {subject}\r\n\r\n")
    capture.ends()
    assert [name for name in names(folder) if name.endswith(".json")] == ["0042-t.eml.json", "0043-one.eml.json"]


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (("--listen", "nonsense"), 2, "unix:/path, host:port"),
        (("--listen", "127.0.0.1:0", "--reinject", "nonsense"), 2, "unix:/path, host:port"),
        (("--listen", "127.0.0.1:0", "--count", "0"), 2, "--count"),
        (("--listen", "unix:/nowhere/filter.sock"), 1, "Error: cannot listen on unix:/nowhere/filter.sock: No such"),
        ((), 2, "Missing option '--listen'"),
    ],
)
def test_wrong_calls(folder: Path, options: Sequence[str], status: int, words: str) -> None:
    before = signal.getsignal(signal.SIGTERM)
    result = CliRunner().invoke(main, ["capture", str(folder), *options])
    assert result.exit_code == status
    assert words in result.stderr
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_address_in_use(start: Start, folder: Path) -> None:
    result = CliRunner().invoke(main, ["capture", str(folder), "--listen", start().where])
    assert result.exit_code == 1
    assert "does something else listen there?" in result.stderr


# What stands behind the port


def keeper(folder: Path, limit: int | None = None) -> tuple[Keeper, list[Kept]]:
    told: list[Kept] = []
    folder.mkdir(parents=True, exist_ok=True)
    return Keeper(folder, limit, lambda kept, replies: told.append(kept)), told


def arrival(
    *recipients: str, each: bool = True, sender: str = "ann@example.org", content: bytes = LETTER
) -> Arrival:
    envelope = Envelope(sender).to(*recipients or ("bob@example.org",))
    return Arrival(envelope, Message(content), "test", "test", replies_each=each)


def never(reply: Reply) -> None:
    raise AssertionError("nothing here is slow")


def test_what_comes_after_the_last_is_deferred(folder: Path) -> None:
    keep, told = keeper(folder, 1)
    assert keep.settle(keep.decide(arrival(), never), [[OK]]) == [OK]
    late = keep.decide(arrival("bob@example.org", "eve@example.org"), never)
    assert keep.settle(late, []) == [ENOUGH, ENOUGH]
    assert len(told) == 1
    assert len(names(folder)) == 2


def test_what_cannot_be_kept_is_deferred_and_leaves_nothing(folder: Path) -> None:
    keep, told = keeper(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(LETTER) * 5, limits[1]))  # a disk that the envelope still fits on
    try:
        refused = keep.decide(arrival(content=LETTER * 10), never)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert refused.groups == ()
    assert keep.settle(refused, []) == [CANNOT_KEEP]
    assert names(folder) == []
    assert told == []


def test_nothing_is_written_over(folder: Path) -> None:
    """Another process may keep mail in the same folder."""
    keep, told = keeper(folder)
    taken = folder / "0001-lunch-on-friday.eml.json"
    taken.write_text("theirs")
    assert keep.settle(keep.decide(arrival(), never), []) == [CANNOT_KEEP]
    assert keep.settle(keep.decide(arrival(), never), [[OK]]) == [OK]
    assert taken.read_text() == "theirs"
    assert [kept.file and kept.file.name for kept in told] == ["0002-lunch-on-friday.eml"]


@pytest.mark.parametrize(
    ("results", "reply"),
    [([OK, OK], OK), ([OK, NEVER], NEVER), ([NEVER, NOT_NOW], NOT_NOW), ([NOT_NOW, OK], NOT_NOW)],
)
def test_one_reply_for_all_loses_no_mail(folder: Path, results: list[Reply], reply: Reply) -> None:
    keep, _ = keeper(folder)
    kept = keep.decide(arrival("bob@example.org", "eve@example.org", each=False), never)
    assert keep.settle(kept, [results]) == [reply]


def test_stray_octets_come_back_from_the_side_file(folder: Path) -> None:
    keep, _ = keeper(folder)
    came = arrival("b\udcff@example.org", "jörg@example.org", sender="\udc80@example.org")
    kept = keep.decide(came, never)
    assert kept.file is not None
    side = kept.file.with_name(f"{kept.file.name}.json")
    assert re.fullmatch(r"[ -~\n]+", side.read_text("ascii"))
    assert Envelope.from_dict(json.loads(side.read_text("ascii"))) == came.envelope
