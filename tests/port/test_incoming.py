"""Large mail: into the spool and back out, with little memory, whatever the disk says."""

from __future__ import annotations

import itertools
import mmap
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock.filter.port import Limits
from penstock.filter.port.transparency import END, outgoing, unstuffed, unstuffing
from penstock.filter.spool import Spool, default_folder

LINES = b"..... the line of a large message, with a dot at its beginning .....\r\n"

octets = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"a"]), max_size=12).map(b"".join)


def stuffed(message: bytes) -> bytes:
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in message.split(b"\r\n"))


def spooled_files() -> list[str]:
    """The files without a name that this process holds open: a mapping keeps its own open."""
    links = []
    for number in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue                               # the one that listdir itself had open
    return [link for link in links if link.endswith("(deleted)") and "penstock-spool" in link]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "penstock-spool"
    folder.mkdir()
    return folder


@given(octets, st.data())
@settings(max_examples=300)
def test_unstuffing_in_blocks_is_unstuffing(message: bytes, data: st.DataObject) -> None:
    wire = b"\r\n" + stuffed(message + b"\r\n") + END[2:]
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=5))
    edges = [0, *sorted(cuts), len(wire)]
    pieces = list(unstuffing(wire[start:stop] for start, stop in itertools.pairwise(edges)))
    assert b"".join(pieces) == unstuffed(stuffed(message + b"\r\n")) == message + b"\r\n"


@pytest.mark.parametrize("above", [1, 2, 3, 4, 5, 20])
def test_cut_at_every_edge_into_the_spool(serve: Callable[..., Any], folder: Path, above: int) -> None:
    message = b"a: b\r\n\r\n.\r\n..\r\n.x\r\n\n.\r\n.\n\r.\r\rtext\r\n"
    port = serve(spool=Spool(folder, above))
    wire = stuffed(message) + b".\r\n"
    with port.smtp() as client:
        for cut in range(len(wire) + 1):
            assert client.ask("MAIL FROM:<>", "RCPT TO:<a@x.test>", "DATA")[-1].startswith("354")
            client.send(wire[:cut])
            client.send(wire[cut:] + b"NOOP\r\n")
            assert client.reply().startswith("250")
            assert client.reply() == "250 2.0.0 Ok"
    assert {bytes(arrival.message) for arrival in port.pipeline.arrivals} == {message}
    assert {type(arrival.message.raw) for arrival in port.pipeline.arrivals} == {mmap.mmap}


def test_from_the_configured_size_on(serve: Callable[..., Any], folder: Path) -> None:
    port = serve(spool=Spool(folder, 100_000))
    with port.lmtp() as client:
        for size in (90_000, 110_000, 3_000_000):
            assert client.mail("a@x.test", content=stuffed((LINES * 50_000)[: size - 2] + b"\r\n")).startswith("250")
    kinds = [type(arrival.message.raw) for arrival in port.pipeline.arrivals]
    assert kinds == [bytes, mmap.mmap, mmap.mmap]
    for arrival, letter in zip(port.pipeline.arrivals, port.sink.letters, strict=True):
        assert bytes(arrival.message) == letter.content
    assert os.listdir(folder) == []


def test_nothing_is_left_when_the_message_is_done(serve: Callable[..., Any], folder: Path) -> None:
    port = serve(spool=Spool(folder, 1000))
    with port.lmtp() as client:
        assert client.mail("a@x.test", content=stuffed(LINES * 100)).startswith("250")
        assert len(spooled_files()) == 1
        port.pipeline.arrivals.clear()
        assert client.ask("NOOP") == ["250 2.0.0 Ok"]
        assert spooled_files() == []


def test_too_big_for_the_limit_is_read_to_its_end(serve: Callable[..., Any], folder: Path) -> None:
    port = serve(Limits(message_size=100_000), spool=Spool(folder, 1000))
    with port.lmtp() as client:
        assert client.mail("a@x.test", "b@x.test", content=stuffed(LINES * 10_000)).startswith("552 5.3.4")
        assert client.reply().startswith("552 5.3.4")
        assert client.mail("a@x.test").startswith("250")
    assert spooled_files() == []


@contextmanager
def no_folder(folder: Path) -> Iterator[None]:
    folder.rmdir()
    yield
    folder.mkdir()


@contextmanager
def short_files(folder: Path) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "none", folder], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    yield
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("trouble", [no_folder, short_files, small_disk])
def test_no_room_is_452_and_the_session_goes_on(
    serve: Callable[..., Any], folder: Path, trouble: Any, caplog: pytest.LogCaptureFixture
) -> None:
    port = serve(spool=Spool(folder, 1_000_000))
    with port.lmtp() as client:
        with trouble(folder):
            assert client.mail("a@x.test", "b@x.test", content=stuffed(LINES * 50_000)).startswith("452 4.3.1")
            assert client.reply().startswith("452 4.3.1")
            assert client.mail("a@x.test").startswith("250")
        assert client.mail("a@x.test", content=stuffed(LINES * 50_000)).startswith("250")
    assert f"event=spool-failed folder={folder}" in caplog.text
    assert [len(arrival.message.raw) for arrival in port.pipeline.arrivals] == [18, 50_000 * len(LINES)]


def test_what_must_be_mended_is_not_kept_twice() -> None:
    source = b".\n" * 3_000_000                    # LF alone, and a dot on each line: all of it changes
    ready = outgoing([memoryview(source)])
    assert ready.size == 9_000_000
    for _ in range(2):                             # a second connection needs it again
        assert b"".join(ready.buffers) == b"..\r\n" * 3_000_000
    kept = [part for part in ready._parts if isinstance(part, bytes)]
    assert sum(map(len, kept)) < 5_000_000


def test_the_default_folder_is_the_services_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}:/var/lib/other")
    assert default_folder() == tmp_path
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/missing")
    assert default_folder() == Path("/var/tmp")
