"""Processes: workers that die, hang and leave, and the supervisor that sees to them. Real processes, real signals."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from penstock.filter.testing.sink import Sink

Gone = Callable[[int], None]


def recipients(sink: Sink) -> list[str]:
    return sorted(recipient for delivery in sink.deliveries for recipient in delivery.recipients)


def test_a_worker_that_is_killed_is_replaced(running: Any, gone: Gone) -> None:
    running.start()
    before = running.children()
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    running.waits_for("event=worker-died")
    gone(before[0])
    assert running.send() == "1"
    assert before[1] in running.children()
    running.send_signal(signal.SIGTERM)
    assert running.ends() == 0


def test_workers_do_not_outlive_the_supervisor(running: Any, gone: Gone) -> None:
    running.start()
    workers = running.children()
    running.process.kill()
    for worker in workers:
        gone(worker)
    running.start()
    assert running.send() == "1"


def test_one_worker_is_one_process_and_a_supervisor(running: Any) -> None:
    running.configure(workers=1)
    running.start()
    assert len(running.children()) == 1
    assert running.send() == "1"


def test_a_worker_that_crashes_takes_only_its_own_sessions_along(running: Any) -> None:
    """The crash leaves its stacks in the log."""
    running.start()
    with running.begin("crash") as client:
        assert client.recv(100) == b""
    running.waits_for("event=worker-died")
    assert "marks.py" in running.log()
    assert running.send() == "1"


def test_a_worker_that_is_stuck_is_replaced(running: Any, gone: Gone) -> None:
    """A handler holds the interpreter: nothing else runs in that process, and its log says where it hangs."""
    running.configure('stuck_after = "2s"')
    running.start()
    workers = running.children()
    with running.begin("hog") as client:
        running.waits_for("event=worker-stuck")
        assert running.send() == "1"
        assert client.recv(100) == b""
    running.waits_for("event=stacks")
    assert "in mark\n" in running.log()
    assert len(set(workers) & set(running.children())) == 1


def test_a_worker_that_lost_too_many_threads_is_replaced(running: Any, gone: Gone) -> None:
    running.configure('handler_time_limit = "1s"\nabandoned_runs = 1\ndrain = "2s"', workers=1)
    running.start()
    [worker] = running.children()
    with running.begin("sleep") as client:
        assert client.recv(100).startswith(b"451")
    running.waits_for("event=worker-leaves")
    gone(worker)
    assert "time.sleep(3600)" in running.log()
    assert running.send() == "1"


def test_workers_are_recycled_after_so_many_messages(running: Any, sink: Sink, gone: Gone) -> None:
    running.configure("recycle_messages = 100")
    running.start()
    workers = running.children()
    with running.load(1000) as source:
        assert source.wait(120) == 0
    for worker in workers:
        gone(worker)
    assert len(set(recipients(sink))) == len(sink.deliveries) == 1000


def test_workers_are_recycled_when_they_grow(running: Any, gone: Gone) -> None:
    running.configure('recycle_memory = "1M"', workers=1)
    running.start()
    [worker] = running.children()
    gone(worker)
    assert running.send() == "1"


def test_idle_sessions_end_with_421(running: Any) -> None:
    running.start()
    with socket.create_connection(("127.0.0.1", running.port)) as idle:
        assert idle.recv(100).startswith(b"220")
        running.send_signal(signal.SIGTERM)
        assert idle.recv(100).startswith(b"421")
    assert running.ends() == 0
    assert "broken off" not in running.log()


def test_a_message_under_way_is_finished(running: Any, sink: Sink) -> None:
    running.start()
    with running.begin("slow") as client:
        running.send_signal(signal.SIGTERM)
        assert client.recv(100).startswith(b"250")
    assert running.ends() == 0
    assert len(sink.deliveries) == 1


def test_after_the_limit_sessions_are_broken_off(running: Any, sink: Sink) -> None:
    running.configure('drain = "1s"')
    running.start()
    with running.begin("sleep") as client:
        running.send_signal(signal.SIGTERM)
        assert client.recv(100) == b""
    assert running.ends() == 0
    assert "event=broken-off sessions=1" in running.log()
    assert sink.deliveries == []


def test_told_twice_it_ends_at_once(running: Any) -> None:
    running.configure('drain = "1h"')
    running.start()
    with running.begin("sleep") as client:
        running.send_signal(signal.SIGINT)
        running.send_signal(signal.SIGTERM)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""
    assert running.ends() == 0


def test_all_that_is_wrong_is_told_before_anything_is_bound(running: Any, tmp_path: Path) -> None:
    running.handler("1", "\nimport nonsense\n")
    running.configure('user = "nobody-of-that-name"')
    running.launch()
    assert running.ends() == 1
    assert "there is no user nobody-of-that-name; make it with" in running.log()
    assert "No module named 'nonsense'" in running.log()
    with pytest.raises(ConnectionRefusedError):
        running.smtp()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_gives_up_its_rights_once_the_sockets_are_bound(running: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    folder = tmp_path / "roots"
    folder.mkdir(mode=0o755)
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", 65534, 65534)
    running.configure('user = "nobody"', listen=(f"unix:{folder}/filter.sock",))
    text = running.configuration.read_text().replace("/penstock.db", "/state/penstock.db")
    running.configuration.write_text(text.replace("[filter]", f'[filter]\nspool = "{tmp_path}/state"'))
    for above in tmp_path.parents[:3]:
        above.chmod(above.stat().st_mode | 0o011)
    running.start()
    with running.smtp() as smtp:  # no mail: the interpreter may be root's, and nobody may not read it
        assert smtp.noop()[0] == 250
    for pid in (running.pid, *running.children()):
        status = Path(f"/proc/{pid}/status").read_text()
        assert "Uid:\t65534\t65534\t65534\t65534" in status
    assert (folder / "filter.sock").stat().st_uid == 65534
    assert (tmp_path / "state/penstock.db").stat().st_uid == 65534
    running.send_signal(signal.SIGTERM)
    assert running.ends() == 0


def test_the_database_is_opened_by_workers_alone(running: Any, tmp_path: Path) -> None:
    running.start()
    held = [os.readlink(link) for link in Path(f"/proc/{running.pid}/fd").iterdir()]
    assert not [name for name in held if "penstock.db" in name]
    with closing(sqlite3.connect(tmp_path / "penstock.db")) as database:
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)


def test_a_second_one_does_not_start(running: Any) -> None:
    running.start()
    command = [*running.process.args]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert "does another penstock run?" in second.stderr
    assert running.send() == "1"
