"""A server with a small pipeline in front of a sink that can misbehave; clients talk over raw sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import pytest
from penstock.filter.arrival import Arrival
from penstock.filter.envelope import Envelope, Recipient
from penstock.filter.port import Limits, Reinjector, Server, Timeouts
from penstock.filter.submission import Submission
from penstock.filter.verdict import Reply

DROP = "DROP"
"""An answer of the sink: close the connection and say nothing."""

EXTENSIONS = [
    "PIPELINING",
    "SIZE 0",
    "8BITMIME",
    "SMTPUTF8",
    "DSN",
    "XVERP",
    "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE",
]


@dataclass
class Letter:
    """What the sink took: the commands of the transaction, and the content with its dots still doubled."""

    commands: list[bytes]
    stuffed: bytes

    @property
    def content(self) -> bytes:
        lines = self.stuffed.split(b"\r\n")
        return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)


@dataclass
class Sink:
    """An SMTP server written for these tests alone, line by line.

    `answers` maps a verb (CONNECT and DOT too) to what is said instead of yes: a reply, DROP, or a list
    of them that is used up one by one, after which all is well again.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    extensions: list[str] = field(default_factory=lambda: list(EXTENSIONS))
    letters: list[Letter] = field(default_factory=list)
    commands: list[bytes] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connected: list[socket.socket] = []
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._listener.close()
        self.drop_all()

    def drop_all(self) -> None:
        """Close every connection, as a server does that restarts."""
        for connection in self._connected:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._connected.clear()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._connected.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            try:
                if self._say(connection, "CONNECT", "220 sink ESMTP"):
                    self._talk(connection, lines)
            except OSError:
                pass

    def _talk(self, connection: socket.socket, lines: Any) -> None:
        transaction: list[bytes] = []
        while line := lines.readline():
            self.commands.append(line.rstrip(b"\r\n"))
            verb = line[:4].decode("latin-1").strip().upper()
            if verb in ("EHLO", "RSET"):
                transaction = []
            elif verb != "DATA":
                transaction.append(line.rstrip(b"\r\n"))
            usual = {"EHLO": self._hello(), "DATA": "354 Go", "QUIT": "221 2.0.0 Bye"}.get(verb, "250 2.0.0 Ok")
            said = self._say(connection, verb, usual)
            if not said or verb == "QUIT":
                return
            if said.startswith("354"):
                content = bytearray()
                while not (content == b".\r\n" or content.endswith(b"\r\n.\r\n")):
                    content += (line := lines.readline())
                    if not line:
                        return
                answer = self._answer("DOT", "250 2.0.0 Ok: queued as 4XYZ")
                if answer.startswith("250"):
                    self.letters.append(Letter(transaction, bytes(content[:-3])))  # before the client can look
                if not self._send(connection, answer):
                    return
                transaction = []

    def _hello(self) -> str:
        return "\r\n".join(["250-sink", *(f"250-{extension}" for extension in self.extensions), "250 HELP"])

    def _say(self, connection: socket.socket, verb: str, usual: str) -> str:
        return self._send(connection, self._answer(verb, usual))

    def _answer(self, verb: str, usual: str) -> str:
        answer = self.answers.get(verb, usual)
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else usual
        assert isinstance(answer, str)
        return answer

    def _send(self, connection: socket.socket, answer: str) -> str:
        """Say it; empty where the conversation is over."""
        if answer == DROP:
            connection.shutdown(socket.SHUT_RDWR)
            return ""
        connection.sendall(answer.encode() + b"\r\n")
        return "" if answer.startswith("421") else answer


@dataclass(frozen=True)
class Decided:
    arrival: Arrival
    groups: list[Submission]


