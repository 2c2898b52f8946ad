"""The milter door on a real Postfix."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import smtplib
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from penstock.filter.testing.sink import Delivery
from penstock.filter.testing.site import Site, post, smtp_session
from penstock.postfix.private import free_port, until

LETTER = b"From: ann@a.test\r\nSubject: x\r\n\r\nText\r\n"
PLAIN_PORT = free_port()
SERVICES = f"""\
tlsmgr  unix  -  -  n  1000?  1  tlsmgr
127.0.0.1:{PLAIN_PORT}  inet  n  -  n  -  -  smtpd
    -o smtputf8_enable=no
    -o local_header_rewrite_clients=
"""
REFUSAL = b"Not at 100%, %{macro}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and its certificate in one file."""
    pem = tmp_path_factory.mktemp("tls") / "mx.pem"
    subject = ("-subj", "/CN=mx.penstock.test", "-days", "2", "-nodes")
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-keyout", str(pem), "-out", f"{pem}.crt", *subject)
    pem.write_bytes(pem.read_bytes() + Path(f"{pem}.crt").read_bytes())
    return pem


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site], certificate: Path) -> Site:
    parameters = {
        "smtpd_tls_security_level": "may",
        "smtpd_tls_chain_files": str(certificate),
        "inet_protocols": "all",
        "mynetworks": "0.0.0.0/0, [::]/0",
        "header_size_limit": "2000000",
    }
    return make_site(
        "", milter='handlers = ["asked"]', extra_main=parameters, extra_master=SERVICES,
        service=f'path = ["{Path(__file__).parent / "handlers"}"]\nhandler_time_limit = "2s"\nworkers = 2',
    )  # fmt: skip


def only(site: Site) -> Delivery:
    """The one delivery, after all is out of the queue."""
    site.sink.wait()
    site.postfix.wait_empty()
    [delivery] = site.sink.deliveries
    return delivery


def told(delivery: Delivery) -> dict[str, Any]:
    """What the handler tells of what it saw, by the names of its fields."""
    unfolded = re.sub(rb"\r\n(?=[ \t])", b"", delivery.content.partition(b"\r\n\r\n")[0])
    fields = dict(line.split(b":", 1) for line in unfolded.split(b"\r\n") if line.startswith(b"X-"))
    return {
        name.decode()[2:].lower(): value.decode().strip() if name == b"X-Seen" else json.loads(value)
        for name, value in fields.items()
        if name not in (b"X-Do", b"X-Long", b"X-Nul")
    }


def digest(content: bytes) -> str:
    return f"{len(content)} {hashlib.sha256(content).hexdigest()}"


def untold(delivery: Delivery) -> bytes:
    """What went on into the queue, without what the handler has added at the end of its header."""
    content = delivery.below_received(2)
    start = content.index(b"X-Seen:")
    return content[:start] + content[content.index(b"\r\n\r\n", start) + 2 :]


# -- sessions


def test_a_session_of_several_messages_with_resets_between(site: Site) -> None:
    with smtp_session(site.postfix.smtp_port) as smtp:
        for number in range(4):
            content = LETTER + b"number %d\r\n" % number
            smtp.docmd("MAIL FROM:<lost@a.test>")
            smtp.docmd("RCPT TO:<lost@b.test>")
            smtp.rset()
            post(smtp, f"ann{number}@a.test", [f"bob{number}@b.test"], content)
            smtp.docmd("MAIL FROM:<lost@a.test>")
            smtp.rset()
            smtp.rset()
    for delivery in site.sink.wait(4):
        number = int(delivery.sender[3])
        content = LETTER + b"number %d\r\n" % number
        assert delivery.recipients == (f"bob{number}@b.test",)
        assert told(delivery)["recipients"] == [{"address": f"bob{number}@b.test"}]
        assert int(told(delivery)["seen"].split()[0]) > len(content)  # Postfix has added Date and Message-ID
    assert len(site.sink.deliveries) == 4


def test_a_message_that_is_broken_off_leaves_nothing_behind(site: Site) -> None:
    for _ in range(3):
        with smtp_session(site.postfix.smtp_port) as smtp:
            smtp.docmd("MAIL FROM:<lost@a.test>")
            smtp.docmd("RCPT TO:<bob@b.test>")
            smtp.docmd("DATA")
            smtp.send(LETTER)
            assert smtp.sock is not None
            smtp.sock.shutdown(socket.SHUT_RDWR)
            smtp.close()
    site.submit("ann@a.test", "bob@b.test", LETTER, stranger=True)
    assert told(only(site))["seen"] == digest(LETTER)


