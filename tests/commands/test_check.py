"""`penstock check`: every finding at once, each with what mends it, and nothing changed."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from penstock.filter.commands import findings
from penstock.filter.config import load
from penstock.filter.loading import load_routers

AT_RCPT = """
from penstock import Rcpt, at_rcpt

@at_rcpt
def early(rcpt: Rcpt):
    return None
"""

TELLING = """
import penstock as p

def _refuse():
    raise (lambda: p.Reject(550, "5.7.1", "No"))()

@p.stateless
def gate(mail):
    if mail.message.size > 10:
        _refuse()
"""

IN_A_PROPERTY = """
from penstock import Reject as No, stateless

class Rule:
    @property
    def verdict(self):
        return No(550, "5.7.1", "No")

@stateless
def gate(mail):
    return Rule().verdict
"""

HARMLESS = """
from penstock import stateless

@stateless
def look(mail):
    return None
"""


def found(penstock_in: Any, area: str, level: str) -> list[dict[str, str]]:
    report = penstock_in.json("check")
    return [each for each in report["findings"] if (each["area"], each["level"]) == (area, level)]


def test_all_is_well(penstock_in: Any) -> None:
    result = penstock_in("check")
    assert result.exit_code == 0
    assert f"✓ configuration {penstock_in.configuration}" in result.stdout
    assert "✓ domains       lists.test has routes" in result.stdout
    assert "✗" not in result.stdout


def test_nothing_is_made(penstock_in: Any) -> None:
    before = sorted(penstock_in.folder.rglob("*"))
    penstock_in("check")
    assert sorted(penstock_in.folder.rglob("*")) == before


def test_a_bad_configuration(penstock_in: Any) -> None:
    penstock_in.configuration.write_text("[service]\nhostnme = 1\n[filter]\ntimeout = 3\n")
    result = penstock_in("check")
    assert result.exit_code == 1
    assert result.stdout.count("✗ configuration") == 2
    assert result.stderr == "Error: 2 of these keep the service from working\n"


def test_bad_handlers_do_not_hide_a_bad_listener(penstock_in: Any) -> None:
    penstock_in.configure("penstock.handlers.nowhere", "nothing.here")
    text = penstock_in.configuration.read_text()
    penstock_in.configuration.write_text(text.replace("filter.sock", "missing/filter.sock"))
    assert len(found(penstock_in, "handlers", "error")) == 2
    (listener,) = found(penstock_in, "listen", "error")
    assert listener["mend"].startswith(f"mkdir {penstock_in.folder}/missing")


def test_a_state_that_is_gone(penstock_in: Any, in_store: Callable[..., None]) -> None:
    in_store("tea", "BREWING")
    in_store("tea", "BREWING", sender="bob@example.org")
    in_store("tea", "POSTING", sender="eve@example.org")
    (finding,) = found(penstock_in, "store", "error")
    assert finding["text"].startswith("2 conversations of tea in state BREWING")
    assert "define BREWING in" in finding["mend"]


def test_a_handler_that_is_gone(penstock_in: Any, in_store: Callable[..., None]) -> None:
    in_store("coffee", "BREWING")
    (finding,) = found(penstock_in, "store", "warning")
    assert "1 conversation of coffee" in finding["text"]


def test_a_store_that_is_no_database(penstock_in: Any) -> None:
    penstock_in.store_file.parent.mkdir()
    penstock_in.store_file.write_bytes(b"no database at all " * 100)
    (finding,) = found(penstock_in, "store", "error")
    assert "file is not a database" in finding["text"]


def test_a_store_that_cannot_be_made(penstock_in: Any) -> None:
    penstock_in.store_file.mkdir(parents=True)
    (finding,) = found(penstock_in, "store", "error")
    assert "Is a directory" in finding["text"]
    text = penstock_in.configuration.read_text("utf-8")
    for database in (":memory:", "file:a"):
        url = f"sqlite:///{database}"
        penstock_in.configuration.write_text(text.replace(f"sqlite:///{penstock_in.store_file}", url), "utf-8")
        (finding,) = found(penstock_in, "store", "error")
        assert "name a file" in finding["text"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else for a while")
def test_what_may_not_be_looked_at(penstock_in: Any) -> None:
    settings = load(penstock_in.configuration)
    routers = load_routers(settings)
    penstock_in.folder.chmod(0o700)
    os.seteuid(65534)
    try:
        told = [*findings.in_store(settings, routers), *findings.in_listeners(settings)]
    finally:
        os.seteuid(0)
    assert [(finding.level, finding.area) for finding in told] == [("error", "store"), ("error", "listen")]
    assert all("Permission denied" in finding.text for finding in told)


def test_a_spool_that_is_not_there(penstock_in: Any) -> None:
    penstock_in.configure("penstock.handlers.tea", filter='spool = "nowhere"')
    (finding,) = found(penstock_in, "spool", "error")
    assert finding["text"] == f"{penstock_in.folder}/nowhere cannot be used: No such file or directory"
    assert penstock_in("run").exit_code == 1


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="no tmpfs at /dev/shm")
def test_a_spool_in_memory(penstock_in: Any) -> None:
    penstock_in.configure("penstock.handlers.tea", filter='spool = "/dev/shm"')
    (finding,) = found(penstock_in, "spool", "warning")
    assert finding["text"].startswith("/dev/shm is a tmpfs")


def test_a_spool_too_small_for_one_message(penstock_in: Any) -> None:
    penstock_in.configure("penstock.handlers.tea", filter='spool = "."\nmessage_size_limit = "900000G"')
    (finding,) = found(penstock_in, "spool", "warning")
    assert "no room for one message of 900000G" in finding["text"]


def test_an_owned_domain_without_routes(penstock_in: Any) -> None:
    penstock_in.configure("penstock.handlers.tea", owned='"lists.test", "other.test"')
    (finding,) = found(penstock_in, "domains", "warning")
    assert finding["text"].startswith("other.test is owned")


@pytest.mark.parametrize(
    ("source", "words"),
    [(AT_RCPT, "never runs behind"), (TELLING, "may refuse mail"), (IN_A_PROPERTY, "may refuse mail")],
)
def test_what_will_not_do_all_that_it_says(penstock_in: Any, source: str, words: str) -> None:
    name = penstock_in.handler(source)
    (finding,) = found(penstock_in, "handlers", "warning")
    assert finding["text"].startswith(name)
    assert words in finding["text"]


def test_a_handler_that_refuses_nothing(penstock_in: Any) -> None:
    penstock_in.handler(HARMLESS)
    assert found(penstock_in, "handlers", "warning") == []


@pytest.mark.parametrize("source", [AT_RCPT, TELLING])
def test_at_both_doors_it_does_all_that_it_says(penstock_in: Any, source: str) -> None:
    name = penstock_in.module(source)
    penstock_in.configure(name, milter=[name])
    assert found(penstock_in, "handlers", "warning") == []
    told = [finding["text"] for finding in found(penstock_in, "handlers", "ok")]
    assert told[0] == f"loaded: {name}"
    assert told[1].startswith(f"previewed before the queue: {name}; ")


def test_a_handler_before_the_queue_alone(penstock_in: Any) -> None:
    name = penstock_in.module(HARMLESS)
    penstock_in.configure(milter=[name])
    told = [finding["text"] for finding in found(penstock_in, "handlers", "ok")]
    assert told == ["loaded: none", f"before the queue: {name}"]
    sockets = [finding["text"] for finding in found(penstock_in, "listen", "ok")]
    assert sockets == [f"unix:{penstock_in.folder}/{door}.sock" for door in ("filter", "milter")]


def test_a_preview_that_does_not_know_what_runs_before_it(penstock_in: Any) -> None:
    names = [penstock_in.module(TELLING), "penstock.handlers.tea", penstock_in.module(HARMLESS)]
    penstock_in.configure(*names, milter=["penstock.handlers.tea"])
    finding, _ = found(penstock_in, "handlers", "warning")
    assert finding["text"].startswith(f"tea is previewed before the queue without what {names[0]} does")
    penstock_in.configure(*names, milter=names[:2])
    assert found(penstock_in, "handlers", "warning") == []


def test_states_before_the_queue_alone(penstock_in: Any) -> None:
    penstock_in.configure(milter=["penstock.handlers.tea"])
    (finding,) = found(penstock_in, "handlers", "error")
    assert "tea has states (START, JOINING, POSTING) and tables of its own" in finding["text"]
    assert "name it in [filter] handlers too" in finding["text"]


def test_a_file_in_the_way_of_the_socket(penstock_in: Any) -> None:
    (penstock_in.folder / "filter.sock").touch()
    (finding,) = found(penstock_in, "listen", "error")
    assert "a file that is no socket" in finding["text"]


def test_nobody_takes_mail_back(penstock_in: Any) -> None:
    (finding,) = found(penstock_in, "reinject", "warning")
    assert "127.0.0.1:1 does not answer" in finding["text"]


@pytest.fixture
def greeter() -> Iterator[Callable[[bytes], str]]:
    """A server that says one thing; gives its address."""
    listening = socket.create_server(("127.0.0.1", 0))

    def start(banner: bytes) -> str:
        def greet() -> None:
            with listening.accept()[0] as connection:
                connection.sendall(banner)
                connection.recv(100)

        threading.Thread(target=greet, daemon=True).start()
        return f"127.0.0.1:{listening.getsockname()[1]}"

    yield start
    listening.close()


@pytest.mark.parametrize(("banner", "level"), [(b"220 mx ESMTP\r\n", "ok"), (b"554 go away\r\n", "warning")])
def test_who_greets_at_the_reinjection_port(
    penstock_in: Any, greeter: Callable[[bytes], str], banner: bytes, level: str
) -> None:
    text = penstock_in.configuration.read_text()
    penstock_in.configuration.write_text(text.replace("127.0.0.1:1", greeter(banner)))
    (finding,) = found(penstock_in, "reinject", level)
    assert banner.decode().strip() in finding["text"]
