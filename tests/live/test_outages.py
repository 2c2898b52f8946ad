"""What is down comes back: meanwhile Postfix keeps the mail, and afterwards each message arrives once."""

import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from penstock.filter.testing.site import Site
from penstock.postfix.private import greets, until

MESSAGES = 12


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


def send_all(site: Site) -> None:
    for number in range(MESSAGES):
        site.submit("ann@a.test", f"bob{number}@b.test", b"Subject: %d\r\n\r\nText\r\n" % number, stranger=True)


def wait_until_all_wait(site: Site, reason: str) -> None:
    """Until Postfix has tried each message once, and given that reason."""
    reasons = site.postfix.delay_reasons
    until(lambda: sum(reason in text for text in reasons()) == MESSAGES, 30, lambda: f"{reasons()}\n{site.log()}")


def assert_each_arrived_once(site: Site) -> None:
    site.sink.wait(MESSAGES)
    site.postfix.wait_empty()
    arrived = Counter(recipient for delivery in site.sink.deliveries for recipient in delivery.recipients)
    assert arrived == {f"bob{number}@b.test": 1 for number in range(MESSAGES)}


@pytest.fixture
def reinjection_down(site: Site) -> Iterator[Callable[[], None]]:
    """The way back is closed; call it to open it again."""
    site.postfix.reconfigure("-MX", f"127.0.0.1:{site.postfix.reinject_port}/inet")
    way_back = ("127.0.0.1", site.postfix.reinject_port)
    until(lambda: not greets(socket.AF_INET, way_back), 10, lambda: "the way back is still open")
    yield site.postfix.reconfigure
    site.postfix.reconfigure()


def test_reinjection_down_and_back(site: Site, reinjection_down: Callable[[], None]) -> None:
    send_all(site)
    wait_until_all_wait(site, "451 4.4.1")
    assert site.sink.deliveries == []
    reinjection_down()
    assert_each_arrived_once(site)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_filter_down_and_back(site: Site, how: signal.Signals) -> None:
    site.stop_service(how)
    send_all(site)
    wait_until_all_wait(site, "")
    assert site.sink.deliveries == []
    site.start_service()
    assert_each_arrived_once(site)


def test_an_orderly_stop_is_a_success(site: Site) -> None:
    assert site.stop_service() == 0
    assert not site.postfix.socket_path.exists()
    site.start_service()


def test_sink_down_and_back_is_no_matter_of_ours(site: Site) -> None:
    """Once reinjected, mail is Postfix's again: the filter sees it no second time."""
    site.sink.refuse("DOT", "451 4.3.1 Full")
    send_all(site)
    wait_until_all_wait(site, "Full")
    site.sink.relent()
    assert_each_arrived_once(site)


def test_postfix_restarts_under_the_filter(site: Site) -> None:
    pids = site.pids
    send_all(site)
    site.postfix.stop()
    site.postfix.start()
    site.sink.wait(MESSAGES)
    site.postfix.wait_empty()
    arrived = Counter(recipient for delivery in site.sink.deliveries for recipient in delivery.recipients)
    assert set(arrived) == {f"bob{number}@b.test" for number in range(MESSAGES)}
    assert max(arrived.values()) <= 2  # Postfix may be stopped between the sink's 250 and its own note of it (RFC 1047)
    assert site.pids == pids