def test_a_client_that_pipelines(site: Site) -> None:
    with smtp_session(site.postfix.smtp_port) as smtp:
        smtp.send(
            b"MAIL FROM:<ann@a.test>\r\nRCPT TO:<refused@b.test>\r\nRCPT TO:<bob@b.test>\r\nRCPT TO:<later@b.test>\r\n"
            b"RSET\r\nMAIL FROM:<carl@a.test>\r\nRCPT TO:<dan@b.test>\r\nRCPT TO:<refused@b.test>\r\nDATA\r\n"
        )
        codes = [smtp.getreply()[0] for _ in range(9)]
        smtp.send(LETTER + b".\r\nMAIL FROM:<eve@a.test>\r\nRCPT TO:<fay@b.test>\r\nDATA\r\n")
        codes += [smtp.getreply()[0] for _ in range(4)]
        smtp.send(LETTER + b".\r\n")
        codes.append(smtp.getreply()[0])
    assert codes == [250, 550, 250, 450, 250, 250, 250, 550, 354, 250, 250, 250, 354, 250]
    site.sink.wait(2)
    site.postfix.wait_empty()
    assert {(delivery.sender, delivery.recipients) for delivery in site.sink.deliveries} == {
        ("carl@a.test", ("dan@b.test",)),
        ("eve@a.test", ("fay@b.test",)),
    }


def test_fifty_senders_at_once(site: Site) -> None:
    source = ("smtp-source", "-N", "-m", "500", "-s", "50", "-l", "4000", "-f", "load@a.test", "-t", "bulk@b.test")
    run(*source, f"127.0.0.1:{site.postfix.smtp_port}")
    site.sink.wait(500)
    site.postfix.wait_empty()
    assert len(site.sink.deliveries) == 500
    assert all("seen" in told(delivery) for delivery in site.sink.deliveries)


# -- answers


def test_each_recipient_has_its_reply(site: Site) -> None:
    with smtp_session(site.postfix.outside_port, stranger=True) as smtp:
        smtp.docmd("MAIL FROM:<ann@a.test>")
        words = ("bob", "refused", "dropped", "later", "carl")
        replies = [smtp.docmd(f"RCPT TO:<{word}@b.test>") for word in words]
        smtp.docmd("DATA")
        smtp.send(LETTER + b".\r\n")
        assert smtp.getreply()[0] == 250
    assert [code for code, _ in replies] == [250, 550, 250, 450, 250]
    assert replies[1] == (550, b"5.7.1 " + REFUSAL + b"\n5.7.1 nor at 50 %")
    delivery = only(site)
    assert delivery.recipients == ("bob@b.test", "carl@b.test")
    assert told(delivery)["recipients"] == [{"address": "bob@b.test"}, {"address": "carl@b.test"}]


def test_when_all_recipients_are_dropped_the_message_is(site: Site) -> None:
    site.submit("ann@a.test", ["dropped@b.test", "dropped@c.test"], LETTER)
    site.submit("ann@a.test", "bob@b.test", LETTER)
    assert only(site).recipients == ("bob@b.test",)


def test_a_refusal_is_said_in_its_own_words(site: Site) -> None:
    with pytest.raises(smtplib.SMTPResponseException) as caught:
        site.submit("ann@a.test", "bob@b.test", b"X-Do: refuse\r\n" + LETTER, stranger=True)
    assert (caught.value.smtp_code, caught.value.smtp_error) == (554, b"5.7.1 " + REFUSAL + b"\n5.7.1 nor at 50 %")
    with pytest.raises(smtplib.SMTPResponseException) as caught:
        site.submit("ann@a.test", "bob@b.test", b"X-Do: defer\r\n" + LETTER, stranger=True)
    assert (caught.value.smtp_code, caught.value.smtp_error) == (451, b"4.7.1 Later")
    assert site.postfix.queue() == []


def test_a_discarded_message_goes_nowhere(site: Site) -> None:
    site.submit("ann@a.test", "bob@b.test", b"X-Do: discard\r\n" + LETTER)
    site.submit("ann@a.test", "bob@b.test", LETTER)
    assert b"X-Do" not in only(site).content
    assert "milter-discard" in site.postfix.log()


def test_a_held_message_waits_in_postfixs_hold_queue(site: Site) -> None:
    site.submit("ann@a.test", "bob@b.test", b"X-Do: hold for Monday\r\n" + LETTER)
    until(lambda: [item["queue_name"] for item in site.postfix.queue()] == ["hold"], 10, site.postfix.log_end)
    assert "milter-hold" in site.postfix.log()
    assert 'reason="for Monday"' in site.log()  # Postfix does not keep it
    run("postsuper", "-c", str(site.postfix.config_directory), "-H", "ALL")
    assert only(site).recipients == ("bob@b.test",)


