"""SIGHUP: new code and new configuration under load, and what is wrong with them stays outside."""

import signal
import smtplib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from penstock.filter.testing.sink import Sink
from penstock.postfix.private import free_port, until

Gone = Callable[[int], None]


@pytest.mark.parametrize("options", [(), ("-d",)], ids=["a connection a message", "connections that last"])
def test_reloads_under_load_lose_and_defer_nothing(
    running: Any, sink: Sink, ticking: Callable[..., None], options: tuple[str, ...]
) -> None:
    """smtp-source ends with an error at the first answer that is not 2xx or 3xx."""
    running.start()
    ticking(lambda: running.send_signal(signal.SIGHUP))
    with running.load(1500, *options) as source:
        assert source.wait(120) == 0, source.stderr.read()
    running.waits_for("reloaded: ", 2)
    found = [recipient for delivery in sink.deliveries for recipient in delivery.recipients]
    assert len(set(found)) == len(found) == 1500


def test_a_reload_brings_new_code_and_ends_the_old(running: Any, gone: Gone) -> None:
    running.start()
    before = running.children()
    assert running.send() == "1"
    running.handler("two")
    assert running.send() == "1"
    running.reload()
    until(lambda: running.send() == "two", 10, running.log)  # the old ones take what came before they were told
    for worker in before:
        gone(worker)
    assert running.process.poll() is None


def test_a_broken_handler_stays_outside(running: Any) -> None:
    running.start()
    before = running.children()
    running.handler("2", "\nraise RuntimeError('half written')\n")
    running.send_signal(signal.SIGHUP)
    running.waits_for("event=reload-failed")
    assert "RuntimeError: half written" in running.log()
    assert running.send() == "1"
    assert running.children() == before
    running.handler("three")
    running.reload()
    until(lambda: running.send() == "three", 10, running.log)


def test_a_broken_configuration_stays_outside(running: Any) -> None:
    running.start()
    running.configure("wrokers = 3")
    running.send_signal(signal.SIGHUP)
    running.waits_for("unknown key; did you mean workers?")
    assert running.send() == "1"


def test_a_handler_that_crashes_the_interpreter_stays_outside(running: Any) -> None:
    running.start()
    running.handler("2", "\nos.abort()\n")
    running.send_signal(signal.SIGHUP)
    running.waits_for("event=reload-failed")
    assert "signal 6" in running.log()
    assert running.send() == "1"


def test_the_number_of_workers_changes(running: Any) -> None:
    running.start()
    running.configure(workers=3)
    running.reload()
    until(lambda: len(running.children()) == 3, 30, lambda: f"{running.children()}")


def test_listeners_come_and_go(running: Any, tmp_path: Path) -> None:
    more, path = free_port(), tmp_path / "filter.sock"
    running.configure(listen=(f"unix:{path}",))
    running.start()
    running.configure(listen=(f"127.0.0.1:{more}",))
    running.reload()
    with smtplib.SMTP("127.0.0.1", more) as smtp:
        assert smtp.noop()[0] == 250
    until(lambda: not path.exists(), 30, lambda: f"{path} is still there")
    running.configure()
    running.reload()
    until(lambda: refused(more), 10, lambda: f"port {more} is still open")
    assert running.send() == "1"


def test_a_listener_that_cannot_be_bound_stays_outside(running: Any) -> None:
    running.start()
    with socket.create_server(("127.0.0.1", 0)) as other:
        running.configure(listen=(f"127.0.0.1:{free_port()}", f"127.0.0.1:{other.getsockname()[1]}"))
        running.send_signal(signal.SIGHUP)
        running.waits_for("cannot listen on")
    assert running.send() == "1"


def test_a_session_that_spans_a_reload_goes_on(running: Any, sink: Sink) -> None:
    running.start()
    with running.smtp() as smtp:
        smtp.ehlo()
        smtp.mail("ann@a.test")
        running.handler("two")
        running.reload()
        smtp.rcpt("bob@b.test")
        assert smtp.data(b"Subject: x\r\n\r\ntext\r\n")[0] == 250
    assert b"X-Version: 1" in sink.wait()[0].content
    assert running.send() == "two"


def test_an_idle_connection_is_told_of_it_when_it_asks(running: Any) -> None:
    """RSET between two messages is how Postfix asks whether a connection that it kept is still good."""
    running.start()
    with running.smtp() as smtp:
        smtp.sendmail("ann@a.test", "bob@b.test", b"Subject: x\r\n\r\ntext\r\n")
        running.reload()
        until(lambda: smtp.docmd("RSET")[0] == 421, 10, running.log)


def test_the_milter_listens_where_it_did(running: Any, tmp_path: Path) -> None:
    """libmilter has one socket in its life: another address is for another start."""
    table = f'[milter]\nlisten = "unix:{tmp_path}/milter.sock"\nhandlers = ["marks"]\n'
    plain = running.configuration.read_text()
    running.configuration.write_text(plain + table)
    running.start()
    for text in (plain + table.replace("milter.sock", "other.sock"), plain, plain + table):
        running.configuration.write_text(text)
        seen = running.log().count("\n")
        running.send_signal(signal.SIGHUP)
        until(lambda: running.log().count("\n") > seen, 30, running.log)  # noqa: B023
        assert ("after a restart only" in running.log().splitlines()[-1]) == ("other" in text)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{tmp_path}/milter.sock")
    running.send_signal(signal.SIGTERM)
    assert running.ends() == 0
    assert not (tmp_path / "milter.sock").exists()


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return True
    return False
