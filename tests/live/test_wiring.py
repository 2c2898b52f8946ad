"""What the snippets promise, on a real Postfix."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from penstock.filter.testing.site import Site, smtp_session
from penstock.postfix.private import PostfixError, PrivatePostfix, free_port

LETTER = b"From: ann@a.test\r\nSubject: x\r\n\r\nText\r\n"


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(aliases={"team@b.test": "one@b.test two@b.test"}, owned=("verdicts.test",))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that user postfix can reach."""
    made = Path(tempfile.mkdtemp(prefix="penstock-live-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def test_postfix_understands_every_line(site: Site) -> None:
    shown = subprocess.run(
        ["postconf", "-c", str(site.postfix.config_directory), "-n"], capture_output=True, text=True, check=True
    )
    services = subprocess.run(
        ["postconf", "-c", str(site.postfix.config_directory), "-P"], capture_output=True, text=True, check=True
    )
    assert shown.stderr + services.stderr == ""


def test_addresses_are_mapped_once_and_after_the_filter(site: Site) -> None:
    site.submit("ann@a.test", "team@b.test", LETTER)
    site.postfix.wait_empty()
    arrived = sorted(recipient for delivery in site.sink.deliveries for recipient in delivery.recipients)
    assert arrived == ["one@b.test", "two@b.test"]
    assert "recipient=<team@b.test>" in site.log()
    assert "recipient=<one@b.test>" not in site.log()


def test_two_hundred_recipients_come_in_one_transaction(site: Site) -> None:
    recipients = [f"member{number}@b.test" for number in range(200)]
    site.submit("ann@a.test", recipients, LETTER)
    site.postfix.wait_empty()
    arrived = [recipient for delivery in site.sink.deliveries for recipient in delivery.recipients]
    assert sorted(arrived) == sorted(recipients)
    assert len(set(re.findall(r"recipient=<member\d+@b\.test>.* queued as (\w+)", site.log()))) == 1


def test_the_way_back_takes_more_than_the_way_in(site: Site) -> None:
    """A handler may add a footer to a message that is as large as Postfix allows."""
    with smtp_session(site.postfix.smtp_port) as way_in, smtp_session(site.postfix.reinject_port) as way_back:
        limit = int(way_in.esmtp_features["size"])
        assert int(way_back.esmtp_features["size"]) > limit
    content = LETTER + (b"x" * 998 + b"\r\n") * (limit // 1000 + 1000)
    site.submit("ann@a.test", "bob@b.test", content, port=site.postfix.reinject_port)
    assert len(site.sink.wait()[0].content) > limit


@pytest.mark.parametrize("end", [b"\n.\r\n", b"\r\n.\n", b"\n.\n", b"\r.\r\n", b"\r.\r"])
def test_nothing_is_smuggled_behind_a_bare_line_end(site: Site, end: bytes) -> None:
    """What follows such an end of data is text of the one message, at the port and at the way back."""
    smuggled = b"MAIL FROM:<evil@a.test>\r\nRCPT TO:<victim@b.test>\r\nDATA\r\nSubject: evil\r\n\r\nevil\r\n"
    with smtp_session(site.port) as smtp:
        smtp.mail("ann@a.test")
        smtp.rcpt("bob@b.test")
        smtp.docmd("DATA")
        smtp.send(LETTER + b"text" + end + smuggled + b".\r\n")
        assert smtp.getreply()[0] == 250
        assert smtp.noop()[0] == 250
    site.sink.wait()
    site.postfix.wait_empty()
    [delivery] = site.sink.deliveries
    assert delivery.recipients == ("bob@b.test",)
    assert b"RCPT TO:<victim@b.test>" in delivery.content


def test_a_stopped_postfix_leaves_no_process_and_keeps_its_queue(folder: Path) -> None:
    postfix = PrivatePostfix(folder / "postfix", sink=f"127.0.0.1:{free_port()}")
    with postfix:
        with smtp_session(postfix.smtp_port) as smtp:
            smtp.sendmail("ann@a.test", "bob@b.test", LETTER)
        assert len(postfix.queue()) == 1
    assert not postfix.is_running
    with postfix:
        assert [item["sender"] for item in postfix.queue()] == ["ann@a.test"]


def test_a_folder_that_postfix_cannot_reach_is_refused(folder: Path) -> None:
    folder.chmod(0o700)
    with pytest.raises(PostfixError, match="cannot pass through"):
        PrivatePostfix(folder / "postfix", sink="127.0.0.1:25").start()


def test_a_configuration_that_cannot_work_is_told_with_the_log(folder: Path) -> None:
    broken = {"smtpd_relay_restrictions": "permit"}
    with pytest.raises(PostfixError, match="smtpd_relay_restrictions"):
        PrivatePostfix(folder / "postfix", sink="127.0.0.1:25", extra_main=broken).start()