def test_a_new_body(site: Site) -> None:
    body = b"Text\r\n" + (b"y" * 70 + b"\r\n") * 3000
    site.submit("ann@a.test", "bob@b.test", b"X-Do: footer the end\r\n\r\n" + body, stranger=True)
    new = only(site).content.partition(b"\r\n\r\n")[2]
    assert digest(new) == digest(body + b"the end\r\n")


def test_a_handler_that_takes_too_long_is_a_451_and_its_stack_is_in_the_log(site: Site) -> None:
    with pytest.raises(smtplib.SMTPResponseException) as caught:
        site.submit("ann@a.test", "bob@b.test", b"X-Do: sleep 5\r\n" + LETTER, stranger=True)
    assert (caught.value.smtp_code, caught.value.smtp_error[:6]) == (451, b"4.3.0 ")
    assert "time.sleep(float(seconds))" in site.log()
    site.submit("ann@a.test", "bob@b.test", LETTER)
    only(site)


# -- facts


def test_who_the_client_is(site: Site) -> None:
    with smtp_session(site.postfix.outside_port) as smtp:
        smtp.docmd("XCLIENT NAME=mail.stranger.test ADDR=192.0.2.25 PORT=12345 LOGIN=ann@a.test")
        smtp.ehlo("their.name.test")
        post(smtp, "ann@a.test", ["bob@b.test"], LETTER, ["SIZE=100", "RET=HDRS", "ENVID=a+2Bb"], ["NOTIFY=NEVER"])
    facts = told(only(site))
    queue_id = facts.pop("ident")
    assert f"{queue_id}: client=mail.stranger.test[192.0.2.25]" in site.postfix.log()
    assert facts.pop("mechanism")
    assert facts == {
        "name": "mail.stranger.test", "address": "192.0.2.25", "port": "12345", "protocol": "ESMTP",
        "helo": "their.name.test", "login": "ann@a.test", "seen": digest(LETTER), "size": 100, "ret": "HDRS",
        "envid": "a+2Bb", "reverse-path": "ann@a.test", "recipients": [{"address": "bob@b.test", "notify": "NEVER"}],
    }  # fmt: skip


def test_over_ipv6_and_without_a_name(site: Site) -> None:
    with smtp_session(site.postfix.outside_port) as smtp:
        smtp.docmd("XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::25")
        smtp.ehlo("their.name.test")
        post(smtp, "", ["bob@b.test"], LETTER)
    facts = told(only(site))
    assert (facts["address"], facts["reverse-path"]) == ("2001:db8::25", "")
    assert "name" not in facts
    assert "login" not in facts


def test_tls_is_told(site: Site) -> None:
    with smtplib.SMTP("127.0.0.1", site.postfix.outside_port, "client.test", timeout=30) as smtp:
        smtp.starttls(context=_trusting())
        smtp.ehlo()
        post(smtp, "ann@a.test", ["bob@b.test"], LETTER)
    facts = told(only(site))
    assert facts["tls"].startswith("TLSv1.")
    assert facts["cipher"]
    assert facts["protocol"] == "ESMTP"


def test_mail_submitted_on_the_host(site: Site) -> None:
    """Its recipients are not refused, since nobody could be told; its sender can be told of the rest by a bounce."""
    command = ["sendmail", "-C", str(site.postfix.config_directory), "-f", "ann@a.test", "refused@b.test", "bob@b.test"]
    subprocess.run(command, input=LETTER.replace(b"\r\n", b"\n"), check=True, timeout=30)
    delivery = only(site)
    assert set(delivery.recipients) == {"refused@b.test", "bob@b.test"}
    assert (told(delivery)["source"], told(delivery)["address"]) == ("LOCAL", "127.0.0.1")
    assert told(delivery)["reverse-path"] == "ann@a.test"


def test_mail_submitted_on_the_host_and_refused_comes_back(site: Site) -> None:
    command = ["sendmail", "-C", str(site.postfix.config_directory), "-f", "ann@a.test", "bob@b.test"]
    subprocess.run(command, input=b"X-Do: refuse\n" + LETTER.replace(b"\r\n", b"\n"), check=True, timeout=30)
    delivery = only(site)
    assert (delivery.sender, delivery.recipients) == ("", ("ann@a.test",))


# -- octets


@pytest.mark.parametrize(
    "content",
    [
        b"Subject:x\r\nTo:   bob\r\n\tand more\r\n \r\nX:\r\n\r\nText\r\n",
        b"Subject: gr\xfc\xdfe\r\nX: \xff\xfe\r\n\r\nna\xefve\r\n",
        b"Subject: \x01\x7f\r\n\r\nText\r\n",
        b"Subject: x\r\n\r\n",
        b"\r\nno header\r\n",
        b"Subject: x\r\n\r\n\0 and \0\r\n.\r\n..\r\n" + b"long " * 400 + b"\r\n",
        b"Subject: x\r\n\r\n" + b"large " * 3_000_000 + b"\r\n",
    ],
    ids=["spaces", "8-bit", "control", "no body", "no header", "body", "18 MB"],
)
def test_the_message_is_seen_octet_for_octet(site: Site, content: bytes) -> None:
    site.submit("ann@a.test", "bob@b.test", content, stranger=True)
    delivery = only(site)
    assert told(delivery)["seen"] == digest(content) == digest(untold(delivery))


