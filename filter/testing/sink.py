"""A sink: the SMTP server that mail ends in, for the try-out and for live tests.

It is the witness, so it shares no code with the port that it watches. What it has answered with 250 it
has on disk, synced: `000001.eml` holds the octets as sent (dots unstuffed, the end of data left out) and
`000001.json` the envelope, commands verbatim. It announces DSN, so Postfix passes NOTIFY, ORCPT, ENVID
and RET on to it, and it can be told to refuse.
"""

from __future__ import annotations

import json
import os
import re
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from io import BufferedIOBase
from pathlib import Path

EXTENSIONS = ("PIPELINING", "SIZE", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8")
VERBS = ("EHLO", "MAIL", "RCPT", "DATA", "DOT")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that the sink took.

    `mail` and `rcpts` are what came after `MAIL FROM:` and `RCPT TO:`, verbatim; `content` the octets.
    """

    number: int
    mail: str
    rcpts: tuple[str, ...]
    content: bytes

    @property
    def sender(self) -> str:
        """The reverse-path without brackets, `""` for null."""
        return _path(self.mail)

    @property
    def recipients(self) -> tuple[str, ...]:
        """The recipients without brackets, in RCPT order."""
        return tuple(_path(rcpt) for rcpt in self.rcpts)

    def below_received(self, count: int) -> bytes:
        """The octets below the `count` topmost Received fields, fewer where there are not so many.

        Each pass through Postfix adds one: what comes from a site with a filter has two.
        """
        return re.sub(rb"\A(?:Received:[^\n]*\n(?:[ \t][^\n]*\n)*){0,%d}" % count, b"", self.content)

    @property
    def mail_parameters(self) -> dict[str, str]:
        """The parameters of MAIL, such as `{"BODY": "8BITMIME", "SMTPUTF8": ""}`."""
        return _parameters(self.mail)

    def rcpt_parameters(self, recipient: str) -> dict[str, str]:
        """The parameters of the RCPT for this address; ValueError where there is none."""
        return _parameters(self.rcpts[self.recipients.index(recipient)])


class Sink:
    """The server. `folder` is where the mail goes; `port` 0 takes a free one. A context manager."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()
        self._deliveries: list[Delivery] = []
        self._kept = len(list(folder.glob("*.eml")))
        self._refusals: dict[str, Callable[[str], str | None]] = {}
        self._server = _Server(("127.0.0.1", port), _Session)
        self._server.sink = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="sink", daemon=True)

    def __enter__(self) -> Sink:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        """Where it listens, as `HOST:PORT`."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    @property
    def deliveries(self) -> list[Delivery]:
        """All that it took so far, in order of arrival."""
        with self._lock:
            return list(self._deliveries)

    def refuse(self, verb: str, reply: str, *, only: str = "") -> None:
        """Answer `verb` (EHLO, MAIL, RCPT, DATA, or DOT for the end of data) with `reply` until `relent()`.

        With `only`, just the MAIL or RCPT whose argument holds that text. ValueError for another verb.
        """
        if verb not in VERBS:
            raise ValueError(f"cannot refuse {verb!r}, only {', '.join(VERBS)}")
        self._refusals[verb] = lambda argument: reply if only in argument else None

    def relent(self) -> None:
        """Take everything again."""
        self._refusals.clear()

    def clear(self) -> None:
        """Forget what came; the files stay."""
        with self._lock:
            self._deliveries.clear()

    def wait(self, count: int = 1, timeout: float = 30.0) -> list[Delivery]:
        """Wait for `count` deliveries and return all; AssertionError with what came after `timeout` seconds."""
        end = time.monotonic() + timeout
        while len(self.deliveries) < count:
            if time.monotonic() > end:
                came = [(delivery.mail, delivery.rcpts) for delivery in self.deliveries]
                raise AssertionError(f"waited for {count} deliveries, got {len(came)}: {came}")
            time.sleep(0.02)
        return self.deliveries

    def refusal(self, verb: str, argument: str = "") -> str | None:
        """The reply that `refuse` set for this command, None to take it."""
        refuses = self._refusals.get(verb)
        return refuses(argument) if refuses else None

    def keep(self, mail: str, rcpts: tuple[str, ...], content: bytes) -> None:
        """Put one message on disk, synced, then count it."""
        with self._lock:
            self._kept += 1
            delivery = Delivery(self._kept, mail, rcpts, content)
            envelope = {name: value for name, value in asdict(delivery).items() if name != "content"}
            _write_synced(self._folder / f"{self._kept:06}.json", json.dumps(envelope).encode())
            _write_synced(self._folder / f"{self._kept:06}.eml", content)
            self._deliveries.append(delivery)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    sink: Sink


class _Session(socketserver.StreamRequestHandler):
    server: _Server
    disable_nagle_algorithm = True
    wbufsize = 0

    def handle(self) -> None:
        self._mail = ""
        self._rcpts: list[str] = []
        commands: Mapping[str, Callable[[str], str]] = {
            "EHLO": self._ehlo,
            "HELO": self._ok,
            "MAIL": self._on_mail,
            "RCPT": self._on_rcpt,
            "DATA": self._data,
            "RSET": self._rset,
            "NOOP": self._ok,
        }
        self._say("220 sink ESMTP")
        try:
            while line := self.rfile.readline():
                verb, _, argument = line.decode("utf-8", "surrogateescape").strip().partition(" ")
                if verb.upper() == "QUIT":
                    return self._say("221 2.0.0 Bye")
                command = commands.get(verb.upper(), self._unknown)
                self._say(self.server.sink.refusal(verb.upper(), argument) or command(argument))
        except ConnectionError:
            pass  # the client went away; what was answered with 250 is on disk
        return None

    def _say(self, reply: str) -> None:
        self.wfile.write(reply.encode("ascii") + b"\r\n")

    def _ehlo(self, _: str) -> str:
        return "".join(f"250-{line}\r\n" for line in ("sink", *EXTENSIONS[:-1])) + f"250 {EXTENSIONS[-1]}"

    def _ok(self, _: str) -> str:
        return "250 2.0.0 Ok"

    def _unknown(self, _: str) -> str:
        return "502 5.5.1 Not here"

    def _on_mail(self, argument: str) -> str:
        self._mail, self._rcpts = argument.partition(":")[2].strip(), []
        return "250 2.1.0 Ok"

    def _on_rcpt(self, argument: str) -> str:
        self._rcpts.append(argument.partition(":")[2].strip())
        return "250 2.1.5 Ok"

    def _rset(self, _: str) -> str:
        self._mail, self._rcpts = "", []
        return self._ok(_)

    def _data(self, _: str) -> str:
        if not self._rcpts:
            return "554 5.5.1 No valid recipients"
        self._say("354 Go on")
        content = _content(self.rfile)
        if refusal := self.server.sink.refusal("DOT"):
            return refusal
        self.server.sink.keep(self._mail, tuple(self._rcpts), content)
        return "250 2.0.0 Ok: kept"


def _content(stream: BufferedIOBase) -> bytes:
    """The octets up to CRLF.CRLF, dots unstuffed. A bare LF ends no line (RFC 5321 section 4.1.1.4)."""
    lines: list[bytes] = []
    at_start = True
    while line := stream.readline():
        if at_start and line == b".\r\n":
            return b"".join(lines)
        lines.append(line[1:] if at_start and line.startswith(b".") else line)
        at_start = line.endswith(b"\r\n")
    raise ConnectionResetError("the client went away within DATA")


def _path(argument: str) -> str:
    """The address in `<…>` at the start, whose local part may be quoted."""
    found = re.match(r'<((?:"(?:\\.|[^"\\])*"|[^">])*)>', argument, re.DOTALL)
    return found[1] if found else ""


def _parameters(argument: str) -> dict[str, str]:
    words = argument[len(_path(argument)) + 2 :].split()
    return {name.upper(): value for name, _, value in (word.partition("=") for word in words)}


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