@dataclass
class SmallPipeline:
    """Passes everything; recipients named `unknown@…` are refused at RCPT, and what `decide` raises is raised."""

    arrivals: list[Arrival] = field(default_factory=list)
    raises: BaseException | None = None
    split: bool = False
    before: Callable[[], None] = lambda: None

    def recipient(self, envelope: Envelope, recipient: Recipient) -> Reply | None:
        if recipient.address.startswith("fault@"):
            raise LookupError("as asked")
        return Reply(550, "5.1.1", "No such address here") if recipient.address.startswith("unknown@") else None

    def decide(self, arrival: Arrival, give_up: Callable[[Reply], None]) -> Decided:
        self.arrivals.append(arrival)
        self.before()
        if self.raises is not None:
            raise self.raises
        envelope, message = arrival.envelope, arrival.message
        each = [envelope.to(recipient) for recipient in envelope.recipients] if self.split else [envelope]
        return Decided(arrival, [Submission(one, message) for one in each])

    def settle(self, decision: Decided, results: Any) -> list[Reply]:
        replies = [reply for group in results for reply in group]
        if decision.arrival.replies_each:
            return replies
        return [next((reply for reply in replies if not reply.is_ok), replies[0])]


class Dialogue:
    """A client over a raw socket."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.settimeout(20)
        self._lines = connection.makefile("rb")

    def __enter__(self) -> Dialogue:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._lines.close()
        self.socket.close()

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def reply(self) -> str:
        """The next reply, its lines joined by LF; empty at the end of the stream."""
        lines = []
        while line := self._lines.readline():
            lines.append(line.decode().rstrip("\r\n"))
            if line[3:4] != b"-":
                break
        return "\n".join(lines)

    def ask(self, *commands: str | bytes) -> list[str]:
        """Send commands in one packet, and return their replies."""
        octets = [c.encode("utf-8", "surrogateescape") if isinstance(c, str) else c for c in commands]
        self.send(b"".join(one + b"\r\n" for one in octets))
        return [self.reply() for _ in commands]

    def rest(self) -> bytes:
        """All that comes until the server closes."""
        return self._lines.read()

    def mail(
        self, *recipients: str, sender: str = "ann@example.org", content: bytes = b"Subject: x\r\n\r\nhi\r\n"
    ) -> str:
        """One transaction that is accepted up to DATA; returns the first reply to the message."""
        replies = self.ask(f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{r}>" for r in recipients), "DATA")
        assert replies[-1].startswith("354"), replies
        self.send(content + b".\r\n")
        return self.reply()


@dataclass
class Port:
    """A running server, and what stands before and behind it."""

    server: Server
    pipeline: SmallPipeline
    sink: Sink
    reinjector: Reinjector

    def connect(self, number: int = 0) -> Dialogue:
        """A greeted client of a listener."""
        dialogue = Dialogue(self.server.listeners[number].endpoint.connect(20))
        greeting = dialogue.reply()
        assert greeting.startswith("220 "), greeting
        return dialogue

    def smtp(self) -> Dialogue:
        dialogue = self.connect()
        dialogue.ask("EHLO client.example")
        return dialogue

    def lmtp(self) -> Dialogue:
        dialogue = self.connect()
        dialogue.ask("LHLO mx.example.org")
        return dialogue


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as exits:
        yield exits


@pytest.fixture
def sink(stack: ExitStack) -> Sink:
    sink = Sink()
    stack.callback(sink.stop)
    return sink


@pytest.fixture
def reinjector(stack: ExitStack, sink: Sink) -> Reinjector:
    reinjector = Reinjector(sink.address, "filter.example", Timeouts(connect=5, reply=5))
    stack.callback(reinjector.close)
    return reinjector


@pytest.fixture
def serve(stack: ExitStack, sink: Sink, reinjector: Reinjector) -> Callable[..., Port]:
    """Start a server: `serve(limits=…, listeners=…, xforward_from=…)`."""

    def start(limits: Limits | None = None, listeners: Any = ("127.0.0.1:0",), **options: Any) -> Port:
        pipeline = SmallPipeline()
        server = Server(listeners, pipeline, reinjector, limits, "filter.example", **options)
        server.start()
        stack.callback(server.stop, 1.0)
        return Port(server, pipeline, sink, reinjector)

    return start


@pytest.fixture
def port(serve: Callable[..., Port]) -> Port:
    return serve()
