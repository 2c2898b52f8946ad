"""Mail that no route matches: through Postfix, the filter and Postfix again, over either wire."""

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from penstock.filter.testing.sink import Delivery
from penstock.filter.testing.site import Site
from penstock.postfix.private import free_port, until

PLAIN = b"From: ann@a.test\r\nTo: bob@b.test\r\nSubject: plain\r\n\r\n.a dot\r\n..two dots\r\n.\r\nthe end\r\n"
MULTIPART = (
    b"From: ann@a.test\r\nSubject: two parts\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="=x"\r\n\r\npreamble\r\n--=x\r\n\r\none\r\n'
    b"--=x\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--=x--\r\n"
)
EIGHT_BIT = (
    b"Subject: gr\xfc\xdfe\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\nna\xefve \x80\xff " + b"\xe9" * 990 + b"\r\n"
)
DUMP_PORT = free_port()


@pytest.fixture(scope="module", params=["lmtp", "smtp"])
def site(request: pytest.FixtureRequest, make_site: Callable[..., Site]) -> Site:
    dump = f"inline:{{ {{ dump.test = sink:[127.0.0.1]:{DUMP_PORT} }} }}"
    return make_site(wire=request.param, extra_main={"transport_maps": dump})


def only(site: Site) -> Delivery:
    """The one delivery, after all is out of the queue."""
    site.sink.wait()
    site.postfix.wait_empty()
    [delivery] = site.sink.deliveries
    return delivery


@pytest.mark.parametrize("content", [PLAIN, MULTIPART], ids=["plain", "multipart"])
def test_it_arrives_octet_for_octet(site: Site, content: bytes) -> None:
    site.submit("ann@a.test", "bob@b.test", content, stranger=True)
    delivery = only(site)
    assert (delivery.sender, delivery.recipients) == ("ann@a.test", ("bob@b.test",))
    assert delivery.below_received(2) == content
    assert "by mx.penstock.test (Postfix)" in delivery.content.decode("latin-1")


def test_a_large_message_arrives_octet_for_octet(site: Site) -> None:
    """It lies in the spool, and leaves from its mapping."""
    content = PLAIN + b"..a line of a large message\r\n" * 200_000
    site.submit("ann@a.test", "bob@b.test", content, stranger=True)
    assert only(site).below_received(2) == content


def test_eight_bit_content_is_not_recoded(site: Site) -> None:
    site.submit("ann@a.test", "bob@b.test", EIGHT_BIT, mail=["BODY=8BITMIME"], stranger=True)
    delivery = only(site)
    assert delivery.mail_parameters["BODY"] == "8BITMIME"
    assert delivery.below_received(2) == EIGHT_BIT


def test_internationalized_addresses(site: Site) -> None:
    content = "From: ännchen@ä.test\r\nSubject: ünïcode\r\n\r\nGrüße\r\n".encode()
    recipient = "jörg@straße.test"
    site.submit("ännchen@ä.test", recipient, content, mail=["SMTPUTF8", "BODY=8BITMIME"], stranger=True)
    delivery = only(site)
    assert (delivery.sender, delivery.recipients) == ("ännchen@ä.test", (recipient,))
    assert "SMTPUTF8" in delivery.mail_parameters
    assert delivery.below_received(2) == content


def test_dsn_parameters_arrive_unchanged(site: Site) -> None:
    notify = ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;Bob+2BOld@b.test"]
    site.submit("ann@a.test", "bob@b.test", PLAIN, mail=["RET=HDRS", "ENVID=QQ+2B314"], rcpt=notify)
    delivery = only(site)
    assert (delivery.mail_parameters["RET"], delivery.mail_parameters["ENVID"]) == ("HDRS", "QQ+2B314")
    assert delivery.rcpt_parameters("bob@b.test") == {"NOTIFY": "SUCCESS,DELAY", "ORCPT": "rfc822;Bob+2BOld@b.test"}


def test_without_notify_none_is_made_up(site: Site) -> None:
    site.submit("ann@a.test", "bob@b.test", PLAIN)
    delivery = only(site)
    assert "NOTIFY" not in delivery.rcpt_parameters("bob@b.test")
    assert not {"RET", "ENVID"} & set(delivery.mail_parameters)


def test_the_null_sender_stays_null(site: Site) -> None:
    site.submit("", "bob@b.test", PLAIN, stranger=True)
    assert only(site).mail.startswith("<>")


def test_who_brought_it_is_told_to_the_way_back(site: Site) -> None:
    """XFORWARD: after the filter Postfix still knows the client, so its own log and policies see it."""
    site.submit("ann@a.test", "bob@b.test", PLAIN, stranger=True)
    only(site)
    accepted = [line for line in site.postfix.log().splitlines() if "reinject/smtpd" in line and " client=" in line]
    assert "orig_client=mail.stranger.test[192.0.2.25]" in accepted[-1]


def test_several_recipients_share_one_transaction(site: Site) -> None:
    recipients = [f"bob{number}@b.test" for number in range(7)]
    site.submit("ann@a.test", recipients, PLAIN)
    assert only(site).recipients == tuple(recipients)


def test_swaks_sends_an_attachment(site: Site, tmp_path: Path) -> None:
    octets = tmp_path / "octets.bin"
    octets.write_bytes(bytes(range(256)))
    server = ("--server", f"127.0.0.1:{site.postfix.smtp_port}")
    attachment = ("--attach-type", "image/x-test", "--attach", f"@{octets}")
    run("swaks", *server, "--from", "ann@a.test", "--to", "bob@b.test", *attachment)
    content = only(site).content
    assert b"image/x-test" in content
    assert b"AAECAwQFBgcICQ" in content


def test_smtp_source_and_nothing_is_lost_or_doubled(site: Site) -> None:
    source = ("smtp-source", "-N", "-m", "200", "-s", "10", "-l", "4000", "-f", "load@a.test", "-t", "bulk@b.test")
    run(*source, f"127.0.0.1:{site.postfix.smtp_port}")
    site.sink.wait(200)
    site.postfix.wait_empty()
    assert Counter(delivery.sender for delivery in site.sink.deliveries) == {"load@a.test": 200}
    assert len(site.sink.deliveries) == 200


def test_smtp_sink_dumps_what_was_sent(site: Site, smtp_sink: Path) -> None:
    """A second witness, not ours: Postfix's own."""
    site.submit("ann@a.test", "bob@dump.test", MULTIPART, stranger=True)
    site.postfix.wait_empty()
    until(lambda: any(smtp_sink.iterdir()), 10, lambda: "no dump")
    [dump] = smtp_sink.iterdir()
    ending_of_its_own = b"\n"
    assert dump.read_bytes().endswith(MULTIPART.replace(b"\r\n", b"\n") + ending_of_its_own)


@pytest.fixture
def smtp_sink(site: Site) -> Iterator[Path]:
    """A running smtp-sink; the folder that it dumps into."""
    folder = site.folder / "dumps"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    command = ["smtp-sink", "-u", "postfix", "-d", f"{folder}/%M.", f"127.0.0.1:{DUMP_PORT}", "10"]
    with subprocess.Popen(command) as process:
        yield folder
        process.terminate()


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
