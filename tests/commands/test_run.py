"""`penstock run` as a process of its own: it listens, takes mail, and ends in order."""

from __future__ import annotations

import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from penstock.filter.commands import main
from penstock.filter.testing.sink import Sink

PENSTOCK = str(Path(sys.executable).with_name("penstock"))

Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    with Sink(tmp_path / "sink") as sink:
        yield sink


@pytest.fixture
def port(penstock_in: Any, sink: Sink) -> int:
    """A free port that the service listens on, besides its unix socket; results go to the sink."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = int(free.getsockname()[1])
    text = penstock_in.configuration.read_text().replace("127.0.0.1:1", sink.address)
    penstock_in.configuration.write_text(text.replace('.sock"]', f'.sock", "127.0.0.1:{number}"]'))
    return number


@pytest.fixture
def start(penstock_in: Any, port: int) -> Iterator[Start]:
    """Start the service, and wait until it says that it is ready."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command = [PENSTOCK, "run", "--config", str(penstock_in.configuration)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "ready: tea; listening on" in line, line
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_conversation_by_smtp(start: Start, port: int, sink: Sink) -> None:
    process = start()
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        smtp.sendmail("ann@example.org", ["tea-join@lists.test"], b"Subject: hi\r\n\r\nlet me in\r\n")
        smtp.sendmail("ann@example.org", ["bob@example.org"], b"Subject: hi\r\n\r\nthrough\r\n")
    through = {delivery.recipients: delivery for delivery in sink.wait(2)}
    assert through[("bob@example.org",)].content == b"Subject: hi\r\n\r\nthrough\r\n"
    assert b"Please confirm" in through[("ann@example.org",)].content
    process.terminate()
    log = process.communicate(timeout=60)[1]
    assert process.returncode == 0
    assert "recipient=<tea-join@lists.test> fate=consumed handler=tea state=START>JOINING" in log
    assert all(line.startswith("time=") for line in log.splitlines())


def test_explain_speaks_of_what_the_service_did(start: Start, penstock_in: Any, port: int) -> None:
    start()
    to = ("--to", "tea-join@lists.test", "--to", "tea@lists.test", "--from", "ann@example.org")
    sent = CliRunner().invoke(main, ["send", "--host", f"unix:{penstock_in.folder}/filter.sock", *to])
    assert sent.exit_code == 0, sent.output
    report = penstock_in.json("explain", str(penstock_in.mail))
    assert report["recipients"][0]["steps"][0]["before"] == "JOINING"
    assert penstock_in("check").stdout.count("✗") == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order(start: Start, penstock_in: Any, port: int, number: signal.Signals) -> None:
    process = start()
    with socket.create_connection(("127.0.0.1", port)) as idle:
        assert idle.recv(100).startswith(b"220")
        process.send_signal(number)
        assert idle.recv(100).startswith(b"421")
        assert process.wait(60) == 0
    assert not (penstock_in.folder / "filter.sock").exists()


def test_it_starts_again_where_it_was_killed(start: Start, port: int) -> None:
    first = start()
    first.kill()
    first.wait(60)
    second = start()
    second.terminate()
    assert second.wait(60) == 0


def test_a_second_one_does_not_start(start: Start, penstock_in: Any) -> None:
    first = start()
    second = subprocess.run(
        [PENSTOCK, "run", "--config", str(penstock_in.configuration)], capture_output=True, text=True, timeout=60
    )
    assert second.returncode == 1
    assert "Error: [filter] listen: cannot listen on" in second.stderr
    assert "Traceback" not in second.stderr
    assert first.poll() is None
    with smtplib.LMTP(str(penstock_in.folder / "filter.sock")) as lmtp:
        assert lmtp.ehlo()[0] == 250


def test_a_store_that_cannot_be_made(penstock_in: Any) -> None:
    (penstock_in.folder / "store").write_text("a file, not a folder")
    result = subprocess.run(
        [PENSTOCK, "run", "--config", str(penstock_in.configuration)], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    assert result.stderr.startswith("Error: [store] url")
    assert "Traceback" not in result.stderr
