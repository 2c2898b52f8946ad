"""The service as it is run: `penstock run` with a configuration and a handler, and a sink behind it."""

from __future__ import annotations

import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from penstock.filter.testing.sink import Sink
from penstock.postfix.private import free_port, until

PENSTOCK = str(Path(sys.executable).with_name("penstock"))

CONFIGURATION = """\
[service]
hostname = "mx.test"
path = ["{folder}"]
workers = {workers}
{service}
[store]
url = "sqlite:///{folder}/penstock.db"
[filter]
listen = [{listen}]
reinject = "{sink}"
handlers = ["marks"]
"""

HANDLER = """\
import os, re, time
from penstock import Mail, stateless

@stateless
def mark(mail: Mail):
    mail.message["X-Version"] = "{version}"
    match mail.message["Subject"]:
        case "sleep":
            time.sleep(3600)
        case "slow":
            time.sleep(1.5)
        case "hog":
            re.match("(a+)+$", "a" * 40 + "b")  # holds the interpreter for hours
        case "crash":
            os.abort()
"""


class Running:
    """The service in a folder. Nothing runs before `start`."""

    def __init__(self, folder: Path, sink: Sink) -> None:
        self.folder = folder
        self.sink = sink
        self.port = free_port()
        self.configuration = folder / "penstock.toml"
        self.log_file = folder / "log"
        self.configure()
        self.handler("1")
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, service: str = "", *, workers: int = 2, listen: tuple[str, ...] = ()) -> None:
        """Write the configuration; `service` goes on in table `[service]`, `listen` is more than the usual port."""
        addresses = ", ".join(f'"{address}"' for address in (f"127.0.0.1:{self.port}", *listen))
        text = CONFIGURATION.format(
            folder=self.folder, workers=workers, service=service, listen=addresses, sink=self.sink.address
        )
        self.configuration.write_text(text, "utf-8")

    def handler(self, version: str, more: str = "") -> None:
        """Write the handler: it marks mail with its version."""
        (self.folder / "marks.py").write_text(HANDLER.format(version=version) + more, "utf-8")

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        started = self.log().count("ready: ")
        self.launch()
        self.waits_for("ready: ", started + 1)

    def launch(
        self, environment: dict[str, str] | None = None, command: tuple[str, ...] = (), *, close_fds: bool = True
    ) -> None:
        """Start it; `environment` is added to ours, `command` stands before its own."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, PENSTOCK, "run", "--config", str(self.configuration)],
                stderr=log,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                close_fds=close_fds,
            )

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def children(self) -> list[int]:
        """The process ids of its workers."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def reload(self) -> None:
        """Reload, and wait for its success."""
        done = self.log().count("reloaded: ")
        self.send_signal(signal.SIGHUP)
        self.waits_for("reloaded: ", done + 1)

    def log(self) -> str:
        return self.log_file.read_text("utf-8") if self.log_file.exists() else ""

    def waits_for(self, text: str, count: int = 1) -> None:
        """Wait until a text was logged so often."""
        until(lambda: self.log().count(text) >= count, 30, lambda: f"no {text!r} in\n{self.log()}")

    def ends(self) -> int:
        """Wait for its end; returns the exit status."""
        assert self.process is not None
        return self.process.wait(60)

    def smtp(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.port, timeout=60)

    def send(self, subject: str = "hello") -> str:
        """Send a message through it; returns the version of the handler that marked it."""
        before = len(self.sink.deliveries)
        with self.smtp() as smtp:
            smtp.sendmail("ann@a.test", "bob@b.test", f"Subject: {subject}\r\n\r\ntext\r\n")
        found = re.search(rb"X-Version: (\w+)", self.sink.wait(before + 1)[-1].content)
        assert found is not None
        return found[1].decode()

    def begin(self, subject: str) -> socket.socket:
        """Send a message, and leave its answer to the caller."""
        client = socket.create_connection(("127.0.0.1", self.port), 60)
        lines = client.makefile("rb")
        commands = ("HELO c", "MAIL FROM:<ann@a.test>", "RCPT TO:<bob@b.test>", "DATA")
        for command in ("", *commands):
            client.sendall(f"{command}\r\n".encode() if command else b"")
            assert lines.readline()[:1] in b"23"
        client.sendall(f"Subject: {subject}\r\n\r\ntext\r\n.\r\n".encode())
        return client

    def load(self, messages: int, *options: str) -> subprocess.Popen[str]:
        """`smtp-source` with so many messages, each to a recipient of its own."""
        command = ["smtp-source", "-m", str(messages), "-s", "8", "-N", "-l", "2000", *options]
        command += ["-f", "ann@a.test", "-t", "bob@b.test", f"127.0.0.1:{self.port}"]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def kill(self) -> None:
        """End whatever of it still runs."""
        if self.process is not None and self.process.poll() is None:
            workers = self.children()
            self.process.kill()
            self.process.wait(60)
            for pid in workers:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def is_gone(pid: int) -> bool:
    """Whether a process has ended, waited for or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


@pytest.fixture
def gone() -> Callable[[int], None]:
    """Wait until a process has ended."""
    def wait(pid: int) -> None:
        until(lambda: is_gone(pid), 30, lambda: f"process {pid} is still there")

    return wait


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    with Sink(tmp_path / "sink") as sink:
        yield sink


@pytest.fixture
def running(tmp_path: Path, sink: Sink) -> Iterator[Running]:
    """The service, not started yet; ended after the test."""
    running = Running(tmp_path, sink)
    yield running
    running.kill()


@pytest.fixture
def ticking() -> Iterator[Callable[..., None]]:
    """Do something once a second until the test is over."""
    over = threading.Event()
    threads: list[threading.Thread] = []

    def start(action: Callable[[], object]) -> None:
        def tick() -> None:
            while not over.wait(1.0):
                action()

        threads.append(threading.Thread(target=tick))
        threads[-1].start()

    yield start
    over.set()
    for thread in threads:
        thread.join()
