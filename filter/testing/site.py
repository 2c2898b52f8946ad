"""A site: a private Postfix, penstock beside it and a sink behind it, all real, for live tests and the try-out.

The service is a process of its own, started by its command with a configuration file, as an administrator
starts it. Everything lives in one folder and on loopback.
"""

from __future__ import annotations

import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from ...postfix.private import PrivatePostfix, free_port, greets, until
from ...postfix.snippets import Wire
from .sink import Sink

CONFIGURATION = """\
[service]
hostname = "mx.penstock.test"
{service}
[domains]
owned = [{owned}]
[store]
url = "sqlite:///{folder}/penstock.db"
[filter]
listen = ["unix:{socket}", "127.0.0.1:{port}"]
reinject = "127.0.0.1:{reinject}"
{filter}
[milter]
listen = "unix:{milter_socket}"
{milter}
"""


class Site:
    """One site in `folder`, which must be open to user postfix (as `PrivatePostfix` says).

    `filter` is TOML text that goes on in table `[filter]`: `handlers = […]`, and then other tables.
    `service` goes on in `[service]`, `milter` in `[milter]`: where it is given, Postfix asks the milter first.
    `wire` is what Postfix speaks to the filter: LMTP over the unix socket, or SMTP over TCP. `owned` domains are
    told to both. `aliases`, `extra_main` and `extra_master` are as `PrivatePostfix` has them. A context manager:
    inside it all three run, after it none does.
    """

    def __init__(
        self,
        folder: Path,
        *,
        filter: str = "",
        milter: str = "",
        service: str = "",
        wire: Wire = "lmtp",
        owned: tuple[str, ...] = (),
        aliases: Mapping[str, str] | None = None,
        extra_main: Mapping[str, str] | None = None,
        extra_master: str = "",
    ) -> None:
        self.folder = folder
        self.wire = wire
        self.owned = owned
        self.port = free_port()
        self.sink = Sink(folder / "sink")
        self.postfix = PrivatePostfix(
            folder / "postfix",
            sink=self.sink.address,
            filter=f"127.0.0.1:{self.port}" if wire == "smtp" else "unix:penstock/filter.sock",
            milter="unix:penstock/milter.sock" if milter else None,
            wire=wire,
            owned=owned,
            aliases=aliases,
            extra_main=extra_main,
            extra_master=extra_master,
        )
        self.configuration = folder / "penstock.toml"
        self.log_file = folder / "penstock.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.configuration.write_text(
            CONFIGURATION.format(
                service=service,
                owned=", ".join(f'"{domain}"' for domain in owned),
                folder=folder,
                socket=self.postfix.socket_path,
                port=self.port,
                reinject=self.postfix.reinject_port,
                filter=filter,
                milter_socket=self.postfix.milter_path,
                milter=milter,
            ),
            "utf-8",
        )

    def __enter__(self) -> Site:
        with ExitStack() as stack:
            stack.enter_context(self.sink)
            stack.enter_context(self.postfix)
            stack.callback(self.stop_service)
            self.start_service()
            self._running = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._running.close()

    def start_service(self) -> None:
        """Start `penstock run`; when this returns, both doors answer. RuntimeError with the log where they do not."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*penstock(), "run", "--config", str(self.configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for us, and we end it in its turn
            )
        until(lambda: self._process_ended() or self._answers(), 30, lambda: f"penstock is silent:\n{self.log()}")
        if self._process_ended():
            raise RuntimeError(f"penstock run ended with status {self._process.returncode}:\n{self.log()}")

    def stop_service(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the service with a signal, wait for it, and return its exit status."""
        if self._process is None:
            return 0
        self._process.send_signal(how)
        status = self._process.wait(60)
        self._process = None
        return status

    @property
    def pid(self) -> int:
        """The process id of the service; RuntimeError while it does not run."""
        if self._process is None or self._process_ended():
            raise RuntimeError(f"the service does not run:\n{self.log()}")
        return self._process.pid

    @property
    def pids(self) -> list[int]:
        """The process ids of the service: the supervisor's, and its workers'. RuntimeError as `pid`."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii")
        return [self.pid, *map(int, children.split())]

    def log(self) -> str:
        """All that the service logged."""
        return self.log_file.read_text("utf-8", "replace")

    def submit(
        self,
        sender: str,
        recipients: str | Sequence[str],
        content: bytes,
        *,
        mail: Sequence[str] = (),
        rcpt: Sequence[str] = (),
        stranger: bool = False,
        port: int | None = None,
    ) -> None:
        """Send `content` (CRLF lines, octets as they are) to Postfix by SMTP.

        `mail` and `rcpt` are parameters of MAIL and RCPT (`NOTIFY=NEVER`), verbatim. A `stranger` comes from
        outside, others count as local. Raises smtplib.SMTPException for a refusal.
        """
        door = self.postfix.outside_port if stranger else self.postfix.smtp_port
        with smtp_session(port or door, stranger=stranger) as smtp:
            post(smtp, sender, [recipients] if isinstance(recipients, str) else recipients, content, mail, rcpt)

    def _process_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _answers(self) -> bool:
        at_socket = greets(socket.AF_UNIX, str(self.postfix.socket_path))
        return at_socket and greets(socket.AF_INET, ("127.0.0.1", self.port))


def penstock() -> list[str]:
    """The command `penstock` of the environment that runs this."""
    return [str(Path(sys.executable).with_name("penstock"))]


def smtp_session(port: int, *, stranger: bool = False) -> smtplib.SMTP:
    """An SMTP session with the Postfix on that port, a `stranger`'s from another address (XCLIENT)."""
    smtp = smtplib.SMTP("127.0.0.1", port, local_hostname="client.penstock.test", timeout=60)
    smtp.command_encoding = "utf-8"
    smtp.ehlo()
    if stranger:
        _done(smtp.docmd("XCLIENT NAME=mail.stranger.test ADDR=192.0.2.25"))
        smtp.ehlo()
    return smtp


def post(
    smtp: smtplib.SMTP,
    sender: str,
    recipients: Sequence[str],
    content: bytes,
    mail: Sequence[str] = (),
    rcpt: Sequence[str] = (),
) -> None:
    """One transaction in a session: `content` octet for octet, which smtplib's own `sendmail` does not grant."""
    _done(smtp.docmd(" ".join((f"MAIL FROM:<{sender}>", *mail))))
    for recipient in recipients:
        _done(smtp.docmd(" ".join((f"RCPT TO:<{recipient}>", *rcpt))))
    _done(smtp.docmd("DATA"))
    stuffed = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
    smtp.send(stuffed + (b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n"))
    _done(smtp.getreply())


def _done(reply: tuple[int, bytes]) -> None:
    if reply[0] >= 400:
        raise smtplib.SMTPResponseException(*reply)

