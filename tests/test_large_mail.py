"""100 MB through the service, in a process of its own whose memory is watched: RssAnon and RssShmem, as mapped files
are the kernel's to drop."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

MEGABYTE = 1024 * 1024
ALLOWED = 32 * MEGABYTE
HEADER = b"From: ann@a.test\r\nSubject: large\r\nMessage-ID: <%d@a.test>\r\nContent-Type: application/pdf\r\n\r\n"
BLOCK = (b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3\r\n" * 800)[: 64 * 1024 - 2]
BLOCKS = 100 * MEGABYTE // 65536
PENSTOCK = str(Path(sys.executable).with_name("penstock"))

CONFIGURATION = """\
[service]
hostname = "mx.test"
workers = 1
path = ["{folder}"]
[store]
url = "sqlite:///{folder}/penstock.db"
[domains]
owned = ["lists.test"]
[filter]
listen = ["127.0.0.1:{port}"]
reinject = "127.0.0.1:{sink}"
handlers = ["large"]
spool = "{folder}"
message_size_limit = "200M"
"""

HANDLER = """
from penstock import Hold, Mail, route, stateless

@stateless
def stamp(mail: Mail):
    mail.message["Subject"] = "stamped"
    mail.message.insert(1, "X-Stamp", "yes")

@stateless
@route("keep@b.test")
def keep(mail: Mail):
    raise Hold("to be looked at")

@stateless
@route("each@b.test")
def each(mail: Mail):
    mail.message["X-For"] = mail.recipient

@route("list@lists.test")
def START(mail: Mail):
    mail.redirect("member@c.test", sender="owner@lists.test")
"""

RELEASE = """
import sys
from pathlib import Path
from penstock.filter.port import Reinjector
from penstock.filter.spool import Spool
from penstock.filter.store import Store
from penstock.filter.submission import Submission

folder, sink = sys.argv[1:]
store = Store(f"sqlite:///{folder}/penstock.db", Spool(Path(folder)))
print("ready", flush=True)
sys.stdin.readline()
*_, held = store.held()
print(Reinjector(f"127.0.0.1:{sink}").send(Submission(held.mail.envelope, held.mail.message)), flush=True)
sys.stdin.readline()
"""


@dataclass
class Taken:
    """What the sink took: its envelope, header, and the digest of its body."""

    mail: str
    rcpts: list[str]
    header: bytes = b""
    size: int = 0
    body: Any = field(default_factory=hashlib.sha256)


class Sink(socketserver.ThreadingTCPServer):
    """Takes mail of any size a block at a time. The next `defer` messages are answered with 451."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.port: int = self.server_address[1]
        self.defer = 0
        self.taken: list[Taken] = []
        self.changed = threading.Condition()

    def took(self, letter: Taken) -> bytes:
        with self.changed:
            if self.defer:
                self.defer -= 1
                return b"451 4.3.0 later\r\n"
            self.taken.append(letter)
            self.changed.notify_all()
            return b"250 2.0.0 Ok\r\n"

    def next(self) -> Taken:
        with self.changed:
            assert self.changed.wait_for(lambda: self.taken, 60)
            return self.taken.pop(0)


