"""Held mail is released beside the running service, and is in the sink once; what Postfix refuses is held again."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from penstock.filter.testing.site import Site, penstock
from penstock.postfix.private import until

LETTER = (
    b"From: ann@a.test\r\nSubject: a stranger\r\nMessage-ID: <held@a.test>\r\nDate: Mon, 5 Jan 2026 09:00:00 +0000\r\n"
    b"To: bob@b.test\r\n\r\n.\r\nText \xff\r\n"
)


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


def held(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(site, "held", "list", "--json"))
    return found


def run(site: Site, *arguments: str) -> str:
    """What a command prints, beside the service. Raises CalledProcessError where it fails."""
    command = [*penstock(), "--config", str(site.configuration), *arguments]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8", timeout=60).stdout


def test_around_the_handlers_it_goes_as_it_came(site: Site) -> None:
    site.submit("ann@a.test", "hold@verdicts.test", LETTER, rcpt=["NOTIFY=FAILURE,DELAY"])
    until(lambda: bool(held(site)), 30, site.log)
    [mail] = held(site)
    assert (mail["reason"], mail["recipients"]) == ("by the test", ["hold@verdicts.test"])
    with pytest.raises(subprocess.CalledProcessError):
        run(site, "held", "release", str(mail["number"]))
    [mail] = held(site)
    assert mail["reason"] == "verdicts holds it: by the test"
    run(site, "held", "release", str(mail["number"]), "--around")
    assert held(site) == []
    [delivery] = site.sink.wait(1)
    assert delivery.recipients == ("hold@verdicts.test",)
    assert delivery.rcpt_parameters("hold@verdicts.test")["NOTIFY"] == "FAILURE,DELAY"
    assert delivery.below_received(2) == LETTER
    assert json.loads(run(site, "outbox", "list", "--json")) == []


def test_what_postfix_refuses_is_held_again(site: Site) -> None:
    site.submit("ann@a.test", "hold@verdicts.test", LETTER)
    until(lambda: bool(held(site)), 30, site.log)
    run(site, "held", "release", "--all", "--to", "no such@address")
    until(lambda: bool(held(site)), 30, site.log)
    [again] = held(site)
    assert again["refused_by_postfix"]
    assert again["reason"].startswith("a letter could not be delivered: 5")
    assert site.sink.deliveries == []
    run(site, "held", "release", str(again["number"]), "--to", "box@elsewhere.test")
    assert [delivery.recipients for delivery in site.sink.wait(1)] == [("box@elsewhere.test",)]
