"""The service under a service manager: what it tells it, and the sockets that it is given."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from penstock.filter.testing.sink import Sink

MANAGER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(30)
        yield listening


@pytest.fixture
def held(running: Any) -> Iterator[socket.socket]:
    """The socket of the filter port, as a socket unit holds it."""
    with socket.create_server(("127.0.0.1", running.port)) as listening:
        yield listening


def told(manager: socket.socket, wanted: str) -> list[str]:
    """Read on to a datagram with that line."""
    while wanted not in (lines := manager.recv(4096).decode().split("\n")):
        pass
    return lines


def launch(running: Any, held: socket.socket) -> None:
    """Start it as systemd does: the socket is descriptor 3, and the variables name the process itself."""
    os.set_inheritable(held.fileno(), True)
    command = (sys.executable, "-c", MANAGER, str(held.fileno()))
    running.launch({"LISTEN_FDS": "1"}, command, close_fds=False)


def test_ready_reload_and_end_are_told(running: Any, manager: socket.socket) -> None:
    environment = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "1000000"}
    running.launch(environment)
    ready = told(manager, "READY=1")
    assert ready[1] == "STATUS=2 workers, 0 sessions, 0 messages, 0 restarts"
    assert "ready: " in running.log()
    told(manager, "WATCHDOG=1")
    running.send()
    told(manager, "STATUS=2 workers, 0 sessions, 1 messages, 0 restarts")
    running.send_signal(signal.SIGHUP)
    assert told(manager, "RELOADING=1")[1].startswith("MONOTONIC_USEC=")
    told(manager, "READY=1")
    running.handler("2", "\nimport nonsense\n")
    running.send_signal(signal.SIGHUP)
    told(manager, "RELOADING=1")
    assert "the last reload failed: " in told(manager, "READY=1")[1]
    running.send_signal(signal.SIGTERM)
    told(manager, "STOPPING=1")
    assert running.ends() == 0


def test_a_passed_socket_is_used(running: Any, held: socket.socket) -> None:
    launch(running, held)
    running.waits_for("ready: ")
    assert running.send() == "1"
    running.reload()
    assert running.send() == "1"


def test_over_a_restart_connections_wait(running: Any, held: socket.socket, sink: Sink) -> None:
    """The socket outlives the service, so that nobody is turned away, and nothing deferred."""
    launch(running, held)
    running.waits_for("ready: ")
    with running.load(600) as source:
        sink.wait(100)
        running.send_signal(signal.SIGTERM)
        assert running.ends() == 0
        launch(running, held)
        assert source.wait(120) == 0, source.stderr.read()
    found = [recipient for delivery in sink.deliveries for recipient in delivery.recipients]
    assert len(set(found)) == len(found) == 600


def test_a_socket_that_is_not_configured_is_told_of(running: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        launch(running, other)
        assert running.ends() == 1
        assert f"the socket unit passes 127.0.0.1:{other.getsockname()[1]}, which is not listed here" in running.log()
