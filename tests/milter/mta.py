"""An MTA's end of the milter protocol, packet by packet, and a milter in a process of its own to speak to."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from miltertest import constants

NO_REPLY = 0x000F_F080
"""All of SMFIP_NR_…: steps that have no answer."""

WANTS = "rcpt,header,body"
STEPS = constants.SMFI_V6_PROT
ACTIONS = constants.SMFI_V6_ACTS & ~constants.SMFIF_SETSYMLIST  # miltertest cannot read the list of macros


@dataclass
class Served:
    """A running milter; `folder` has what arrived."""

    process: subprocess.Popen[str]
    address: Any
    folder: Path
    log_file: Path
    _read: int = 0

    def connect(self) -> Mta:
        """A connection, nothing said yet."""
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        connection = socket.socket(family)
        connection.settimeout(20)
        connection.connect(self.address)
        return Mta(connection)

    def refuses_connections(self) -> bool:
        """Whether nobody listens any more."""
        try:
            self.connect().socket.close()
        except ConnectionRefusedError:
            return True
        return False

    def session(self, **options: Any) -> Mta:
        """A connection on which a client has connected and said EHLO."""
        mta = self.connect()
        mta.negotiate(**options)
        mta.say("C", b"mail.stranger.test\0004\x9c\x40192.0.2.25\0")
        mta.ask("H", b"client.test\0")
        return mta

    @property
    def arrivals(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.folder.glob("*.eml"))]

    @property
    def envelopes(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("*.json"))]

    def log(self) -> str:
        return self.log_file.read_text()[self._read :]

    def clear(self) -> None:
        """Forget what has arrived, and was logged."""
        for path in self.folder.iterdir():
            path.unlink()
        self._read = len(self.log_file.read_text())

    def tell_to_stop(self, drain_seconds: float = 5.0) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{drain_seconds}\n")
        self.process.stdin.flush()

    def stopped(self) -> bool:
        """Wait until it has ended, in order; whether all sessions had ended before."""
        assert self.process.stdout is not None
        drained = self.process.stdout.readline().strip()
        assert self.process.wait(20) == 0, self.log()
        return drained == "True"

    def is_well(self) -> None:
        """Another session is served, and no thread is stuck."""
        with self.session() as mta:
            assert mta.mail(b"X-Do: add X-Well\r\n") == [("h", b"X-Well\0 added\0"), ("c", b"")]


@dataclass
class Mta:
    """The MTA's end of a connection: packets as they are, with miltertest's words for them."""

    socket: socket.socket
    steps: int = 0
    progress: int = 0

    def __enter__(self) -> Mta:
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.close()

    def send(self, command: str, data: bytes = b"") -> None:
        """One packet."""
        self.socket.sendall(struct.pack("!L", len(data) + 1) + command.encode() + data)

    def receive(self) -> tuple[str, bytes]:
        """The next packet; an empty command at the end of the stream."""
        head = self._exactly(4)
        if not head:
            return "", b""
        packet = self._exactly(struct.unpack("!L", head)[0])
        return packet[:1].decode(), packet[1:]

    def ask(self, command: str, data: bytes = b"") -> tuple[str, bytes]:
        """Send a packet and return the answer, signs of progress apart."""
        self.send(command, data)
        while (reply := self.receive())[0] == "p":
            self.progress += 1
        return reply

    def say(self, command: str, data: bytes = b"") -> tuple[str, bytes]:
        """Send a packet, and await an answer only where one was agreed upon."""
        if self.steps & _NO_REPLY_BITS[command]:
            self.send(command, data)
            return "c", b""
        return self.ask(command, data)

    def negotiate(self, actions: int = ACTIONS, steps: int = STEPS) -> tuple[int, int]:
        """Offer; returns the actions and steps wanted."""
        command, data = self.ask("O", struct.pack("!LLL", 6, actions, steps))
        assert command == "O"
        _, wanted, self.steps = struct.unpack("!LLL", data[:12])
        return wanted, self.steps

    def mail(
        self, header: bytes = b"", body: bytes = b"hi\r\n", sender: bytes = b"<ann@a.test>",
        to: tuple[bytes, ...] = (b"<bob@b.test>",),
    ) -> list[tuple[str, bytes]]:  # fmt: skip
        """One message, as Postfix sends it; returns the replies to its end."""
        self.say("M", sender + b"\0")
        for recipient in to:
            self.say("R", recipient + b"\0")
        for line in header.splitlines():
            name, _, value = line.partition(b":")
            self.say("L", name + b"\0" + value + b"\0")
        self.content(body)
        return self.end()

    def content(self, body: bytes) -> None:
        """The body, where it is wanted."""
        if not self.steps & constants.SMFIP_NOEOH:
            self.ask("N")
        if not self.steps & constants.SMFIP_NOBODY:
            for start in range(0, len(body), 65_535):
                self.say("B", body[start : start + 65_535])

    def end(self) -> list[tuple[str, bytes]]:
        """The end of a message: the operations, and the last word on it."""
        replies = [self.ask("E")]
        while replies[-1][0] not in (*_LAST_WORDS, ""):
            replies.append(self.receive())
        return replies

    def _exactly(self, count: int) -> bytes:
        octets = b""
        while len(octets) < count:
            try:
                more = self.socket.recv(count - len(octets))
            except ConnectionResetError:
                more = b""
            if not more:
                return b""
            octets += more
        return octets


_LAST_WORDS = "acdrty"
_NO_REPLY_BITS = {
    "C": 0x1000, "H": 0x2000, "M": 0x4000, "R": 0x8000, "L": 0x80, "N": 0x40000, "B": 0x80000,
}  # fmt: skip


def start(stack: ExitStack, place: Path, address: str, wants: str) -> Served:
    """Run served.py in `place`, until the stack is left."""
    folder = place / "arrived"
    folder.mkdir(exist_ok=True)
    log_file = place / "log"
    program = str(Path(__file__).with_name("served.py"))
    command = [sys.executable, program, address or f"unix:{place}/milter.sock", str(folder), wants]
    with log_file.open("w") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
    stack.callback(process.communicate)
    stack.callback(process.kill)
    assert process.stdout is not None
    name = process.stdout.readline()
    assert name, log_file.read_text()
    where = json.loads(name)
    return Served(process, where if isinstance(where, str) else tuple(where[:2]), folder, log_file)
