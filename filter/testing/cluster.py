"""A PostgreSQL of one's own: private, in a folder that goes when it ends, on a port of the loopback.

It is as little of a server as a test needs: nothing is synced to the disk, and everybody on this host may connect.
The programs are those of Debian's package `postgresql`, or whatever is first on the PATH.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

_PATIENCE: Final = 60.0
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
}


class Cluster:
    """A running PostgreSQL, and databases in it.

    `port` stays the same from start to start. `durable` keeps what is committed over a crash of the whole host;
    without it that of the server alone is survived.
    """

    def __init__(self, *, durable: bool = False) -> None:
        """Make it and start it. Raises FileNotFoundError where PostgreSQL is not installed."""
        self._programs = _programs()
        self._user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self._folder = Path(tempfile.mkdtemp(prefix="penstock-postgresql-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._durable = durable
        self._numbers = itertools.count(1)
        self.port = _free_port()
        try:
            self._make()
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process to kill."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str) -> str:
        """The URL of a database."""
        return f"postgresql+psycopg://{self._user}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """Make an empty database; returns its URL."""
        name = f"test{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
        return self.url(name)

    def place(self) -> str:
        """Make an empty schema, which is a database as far as a store sees it, in a tenth of the time.

        Returns the URL. Only advisory locks are shared with others in this cluster.
        """
        name = f"place{next(self._numbers)}"
        self.run(f"CREATE SCHEMA {name}")
        return f"{self.url('postgres')}?options=-csearch_path%3D{name}"

    def run(self, statement: str, database: str = "postgres") -> list[Any]:
        """Run a statement outside of any transaction; returns the rows, if it has any."""
        import psycopg  # an extra, and the pytest plugin loads without it

        with psycopg.connect(self.url(database).replace("+psycopg", ""), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start it, and wait until it answers. After a kill -9 its children may be in the way for a moment."""
        over = time.monotonic() + _PATIENCE
        while True:
            if self._process is None or self._process.poll() is not None:
                with (self._folder / "log").open("ab") as log:
                    command = ("postgres", "-D", self._data, "-p", str(self.port))
                    self._process = self._popen(*command, stdout=log, stderr=log)
            if self._answers():
                return
            if time.monotonic() > over:
                raise RuntimeError(f"PostgreSQL does not start: {(self._folder / 'log').read_text()}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT breaks connections off in good order, SIGQUIT and SIGKILL as a crash does."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_PATIENCE)
            self._process = None

    def close(self) -> None:
        """Stop it, and remove its folder."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _make(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self._folder, self._user)
        making = self._popen(
            "initdb", "-D", self._data, "-U", self._user, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        said, _ = making.communicate(timeout=_PATIENCE)
        if making.returncode:
            raise RuntimeError(f"initdb failed: {said.decode('utf-8', 'replace')}")
        settings = dict(_SETTINGS, **({"fsync": "on", "full_page_writes": "on"} if self._durable else {}))
        with Path(self._data, "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def _popen(self, program: str, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:
        """Start a program as a user that is not root: PostgreSQL refuses to run as root."""
        if os.geteuid() == 0:
            more.update(user=self._user, group=pwd.getpwnam(self._user).pw_gid, extra_groups=[])
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
        command = [str(self._programs / program), *arguments]
        return subprocess.Popen(command, cwd=self._folder, env=environment, stdin=subprocess.DEVNULL, **more)

    def _answers(self) -> bool:
        import psycopg

        try:
            self.run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def _programs() -> Path:
    """The folder of PostgreSQL's programs: Debian keeps them off the PATH, the newest version counts."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    found = str(versions[-1]) if versions else shutil.which("initdb")
    if found is None:
        raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")
    return Path(found).resolve().parent


def _free_port() -> int:
    for port in range(20000 + os.getpid() % 20000, 60000):
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)):
                return port
    raise RuntimeError("no free port")