@pytest.mark.parametrize(
    "start",
    [
        b"Subject: a\rb\r\n",
        b"X-Nul: one\0two\r\n",
        "Sübject: not a field\r\n".encode(),
        b"Subject : x\r\n",
        b"X-Long: " + b" ".join([b"x" * 79] * 900) + b"\r\n",
        b"X-Long: " + b"\r\n ".join([b"x" * 79] * 1280) + b"\r\n",
        b"X-Long: " + b"x" * 1_000_000 + b"\r\n",
        b"X-Long: y\r\n" * 100_000,
    ],
    ids=["CR", "NUL", "8-bit name", "space before colon", "72 kB", "102,400", "1 MB", "100,000 fields"],
)
def test_what_postfix_alters_is_seen_as_it_goes_on(site: Site, start: bytes) -> None:
    """To Postfix a CR is white space, NUL and 60,000 octets end a field, and what is no field ends the header."""
    site.submit("ann@a.test", "bob@b.test", start + LETTER, stranger=True)
    delivery = only(site)
    assert told(delivery)["seen"] == digest(untold(delivery))


def test_a_name_in_helo_that_is_no_utf8(site: Site) -> None:
    """Postfix refuses it where it speaks SMTPUTF8; where it does not, nothing is taken in that session."""
    with smtp_session(site.postfix.outside_port) as smtp:
        smtp.send(b"EHLO \xff\xfe\r\n")
        assert smtp.getreply()[0] == 500
    with smtp_session(PLAIN_PORT) as smtp:
        smtp.send(b"EHLO \xff\xfe\r\n")
        assert smtp.getreply()[0] == 250
        assert smtp.docmd("MAIL FROM:<ann@a.test>")[0] == 451
    assert "event=unreadable" in site.log()
    site.submit("ann@a.test", "bob@b.test", LETTER, port=PLAIN_PORT)
    assert told(only(site))["helo"] == "client.penstock.test"


def test_recipients_in_utf8(site: Site) -> None:
    site.submit("ann@a.test", "jörg@straße.test", LETTER, mail=["SMTPUTF8"])
    assert told(only(site))["recipients"] == [{"address": "jörg@straße.test"}]


def test_recipients_in_latin_1_postfix_refuses_itself(site: Site) -> None:
    for port, code in ((site.postfix.outside_port, 500), (PLAIN_PORT, 501)):
        with smtp_session(port) as smtp:
            smtp.docmd("MAIL FROM:<ann@a.test>")
            smtp.send(b"RCPT TO:<j\xf6rg@b.test>\r\n")
            assert smtp.getreply()[0] == code


# -- the end


def test_a_session_in_progress_at_sigterm_finishes(site: Site) -> None:
    with smtp_session(site.postfix.outside_port) as smtp:
        smtp.docmd("MAIL FROM:<ann@a.test>")
        smtp.docmd("RCPT TO:<bob@b.test>")
        stopping = threading.Thread(target=site.stop_service)
        stopping.start()
        until(lambda: not _is_served(site), 20, site.log)
        smtp.docmd("DATA")
        smtp.send(LETTER + b".\r\n")
        assert smtp.getreply()[0] == 250
    stopping.join(30)
    assert not stopping.is_alive()
    site.start_service()
    assert told(only(site))["seen"].split()[0] != "0"


def test_while_the_service_is_down_mail_waits_with_its_client(site: Site) -> None:
    site.stop_service(signal.SIGKILL)
    until(lambda: _is_deferred(site), 40, site.log)  # its workers leave as soon as they miss it
    site.start_service()
    site.submit("ann@a.test", "bob@b.test", LETTER)
    only(site)


def _is_served(site: Site) -> bool:
    """Whether a new connection to the milter is taken, now that it is drained: it is left to wait."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        connection.connect(str(site.postfix.milter_path))
        connection.sendall(struct.pack("!LcLLL", 13, b"O", 6, 0x1FF, 0x1FFFFF))
        try:
            return bool(connection.recv(1))
        except TimeoutError:
            return False


def _is_deferred(site: Site) -> bool:
    try:
        with smtp_session(site.postfix.outside_port) as smtp:
            return smtp.mail("ann@a.test")[0] == 451
    except smtplib.SMTPServerDisconnected:
        return True


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
