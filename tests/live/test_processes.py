"""Workers come and go under a Postfix that delivers: reloads are not seen at all, and nothing is lost to kill -9."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from penstock.filter.testing.site import Site

HANDLERS = 'handlers = ["penstock.handlers.policy"]\n'
MESSAGES = 500


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(filter=HANDLERS, milter=HANDLERS, service="workers = 2")


@contextmanager
def every_second(action: Callable[[], object]) -> Iterator[None]:
    over = threading.Event()

    def act() -> None:
        while not over.wait(1.0):
            action()

    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def send_all(site: Site) -> None:
    """smtp-source ends with an error where Postfix, asking the milter, does not take each message at once."""
    command = ["smtp-source", "-m", str(MESSAGES), "-s", "10", "-N", "-l", "3000", "-f", "ann@a.test"]
    subprocess.run([*command, "-t", "bob@b.test", f"127.0.0.1:{site.postfix.smtp_port}"], check=True, timeout=120)


def recipients(site: Site) -> list[str]:
    return [recipient for delivery in site.sink.deliveries for recipient in delivery.recipients]


def test_reloads_are_not_seen_at_all(site: Site) -> None:
    site.sink.clear()
    with every_second(lambda: os.kill(site.pid, signal.SIGHUP)):
        send_all(site)
        site.sink.wait(MESSAGES)
        site.postfix.wait_empty()
    assert len(set(recipients(site))) == len(site.sink.deliveries) == MESSAGES
    assert "status=deferred" not in site.postfix.log()
    assert site.log().count("reloaded: ") > 1


def test_nothing_is_lost_where_workers_are_killed(site: Site) -> None:
    """What had been given back to Postfix when its worker died may come twice: the window that the contract names."""
    site.sink.clear()
    site.postfix.reconfigure("-e", "smtpd_milters=")  # or the client is told 451, and what is lost then is its own

    def kill() -> None:
        for pid in site.pids[1:2]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    with every_second(kill):
        send_all(site)
    site.postfix.wait_empty(60)
    assert "event=worker-died" in site.log()
    assert len(set(recipients(site))) == MESSAGES
