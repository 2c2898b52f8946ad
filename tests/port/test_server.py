"""Listeners, limits of the whole, and an orderly end."""

from __future__ import annotations

import errno
import logging
import os
import random
import resource
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from penstock.filter.port import Limits, Listener, listen
from penstock.filter.port import server as module
from penstock.filter.port.endpoint import Endpoint
from penstock.filter.verdict import Reply
from penstock.filter.watch import GivenUp

LINES = b"X" * 70 + b"\r\n"


def test_several_listeners(serve: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "filter.sock"
    port = serve(listeners=[f"unix:{path}", "127.0.0.1:0", "localhost:0"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    for number, listener in enumerate(port.server.listeners):
        with port.connect(number) as client:
            client.ask("LHLO mx.example.org")
            assert client.mail("a@x.test").startswith("250")
        assert port.pipeline.arrivals[-1].listener == listener.address
    assert port.server.stop(1)
    assert not path.exists()


def test_a_unix_socket_speaks_lmtp_alone_and_believes_xforward(serve: Callable[..., Any], tmp_path: Path) -> None:
    with serve(listeners=[f"unix:{tmp_path}/s"], xforward_from=[]).connect() as client:
        said = client.ask("EHLO x", "HELO x", "LHLO x", "XFORWARD NAME=a")
        assert [reply[:9] for reply in said] == ["500 5.5.1", "500 5.5.1", "250-filte", "250 2.0.0"]


def test_a_stale_socket_is_removed_and_one_in_use_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    (first,) = listen(f"unix:{path}")
    with pytest.raises(OSError, match="somebody listens") as caught:
        listen(f"unix:{path}")
    assert caught.value.errno == errno.EADDRINUSE
    first.close()
    (second,) = listen(f"unix:{path}")
    second.remove()
    assert not path.exists()
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        listen(f"unix:{path}")
    assert path.read_text() == "mine"


def test_a_start_that_fails_leaves_nothing_bound(serve: Callable[..., Any], tmp_path: Path) -> None:
    (taken,) = listen("127.0.0.1:0")
    with pytest.raises(OSError, match="in use"):
        serve(listeners=[f"unix:{tmp_path}/s", str(taken.endpoint)])
    assert list(tmp_path.iterdir()) == []
    taken.close()


def test_sockets_that_listen_already_are_served_and_their_files_kept(serve: Callable[..., Any], tmp_path: Path) -> None:
    listeners = listen(f"unix:{tmp_path}/s")
    shared = Listener(listeners[0].address, listeners[0].socket.dup())
    port = serve(listeners=[shared])
    with port.lmtp() as client:
        assert client.mail("a@x.test").startswith("250")
    assert port.server.stop(1)
    assert (tmp_path / "s").exists()
    port = serve(listeners=listeners)
    with port.lmtp() as client:
        assert client.mail("a@x.test").startswith("250")


def test_stop_dismisses_the_idle_and_lets_the_busy_finish(port: Any) -> None:
    address = str(port.server.listeners[0].endpoint)
    idle, busy = port.smtp(), port.smtp()
    busy.ask("MAIL FROM:<>", "RCPT TO:<a@x.test>")
    stopped: list[bool] = []
    stopping = threading.Thread(target=lambda: stopped.append(port.server.stop(20)))
    stopping.start()
    assert idle.rest().startswith(b"421 4.3.2")
    assert busy.ask("DATA")[0].startswith("354")
    busy.send(b"a: b\r\n\r\n.\r\n")
    assert busy.reply().startswith("250")
    assert busy.rest().startswith(b"421 4.3.2")
    stopping.join(20)
    assert stopped == [True]
    with pytest.raises(ConnectionRefusedError):
        Endpoint.parse(address).connect(1)


def test_stop_waits_for_a_handler(port: Any) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        assert go_on.wait(20)

    port.pipeline.before = wait
    stopped: list[bool] = []
    stopping = threading.Thread(target=lambda: stopped.append(port.server.stop(20)))
    with port.lmtp() as client:
        client.ask("MAIL FROM:<>", "RCPT TO:<a@x.test>", "DATA")
        client.send(b"a: b\r\n\r\n.\r\n")
        assert inside.wait(20)
        stopping.start()
        go_on.set()
        assert client.reply().startswith("250")
        assert client.rest().startswith(b"421 4.3.2")
    stopping.join(20)
    assert stopped == [True]


def test_stop_breaks_off_what_does_not_end(port: Any) -> None:
    client = port.smtp()
    client.ask("MAIL FROM:<>", "RCPT TO:<a@x.test>")
    assert port.server.stop(0.1) is False
    assert client.rest() == b""


def test_more_connections_than_allowed(serve: Callable[..., Any]) -> None:
    port = serve(Limits(connections=2))
    with port.smtp() as first, port.smtp():
        with Connected(port) as third:
            assert third.recv(100).startswith(b"421 4.7.0")
        first.ask("QUIT")
        assert first.rest() == b""
        for _ in range(100):
            with Connected(port) as fourth:
                if fourth.recv(100).startswith(b"220"):
                    return
    pytest.fail("the place was never free again")


def Connected(port: Any) -> socket.socket:
    connected: socket.socket = port.server.listeners[0].endpoint.connect(20)
    return connected


def test_no_thread_is_421_and_the_listener_lives(
    port: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(module.threading, "Thread", NoThread)
        with Connected(port) as client:
            assert client.recv(100).startswith(b"421 4.3.2")
    with port.smtp() as client:
        assert client.mail("a@x.test").startswith("250")
    assert "can't start new thread" in caplog.text


def test_no_descriptors_and_the_listener_lives(port: Any, caplog: pytest.LogCaptureFixture) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    client = socket.socket()
    used = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, limits[1]))
    filler: list[int] = []
    try:
        while True:
            filler.append(os.dup(client.fileno()))
    except OSError:
        pass
    try:
        endpoint = port.server.listeners[0].endpoint
        client.connect((endpoint.host, endpoint.port))
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.recv(100)
    finally:
        for number in filler:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    client.settimeout(20)
    assert client.recv(100).startswith(b"220")
    client.close()
    assert "accept-failed" in caplog.text


@pytest.mark.parametrize("declared", [True, False])
def test_a_message_over_the_limit(serve: Callable[..., Any], declared: bool) -> None:
    port = serve(Limits(message_size=100_000))
    with port.lmtp() as client:
        if declared:
            assert client.ask("MAIL FROM:<> SIZE=100001")[0].startswith("552 5.3.4")
            return
        for content, code in (
            (LINES * 10_000, "552 5.3.4"),
            (b"x" * 99_998 + b"\r\n", "250 2.0.0"),
            (b"x" * 99_999 + b"\r\n", "552 5.3.4"),
        ):
            assert client.mail("a@x.test", "b@x.test", content=content)[:9] == code
            assert client.reply()[:9] == code
        stuffed = b"..\r\n" * 33_333  # on the wire it is longer than the limit, in truth it is not
        assert client.mail("a@x.test", content=stuffed).startswith("250")
    assert [len(letter.content) for letter in port.sink.letters] == [100_000, 99_999]


def test_a_message_without_end_is_broken_off(serve: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    port = serve(Limits(message_size=10_000))
    with port.smtp() as client:
        client.ask("MAIL FROM:<>", "RCPT TO:<a@x.test>", "DATA")
        endless = LINES * 1_000_000
        with pytest.raises(OSError, match=r"reset|[Bb]roken"):
            client.send(endless)
    with port.smtp() as client:
        assert client.mail("a@x.test").startswith("250")
    assert "sends without end" in caplog.text


@pytest.mark.parametrize(("octets", "reply", "times"), [(200_000_000, "552 5.3.4", 4), (19_000_000, "451 4.3.0", 3)])
def test_a_large_message_costs_little_memory(serve: Callable[..., Any], octets: int, reply: str, times: int) -> None:
    """Counted up to the pipeline: the sink, which is in this process too, has its own copies."""
    port = serve(Limits(message_size=20_000_000))
    port.pipeline.raises = RuntimeError("far enough")
    lines = LINES * 5000
    with port.smtp() as client:
        client.ask("MAIL FROM:<>", "RCPT TO:<a@x.test>", "DATA")
        Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is in use now
        before = _memory("VmHWM")
        for _ in range(octets // len(lines)):
            client.send(lines)
        client.send(b".\r\n")
        assert client.reply().startswith(reply)
    assert _memory("VmHWM") - before < times * 20_000_000


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(name)))


def test_garbage(port: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "penstock.port")
    chance = random.Random(5321)
    words = [
        b"EHLO x\r\n",
        b"LHLO x\r\n",
        b"MAIL FROM:<>\r\n",
        b"RCPT TO:<a@x.test>\r\n",
        b"DATA\r\n",
        b"\r\n.\r\n",
        b".\r\n",
        b"\r\n",
        b"\n",
        b"\0",
        b"\xff" * 50,
        b"QUIT",
        b"RSET\r\n",
        b"XFORWARD NAME=\r\n",
        b"A" * 5000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    ]
    for number in range(150):
        with Connected(port) as client:
            octets = chance.randbytes(3000) if number % 5 == 0 else b"".join(chance.choices(words, k=40))
            try:
                client.sendall(octets)
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
            except OSError:
                pass
    with port.smtp() as client:
        assert client.mail("last@x.test").startswith("250")
    assert "event=fault" not in caplog.text


def test_a_session_that_was_given_up_takes_no_place(serve: Callable[..., Any]) -> None:
    """A handler that never ends keeps its thread; it must not keep out new clients, nor the end of the service."""
    port = serve(Limits(connections=1))
    go_on = threading.Event()

    def decide(arrival: Any, give_up: Callable[[Reply], None]) -> Any:
        give_up(Reply(451, "4.3.0", "too slow"))
        go_on.wait(20)
        raise GivenUp

    port.pipeline.decide = decide
    with port.lmtp() as stuck:
        assert stuck.mail("ann@x.test").startswith("451 4.3.0")
        with port.lmtp() as other:
            assert other.ask("NOOP") == ["250 2.0.0 Ok"]
        assert port.server.stop(5)
    go_on.set()
