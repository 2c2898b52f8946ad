"""Three recipients, three verdicts: over LMTP each has its reply, over SMTP there is one for all.

In the end the same has happened over both: one delivery, one notice to the sender, and one delivery when the
deferred recipient's time has come, whatever Postfix sent again in between.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from penstock.filter.testing.site import Site, smtp_session
from penstock.postfix.private import until

LETTER = b"From: ann@a.test\r\nSubject: three ways\r\nMessage-ID: <three@a.test>\r\n\r\nText\r\n"


@pytest.fixture(scope="module", params=["lmtp", "smtp"])
def site(request: pytest.FixtureRequest, make_site: Callable[..., Site]) -> Site:
    return make_site(wire=request.param)


def arrivals(site: Site) -> Counter[str]:
    return Counter(recipient for delivery in site.sink.deliveries for recipient in delivery.recipients)


def test_three_recipients_with_three_verdicts(site: Site) -> None:
    gate = site.folder / "gate"
    gate.unlink(missing_ok=True)
    site.submit("ann@a.test", ["accept@verdicts.test", "reject@verdicts.test", "defer@verdicts.test"], LETTER)

    until(lambda: arrivals(site)["accept@verdicts.test"] > 0, 30, site.log)
    queue = waiting(site, "Wait for the gate" if site.wire == "lmtp" else "Some recipients")
    [queued] = [item for item in queue if item["sender"] == "ann@a.test"]  # the notice may still be on its way
    assert "defer@verdicts.test" in {recipient["address"] for recipient in queued["recipients"]}
    until(lambda: site.postfix.log().count("status=deferred") > 2, 30, site.postfix.log_end)
    assert arrivals(site)["accept@verdicts.test"] == 1

    gate.touch()
    site.postfix.wait_empty()
    site.sink.wait(3)
    assert arrivals(site) == {"accept@verdicts.test": 1, "defer@verdicts.test": 1, "ann@a.test": 1}
    [notice] = [delivery for delivery in site.sink.deliveries if delivery.recipients == ("ann@a.test",)]
    assert notice.sender == ""
    assert b"multipart/report" in notice.content
    assert b"Refused by the test" in notice.content
    assert b"reject@verdicts.test" in notice.content


def waiting(site: Site, reason: str) -> list[dict[str, Any]]:
    """The queue once a delay there has this reason."""
    reasons = site.postfix.delay_reasons
    until(lambda: any(reason in text for text in reasons()), 30, lambda: f"{reasons()}\n{site.postfix.log_end()}")
    return site.postfix.queue()


def test_a_refused_stranger_is_held_and_gets_no_notice(site: Site) -> None:
    """Never backscatter: the sender of mail from outside may be forged."""
    site.submit("forged@victim.test", "reject@verdicts.test", LETTER, stranger=True)
    site.postfix.wait_empty()
    site.submit("forged@victim.test", "accept@verdicts.test", LETTER, stranger=True)
    site.sink.wait()
    assert arrivals(site) == {"accept@verdicts.test": 1}


def test_discarded_and_held_mail_is_settled_without_a_word(site: Site) -> None:
    site.submit("ann@a.test", ["discard@verdicts.test", "hold@verdicts.test"], LETTER)
    site.postfix.wait_empty()
    assert arrivals(site) == {}


def test_a_copy_for_one_recipient_is_rewritten_alone(site: Site) -> None:
    site.submit("ann@a.test", ["accept@verdicts.test", "stamp@verdicts.test"], LETTER, stranger=True)
    contents = {delivery.recipients: delivery.below_received(2) for delivery in site.sink.wait(2)}
    assert contents[("accept@verdicts.test",)] == LETTER
    assert contents[("stamp@verdicts.test",)] == LETTER.replace(b"\r\n\r\n", b"\r\nX-Stamp: seen\r\n\r\n")


def test_a_broken_handler_keeps_the_mail_in_the_queue(site: Site) -> None:
    site.submit("ann@a.test", "fail@verdicts.test", LETTER)
    [queued] = waiting(site, "A handler failed")
    assert site.postfix.queue()
    assert "this handler is broken" in site.log()
    site.postfix.delete(str(queued["queue_id"]))


def test_an_owned_domain_refuses_what_no_route_knows(owner: Site) -> None:
    with smtp_session(owner.port) as smtp:
        smtp.docmd("MAIL FROM:<ann@a.test>")
        code, text = smtp.docmd("RCPT TO:<nobody@verdicts.test>")
    assert (code, text[:5]) == (550, b"5.1.1")
    owner.submit("ann@a.test", "nobody@verdicts.test", LETTER)
    [bounce] = owner.sink.wait()
    assert (bounce.sender, bounce.recipients) == ("", ("ann@a.test",))
    assert b"5.1.1" in bounce.content


def test_mail_for_an_owned_domain_needs_no_content_filter(owner: Site) -> None:
    owner.sink.clear()
    owner.submit("ann@a.test", "box@verdicts.test", LETTER, port=owner.postfix.reinject_port)
    owner.postfix.wait_empty()
    assert "status=sent (250 2.0.0 Ok: held" in owner.postfix.log()


@pytest.fixture(scope="module")
def owner(make_site: Callable[..., Site]) -> Site:
    """A site that owns verdicts.test."""
    return make_site(owned=("verdicts.test",))
