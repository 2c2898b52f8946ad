"""The listening socket; libmilter is played by a few lines."""

import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from penstock.milter.listening import Listening


class Library:
    """Listens as libmilter does, and keeps the descriptor to itself."""

    def __init__(self) -> None:
        self.socket = socket.socket()
        self.spelling = ""

    def opens(self, spelling: str) -> None:
        self.spelling = spelling
        kind, _, where = spelling.partition(":")
        if kind == "unix":
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(where)
        else:
            port, _, host = where.partition("@")
            self.socket = socket.socket(socket.AF_INET6 if kind == "inet6" else socket.AF_INET)
            self.socket.bind((host.strip("[]"), int(port)))
        self.socket.listen()


@pytest.fixture
def library() -> Iterator[Library]:
    made = Library()
    yield made
    made.socket.close()


def test_a_unix_socket(tmp_path: Path, library: Library) -> None:
    path = tmp_path / "m.sock"
    mask = os.umask(0)
    try:
        listening = Listening(f"unix:{path}", library.opens)
    finally:
        assert os.umask(mask) == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not os.get_blocking(library.socket.fileno())
    spelled = Path(library.spelling.removeprefix("unix:"))
    assert not spelled.exists()  # libmilter could not remove the file
    listening.remove()
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_unix_socket_is_given_to_the_group_of_its_folder(tmp_path: Path, library: Library) -> None:
    os.chown(tmp_path, -1, 12345)
    Listening(f"unix:{tmp_path}/m.sock", library.opens)
    assert (tmp_path / "m.sock").stat().st_gid == 12345


def test_over_ip_no_lone_packet_waits(library: Library) -> None:
    listening = Listening("127.0.0.1:0", library.opens)
    assert listening.name == library.socket.getsockname()
    assert library.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert not os.get_blocking(library.socket.fileno())
    assert library.spelling == "inet:0@127.0.0.1"


def test_over_ipv6(library: Library) -> None:
    Listening("[::1]:0", library.opens)
    assert library.spelling == "inet6:0@[::1]"


def test_what_a_dead_process_left_is_taken_over(tmp_path: Path, library: Library) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/m.sock")
    Listening(f"unix:{tmp_path}/m.sock", library.opens)


def test_what_somebody_listens_on_is_not(tmp_path: Path, library: Library) -> None:
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(f"{tmp_path}/m.sock")
        alive.listen()
        with pytest.raises(OSError, match="in use") as caught:
            Listening(f"unix:{tmp_path}/m.sock", library.opens)
        assert caught.value.filename == f"unix:{tmp_path}/m.sock"
        assert (tmp_path / "m.sock").exists()


@pytest.mark.parametrize("make", [lambda path: path.write_text("mail"), lambda path: path.mkdir()])
def test_what_is_no_socket_is_left_alone(tmp_path: Path, library: Library, make: Callable[[Path], None]) -> None:
    make(tmp_path / "m.sock")
    with pytest.raises(OSError, match="in use"):
        Listening(f"unix:{tmp_path}/m.sock", library.opens)
    assert (tmp_path / "m.sock").exists()


@pytest.mark.parametrize(
    ("address", "reason"), [("unix:/nowhere/m.sock", "No such file"), ("192.0.2.1:20000", "Cannot assign")]
)
def test_why_nobody_can_listen_is_said(address: str, reason: str, library: Library) -> None:
    with pytest.raises(OSError, match=reason) as caught:
        Listening(address, library.opens)
    assert caught.value.filename == address


@pytest.mark.parametrize("address", ["unix:@/m.sock", "127.0.0.1:0"])
def test_diverted_it_is_reached_by_nobody_but_us(address: str, tmp_path: Path, library: Library) -> None:
    listening = Listening(address.replace("@", str(tmp_path)), library.opens)
    with ExitStack() as stack:
        sharing = stack.enter_context(library.socket.dup())  # another worker's
        listening.divert()
        caller = stack.enter_context(socket.socket(sharing.family))
        caller.connect(listening.name)
        for _ in range(2):  # the other is a call of our own, to end a wait
            sharing.accept()[0].close()
        library.socket.accept()[0].close()  # as well
        with pytest.raises(BlockingIOError):
            library.socket.accept()
        listening.wake()
        library.socket.accept()[0].close()
