"""Our Postfix's own Received fields: found on top, and not to be forged by what a stranger may choose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.filter.message import Message
from penstock.filter.received import OwnReceived, Pass, own_received

PEER = "mx.example.org"
BODY = b"Subject: x\r\n\r\nbody\r\n"


def smtpd(queue_id: str, protocol: str = "ESMTP", *, host: str = PEER, helo: str = "client.example.net") -> bytes:
    return (
        f"Received: from {helo} (unknown [192.0.2.1])\r\n"
        "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\r\n"
        "\t key-exchange X25519 server-signature RSA-PSS (2048 bits))\r\n"
        "\t(No client certificate requested)\r\n"
        f"\tby {host} (Postfix) with {protocol} id {queue_id}\r\n"
        "\tfor <bob@example.org>; Sun,  1 Mar 2026 12:00:00 +0000 (UTC)\r\n"
    ).encode()


def pickup(queue_id: str, uid: int = 1000, *, host: str = PEER) -> bytes:
    return f"Received: by {host} (Postfix, from userid {uid})\r\n\tid {queue_id}; Sun, 1 Mar 2026\r\n".encode()


def own(*fields: bytes, peer: str = PEER) -> OwnReceived:
    return own_received(Message(b"".join(fields) + BODY), peer)


def test_one_pass() -> None:
    found = own(smtpd("4ABC"), smtpd("FOREIGN", host="relay.example.net"), smtpd("4OLD"))
    assert found.passes == (Pass("4ABC", "ESMTP"),)
    assert (found.hops, found.queue_id) == (1, "4ABC")


def test_a_requeued_message_keeps_its_first_queue_id() -> None:
    found = own(pickup("4NEW", 109), smtpd("4OLD"))
    assert found.passes == (Pass("4NEW", None), Pass("4OLD", "ESMTP"))
    assert (found.hops, found.queue_id) == (1, "4OLD")


def test_a_second_pass_through_the_port() -> None:
    found = own(smtpd("4TWO"), b"X-Between: 1\r\n", pickup("4ONE"))
    assert (found.hops, found.queue_id) == (1, "4ONE")
    assert own(smtpd("4TWO"), smtpd("4ONE")).hops == 2


def test_nothing_of_our_own() -> None:
    for found in (own(), own(smtpd("1", host="elsewhere.example")), own(smtpd("1"), peer=""), own(b"Received: x\r\n")):
        assert found == OwnReceived(())
        assert (found.hops, found.queue_id) == (0, None)


@pytest.mark.parametrize(
    ("protocol", "authenticated"),
    [("SMTP", False), ("ESMTP", False), ("ESMTPS", False), ("ESMTPA", True), ("ESMTPSA", True), ("UTF8SMTPSA", True)],
)
def test_who_has_authenticated(protocol: str, authenticated: bool) -> None:
    assert [one.is_authenticated for one in own(smtpd("4A", protocol)).passes] == [authenticated]


def test_the_name_is_compared_without_case_and_line_ends_may_be_lf() -> None:
    assert own_received(Message((smtpd("4A") + BODY).replace(b"\r\n", b"\n")), "MX.Example.ORG").queue_id == "4A"


def test_without_a_recipient_the_date_follows_the_id() -> None:
    field = f"Received: from a (b [192.0.2.1])\r\n\tby {PEER} (Postfix) with SMTP id 4A; Sun, 1 Mar 2026\r\n".encode()
    assert own(field).passes == (Pass("4A", "SMTP"),)


@given(st.text(st.characters(exclude_categories=["C"], codec="utf-8")))
def test_no_helo_forges_a_pass(helo: str) -> None:
    forged = f"{helo} by {PEER} (Postfix) with ESMTPSA id 4EVIL"
    assert own(smtpd("4REAL", helo=forged)).passes == (Pass("4REAL", "ESMTP"),)
    assert own(smtpd("4REAL", helo=forged, host="other.example")).passes == ()


@pytest.mark.parametrize(
    "line",
    [
        "\tby {peer} (Postfix) with ESMTPSA id 4EVIL by x",
        " by {peer} (Postfix) with ESMTPSA id 4EVIL",
        "\t by {peer} (Postfix) with ESMTPSA id 4EVIL",
        "\tby {peer} (Postfix) with LMTPA id 4EVIL",
        "\tby {peer} (Postfix (x)) with ESMTPSA id 4EVIL",
        "\tby {peer}x (Postfix) with ESMTPSA id 4EVIL",
        "\tby x by {peer} (Postfix) with ESMTPSA id 4EVIL",
    ],
)
def test_what_postfix_does_not_write_is_not_its_own(line: str) -> None:
    field = f"Received: from a (b [192.0.2.1])\r\n{line.format(peer=PEER)}\r\n\tfor <x@example.org>; date\r\n"
    assert own(field.encode()).passes == ()


def test_the_uppermost_field_of_a_queue_id_decides() -> None:
    found = own(smtpd("4REAL"), smtpd("4REAL", "ESMTPSA"))
    assert found.first_with("4REAL") == Pass("4REAL", "ESMTP")
    assert found.first_with("4NONE") is None


@given(st.binary(max_size=200), st.text(max_size=10))
def test_nothing_is_raised(raw: bytes, peer: str) -> None:
    assert own_received(Message(raw), peer).hops == 0
    assert own_received(Message(b"Received: from " + raw), peer).hops <= 1
