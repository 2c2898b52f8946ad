"""A private Postfix: the real thing in a folder of its own, for the try-out and for tests.

It has its own configuration, queue and data directories, listens on free loopback ports above 20000,
logs into a file and knows no users: mail for the owned domains goes to the filter, all other mail,
bounces included, to one sink. Retries come after a second, so that a test can wait for them. The
system's own Postfix, its configuration and its queue are never touched: every command here carries
`-c` with the private directory. `master` needs root to give up its privileges, so this does too.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .snippets import Wire, Wiring

MAIL_OWNER = "postfix"
RELOADED = ": reload -- version"
SETTLES = 0.5
"""Seconds that master(8) is given, once it has read its configuration, to end the processes that had the old one."""


class PostfixError(Exception):
    """A Postfix command failed; the text holds what it said and the end of the log."""


class PrivatePostfix:
    """One Postfix in `folder`, which user postfix must be able to reach (no 0700 folder above it).

    `filter` is where penstock listens (`unix:PATH` below the queue directory, or `HOST:PORT`), None for
    a Postfix without content filter; `milter` where its milter does (`unix:PATH`, or `inet:HOST:PORT`), None for none.
    `sink` is the `HOST:PORT` that takes all mail for domains that
    `owned` does not name. `aliases` are virtual aliases. `extra_main` goes above the defaults here (the
    snippets above both), `extra_master` after all services. Ports and paths are known before `start()`.

    Mail that comes in by `smtp_port` counts as written here: XFORWARD says SOURCE=LOCAL, and missing headers
    are added. Mail by `outside_port` counts as a stranger's. Any client may say by XCLIENT who it is.
    """

    def __init__(
        self,
        folder: Path,
        *,
        sink: str,
        filter: str | None = "unix:penstock/filter.sock",
        milter: str | None = None,
        wire: Wire = "lmtp",
        owned: tuple[str, ...] = (),
        aliases: Mapping[str, str] | None = None,
        recipient_limit: int = 1000,
        extra_main: Mapping[str, str] | None = None,
        extra_master: str = "",
    ) -> None:
        self.folder = folder.resolve()
        self.queue_directory = self.folder / "queue"
        self.config_directory = self.folder / "etc"
        self.log_file = self.folder / "mail.log"
        self.smtp_port = free_port()
        self.outside_port = free_port()
        self.reinject_port = free_port()
        self._sink = sink
        self._filtered = filter is not None
        self._judged = milter is not None
        self._wiring = Wiring(
            listen=filter or "unix:penstock/filter.sock",
            reinject=f"127.0.0.1:{self.reinject_port}",
            milter=milter or "",
            owned=owned,
            wire=wire,
            recipients=recipient_limit,
        )
        self._aliases = dict(aliases or {})
        self._extra_main = dict(extra_main or {})
        self._extra_master = extra_master

    def __enter__(self) -> PrivatePostfix:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def socket_path(self) -> Path:
        """The filter's unix socket; its folder gives it to group postfix (setgid), whoever runs penstock."""
        return self.queue_directory / "penstock" / "filter.sock"

    @property
    def milter_path(self) -> Path:
        """The milter's unix socket, beside the filter's."""
        return self.queue_directory / "penstock" / "milter.sock"

    def prepare(self) -> None:
        """Write the configuration and make the directories; `start()` does so too. PostfixError if it cannot work."""
        if os.geteuid() != 0:
            raise PostfixError("a private Postfix needs root: master(8) starts as root to give privileges up")
        if shutil.which("postfix") is None:
            raise PostfixError("no postfix command here: install the package postfix")
        for directory in (self.folder, self.config_directory, self.queue_directory, self.folder / "data"):
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o755)
        _must_be_reachable(self.folder)
        shutil.chown(self.folder / "data", MAIL_OWNER)
        self.log_file.touch()
        shutil.chown(self.log_file, MAIL_OWNER)
        self.socket_path.parent.mkdir(exist_ok=True)
        shutil.chown(self.socket_path.parent, group=MAIL_OWNER)
        self.socket_path.parent.chmod(0o2770)
        (self.config_directory / "main.cf").write_text(self._main_cf(), "utf-8")
        (self.config_directory / "master.cf").write_text(self._master_cf(), "utf-8")

    def start(self) -> None:
        """Start it; when this returns, the SMTP port answers. Raises PostfixError with the log's end."""
        self.prepare()
        logged = len(self.log())
        self._command("postfix", "start")
        try:
            until(lambda: self._greets(logged), 20, lambda: f"port {self.smtp_port} is silent\n{self.log_end()}")
        except PostfixError:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it, if it runs: afterwards no process of it is left. The queue stays for a next `start()`."""
        if self.is_running:
            self._command("postfix", "stop")

    @property
    def is_running(self) -> bool:
        """Whether `master` holds its lock."""
        return self._run("postfix", "status").returncode == 0

    def reconfigure(self, *arguments: str) -> None:
        """Change the running configuration as `postconf` does: `("-e", "name=value")`, `("-MX", "name/type")`.

        Without arguments it is written anew as it was at first. Returns when master(8) has read it.
        """
        if arguments:
            self._command("postconf", *arguments)
        else:
            self.prepare()
        reloads = self.log().count(RELOADED)
        self._command("postfix", "reload")
        until(lambda: self.log().count(RELOADED) > reloads, 20, self.log_end)
        time.sleep(SETTLES)

    def flush(self) -> None:
        """Try all deferred mail again, now."""
        self._command("postqueue", "-f")

    def retry(self, queue_id: str) -> None:
        """Try one deferred message again, now."""
        self._command("postqueue", "-i", queue_id)

    def queue(self) -> list[dict[str, Any]]:
        """The queue as `postqueue -j` tells it: one dict a message, with `queue_name`, `recipients` and so on."""
        return [json.loads(line) for line in self._command("postqueue", "-j").splitlines()]

    def delay_reasons(self) -> list[str]:
        """Why each recipient in the queue waits; an empty text for one that was not tried yet."""
        return [recipient.get("delay_reason", "") for item in self.queue() for recipient in item["recipients"]]

    def delete(self, queue_id: str) -> None:
        """Delete one message from the queue, or all of them (`ALL`)."""
        self._command("postsuper", "-d", queue_id)

    def wait_empty(self, timeout: float = 30.0) -> None:
        """Wait until nothing is queued; PostfixError after `timeout` seconds."""
        until(lambda: not self.queue(), timeout, lambda: f"still queued: {self.queue()}\n{self.log_end()}")

    def log(self) -> str:
        """All that was logged."""
        return self.log_file.read_text("utf-8", "replace") if self.log_file.exists() else ""

    def log_end(self, lines: int = 20) -> str:
        """The last lines of the log, for a message to a person."""
        return "\n".join(self.log().splitlines()[-lines:])

    def _greets(self, logged: int) -> bool:
        if "fatal:" in self.log()[logged:]:
            raise PostfixError(self.log_end())
        return greets(socket.AF_INET, ("127.0.0.1", self.smtp_port))

    def _main_cf(self) -> str:
        settings = _SETTINGS | {
            "queue_directory": str(self.queue_directory),
            "data_directory": str(self.folder / "data"),
            "maillog_file": str(self.log_file),
            "maillog_file_prefixes": str(self.folder),
            "default_transport": f"sink:{_bracketed(self._sink)}",
            "message_size_limit": str(self._wiring.size * 3 // 4),
        }
        if self._aliases:
            pairs = ", ".join(f"{{ {address} = {to} }}" for address, to in self._aliases.items())
            settings["virtual_alias_maps"] = f"inline:{{ {pairs} }}"
        snippets = [
            self._wiring.main_cf() if self._filtered else "",
            self._wiring.milter_cf() if self._judged else "",
            self._wiring.owned_cf(),
        ]
        return _lines(settings | self._extra_main) + "".join(snippets)

    def _master_cf(self) -> str:
        doors = _DOORS.format(inside=self.smtp_port, outside=self.outside_port)
        return _SERVICES + doors + self._wiring.master_cf() + self._extra_master

    def _command(self, *command: str) -> str:
        done = self._run(*command)
        if done.returncode:
            raise PostfixError(f"{' '.join(command)}: {done.stdout}{done.stderr}\n{self.log_end()}")
        return done.stdout

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [program, "-c", str(self.config_directory), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def free_port() -> int:
    """A TCP port between 20000 and 32000 on which nothing listens at 127.0.0.1: below the ports of outgoing sockets."""
    while True:
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def greets(family: socket.AddressFamily, address: str | tuple[str, int]) -> bool:
    """Whether an SMTP or LMTP server says 220 there, within 3 seconds."""
    with socket.socket(family) as connection:
        connection.settimeout(3)
        try:
            connection.connect(address)
            return connection.recv(3) == b"220"
        except OSError:
            return False


def until(happened: Callable[[], bool], timeout: float, otherwise: Callable[[], str]) -> None:
    """Wait until `happened()`; after `timeout` seconds raise PostfixError with the text of `otherwise()`."""
    end = time.monotonic() + timeout
    while not happened():
        if time.monotonic() > end:
            raise PostfixError(otherwise())
        time.sleep(0.05)


def _must_be_reachable(folder: Path) -> None:
    for above in folder.parents:
        if not above.stat().st_mode & 0o001:
            raise PostfixError(f"user {MAIL_OWNER} cannot pass through {above}: put the private Postfix elsewhere")


def _bracketed(address: str) -> str:
    host, _, port = address.rpartition(":")
    return f"[{host}]:{port}"


def _lines(settings: Mapping[str, str]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in settings.items())


_SETTINGS = {
    "compatibility_level": "3.6",
    "myhostname": "mx.penstock.test",
    "inet_interfaces": "loopback-only",
    "inet_protocols": "ipv4",
    "mydestination": "",
    "alias_maps": "",
    "alias_database": "",
    "append_dot_mydomain": "no",
    "smtputf8_enable": "yes",
    "biff": "no",
    # Anybody on loopback may send anywhere: it ends in the sink. XCLIENT lets a test come from elsewhere.
    "mynetworks": "0.0.0.0/0",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "smtpd_authorized_xclient_hosts": "127.0.0.0/8",
    "smtpd_peername_lookup": "no",
    "smtpd_tls_security_level": "none",
    # Quick: no pauses meant for strangers, retries after a second.
    "smtpd_error_sleep_time": "0",
    "smtpd_junk_command_limit": "1000",
    "smtpd_client_connection_count_limit": "0",
    "smtpd_client_event_limit_exceptions": "127.0.0.0/8",
    "in_flow_delay": "0",
    "queue_run_delay": "1s",
    "minimal_backoff_time": "1s",
    "maximal_backoff_time": "2s",
    # Notices to the postmaster would only be more mail in the sink.
    "notify_classes": "",
}

_DOORS = """\
127.0.0.1:{inside}  inet  n  -  n  -  -  smtpd
127.0.0.1:{outside}  inet  n  -  n  -  -  smtpd
    -o local_header_rewrite_clients=
"""

_SERVICES = """\
# service type  private unpriv  chroot  wakeup  maxproc command + args
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       5       1       qmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
sink      unix  -       -       n       -       -       smtp
    -o smtp_line_length_limit=0
    -o disable_mime_output_conversion=yes
    -o smtp_tls_security_level=none
"""