class Session(socketserver.StreamRequestHandler):
    server: Sink

    def handle(self) -> None:
        letter = Taken("", [])
        self.wfile.write(b"220 sink\r\n")
        with contextlib.suppress(OSError):
            while line := self.rfile.readline():
                verb = line[:4].upper()
                if verb == b"EHLO":
                    self.wfile.write(b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n")
                    continue
                if verb == b"MAIL":
                    letter = Taken(line.decode().strip(), [])
                elif verb == b"RCPT":
                    letter.rcpts.append(line.decode().strip())
                elif verb == b"DATA":
                    self.wfile.write(b"354 go\r\n")
                    self._content(letter)
                    self.wfile.write(self.server.took(letter))
                    continue
                self.wfile.write(b"250 2.0.0 Ok\r\n")

    def _content(self, letter: Taken) -> None:
        while (line := self.rfile.readline()) != b"\r\n":
            letter.header += line
        letter.size = len(letter.header) + 2
        tail = b""
        while tail != b"\r\n.\r\n":
            block = tail + self.rfile.read1(MEGABYTE)
            tail = block[-5:]
            letter.body.update(block[:-5])
            letter.size += len(block) - 5
        letter.body.update(b"\r\n")
        letter.size += 2


@contextlib.contextmanager
def little_memory(process: subprocess.Popen[str], what: str) -> Iterator[None]:
    """Look at the memory of a process and its children; within this it may not grow by more than is allowed."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    family = [Path(f"/proc/{pid}/status") for pid in (process.pid, *children)]
    over = threading.Event()

    def now() -> int:
        said = "\n".join(status.read_text() for status in family)
        found = re.findall(r"^(?:RssAnon|RssShmem):\s+(\d+) kB", said, re.MULTILINE)
        return 1024 * sum(map(int, found))

    def watch() -> None:
        while not over.wait(0.005):
            seen.append(now())

    seen = [now()]
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    growth = max(seen) - seen[0]
    print(f"{what}: memory grew by {growth / MEGABYTE:.1f} MB")
    assert growth < ALLOWED


@dataclass
class Running:
    """The service with its sink behind."""

    process: subprocess.Popen[str]
    port: int
    sink: Sink
    folder: Path

    def writes(self, *recipients: str, number: int, blocks: int = BLOCKS, lmtp: bool = True) -> list[str]:
        """Send a message of so many blocks; returns the replies to it."""
        with socket.create_connection(("127.0.0.1", self.port)) as client, client.makefile("rb") as lines:
            commands = [f"{'LHLO' if lmtp else 'EHLO'} mx", "MAIL FROM:<ann@example.org>"]
            client.sendall("\r\n".join([*commands, *(f"RCPT TO:<{r}>" for r in recipients), "DATA", ""]).encode())
            while not lines.readline().startswith(b"354"):
                pass
            client.sendall(HEADER % number)
            for _ in range(blocks):
                client.sendall(BLOCK + b"\r\n")
            client.sendall(b".\r\n")
            return [lines.readline().decode() for _ in (recipients if lmtp else recipients[:1])]


BODY = hashlib.sha256((BLOCK + b"\r\n") * BLOCKS).digest()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("large")
    sink = Sink()
    threading.Thread(target=sink.serve_forever, args=(0.05,), daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    (folder / "large.py").write_text(HANDLER)
    (folder / "penstock.toml").write_text(CONFIGURATION.format(folder=folder, port=port, sink=sink.port))
    command = [PENSTOCK, "--config", str(folder / "penstock.toml"), "run"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert "ready" in (line := process.stderr.readline()), line
        threading.Thread(target=process.stderr.read, daemon=True).start()
        running = Running(process, port, sink, folder)
        for number, recipients in enumerate((["list@lists.test"], ["bob@b.test", "keep@b.test"])):
            running.writes(*recipients, number=number, blocks=2)  # now all is loaded that will be
            sink.next()
        yield running
    finally:
        process.kill()
        process.wait()
        sink.shutdown()
        sink.server_close()


def test_rewritten_in_its_header(running: Running) -> None:
    with little_memory(running.process, "rewritten"):
        assert running.writes("bob@b.test", number=11)[0].startswith("250")
    taken = running.sink.next()
    assert b"Subject: stamped\r\n" in taken.header
    assert b"\r\nX-Stamp: yes\r\n" in taken.header
    assert taken.body.digest() == BODY
    assert f"SIZE={taken.size}" in taken.mail


def test_rewritten_for_one_recipient_and_brought_again(running: Running) -> None:
    """The first group is deferred behind us: what Postfix brings again is replayed from its receipt."""
    running.sink.defer = 1
    with little_memory(running.process, "brought again"):
        for codes in (["451", "250"], ["250", "250"]):
            assert [reply[:3] for reply in running.writes("bob@b.test", "each@b.test", number=12)] == codes
    first, second = running.sink.next(), running.sink.next()
    assert b"X-For: each@b.test" in first.header
    assert b"X-For:" not in second.header
    assert (first.body.digest(), second.body.digest()) == (BODY, BODY)


def test_kept_in_the_outbox(running: Running) -> None:
    with little_memory(running.process, "a letter"):
        assert running.writes("list@lists.test", number=13)[0].startswith("250")
        taken = running.sink.next()
    assert (taken.rcpts, taken.body.digest()) == (["RCPT TO:<member@c.test>"], BODY)


def test_held_and_released(running: Running) -> None:
    with little_memory(running.process, "held"):
        assert running.writes("keep@b.test", number=14, lmtp=False)[0].startswith("250")
    command = [sys.executable, "-c", RELEASE, str(running.folder), str(running.sink.port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with little_memory(process, "released"):
            print(file=process.stdin, flush=True)
            assert "250" in process.stdout.readline()
        print(file=process.stdin, flush=True)
    assert running.sink.next().body.digest() == BODY


def test_nothing_is_left_in_the_spool(running: Running) -> None:
    with little_memory(running.process, "cut off"), socket.create_connection(("127.0.0.1", running.port)) as client:
        client.sendall(b"LHLO mx\r\nMAIL FROM:<>\r\nRCPT TO:<bob@b.test>\r\nDATA\r\n" + HEADER % 15)
        for _ in range(100):
            client.sendall(BLOCK + b"\r\n")
    assert [path.name for path in running.folder.iterdir() if path.name.startswith("tmp")] == []
