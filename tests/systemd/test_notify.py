"""sd_notify at a real socket, and sockets that were passed: the functions alone; the service is in tests/service."""

import os
import socket
from pathlib import Path

import pytest
from penstock.systemd.notify import Notifier
from penstock.systemd.passed import passed_sockets


@pytest.fixture
def manager(tmp_path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(tmp_path / "notify"))
    listening.settimeout(10)
    return listening


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def test_what_is_said(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())
    notifier.ready("2 workers")
    assert heard(manager) == ["READY=1", "STATUS=2 workers"]
    notifier.reloading()
    assert heard(manager)[0] == "RELOADING=1"
    notifier.status("2 workers")
    notifier.status("3 workers")
    assert heard(manager) == ["STATUS=3 workers"]
    notifier.stopping(35)
    assert heard(manager)[::2] == ["STOPPING=1", "EXTEND_TIMEOUT_USEC=35000000"]


def test_an_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0penstock-test-{os.getpid()}")
        Notifier(f"@penstock-test-{os.getpid()}").ready("")
        assert manager.recv(100).startswith(b"READY=1")


def test_the_watchdog_hears_of_us_twice_in_its_time(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname(), watchdog=0.000001)
    notifier.beat()
    assert heard(manager) == ["WATCHDOG=1"]
    Notifier(manager.getsockname(), watchdog=3600).beat()
    Notifier(manager.getsockname()).beat()
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(100)


def test_a_manager_that_is_gone_or_does_not_read_is_no_trouble(manager: socket.socket, tmp_path: Path) -> None:
    deaf = Notifier(manager.getsockname())
    for number in range(1000):
        deaf.status(str(number))
    Notifier(str(tmp_path / "nobody")).ready("")
    Notifier().ready("")


def test_the_environment_is_read_once() -> None:
    environment = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "2", "WATCHDOG_PID": "1", "HOME": "/"}
    Notifier.from_environment(environment)
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize("pid", ["", "1", "x"])
def test_sockets_for_somebody_else_are_left_alone(pid: str) -> None:
    environment = {"LISTEN_FDS": "1", "LISTEN_PID": pid, "LISTEN_FDNAMES": "x"}
    assert passed_sockets(environment) == []
    assert environment == {}
