"""Who may be told of a refusal: nobody whose address may be forged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.filter.authres import Result, parse, results
from penstock.filter.envelope import Client, Envelope
from penstock.filter.message import Message
from penstock.filter.verified import verified

PEER = "mx.example.org"
CORPUS = Path(__file__).parent.parent.parent / "shared" / "corpus"


def received(queue_id: str, protocol: str) -> str:
    by = f"by {PEER} (Postfix) with {protocol} id {queue_id}"
    return f"Received: from a (b [192.0.2.1])\r\n\t{by}\r\n\tfor <x@y>; date\r\n"


def asked(
    header: str,
    *,
    path: str = "ann@example.com",
    ident: str | None = "4A",
    source: str | None = "REMOTE",
    ids: str = PEER,
) -> str | None:
    envelope = Envelope(path, client=Client(ident=ident, source=source))
    return verified(envelope, Message(f"{header}Subject: x\r\n\r\nbody\r\n".encode()), PEER, ids.split())


def test_a_stranger_is_not_told() -> None:
    assert asked("") is None
    assert asked(received("4A", "ESMTPS")) is None


def test_a_local_sender_is_told() -> None:
    assert asked("", source="LOCAL") == "local"
    assert asked("", source=None) is None


def test_nobody_is_told_at_the_null_path() -> None:
    assert asked(received("4A", "ESMTPSA"), path="", source="LOCAL") is None


def test_a_client_that_authenticated_to_our_postfix_is_told() -> None:
    assert asked(received("4A", "ESMTPSA")) == "authenticated to our Postfix"
    assert asked(received("4B", "ESMTP") + received("4A", "ESMTPA")) == "authenticated to our Postfix"


def test_a_forged_received_field_does_not_help() -> None:
    assert asked(received("4A", "ESMTP") + received("4A", "ESMTPSA")) is None
    assert asked(received("4A", "ESMTPSA"), ident="4B") is None
    assert asked(received("4A", "ESMTPSA"), ident=None) is None
    assert asked(received("4A", "ESMTPSA").replace(PEER, "evil.example")) is None


def authres(text: str, authserv_id: str = PEER) -> str:
    return f"Authentication-Results: {authserv_id}{text}\r\n"


@pytest.mark.parametrize(
    "text",
    [
        "; dmarc=pass header.from=example.com",
        "; dmarc=pass (p=reject dis=none) header.from=example.com",
        " 1; spf=pass smtp.mailfrom=ann@example.com;\r\n\tdkim=pass header.d=example.com header.b=ab/c+d=;"
        "\r\n\tDMARC=Pass header.from=Example.COM.",
        '; dmarc/1 = pass (a (b \\) ; dmarc=fail) c) reason="aligned; dkim" header.from = "example.com"',
        "; auth=pass smtp.auth=ann",
        " (our own); auth=pass",
    ],
)
def test_a_trusted_result_is_believed(text: str) -> None:
    assert asked(authres(text)) is not None
    assert asked(authres(text, "evil.example")) is None
    assert asked(authres(text), ids="") is None


@pytest.mark.parametrize(
    "text",
    [
        "; none",
        "; dmarc=fail header.from=example.com",
        "; dmarc=pass",
        "; dmarc=pass header.from=",
        "; dmarc=pass header.from=example.net",
        "; dmarc=pass header.from=sub.example.com",
        "; dmarc=pass header.from=com",
        "; dmarc=pass header.from=ample.com",
        "; dkim=pass header.d=example.com",
        "; spf=pass smtp.mailfrom=ann@example.com",
        "; dmarc=pass header.from=example.com; dmarc=fail header.from=example.com",
        "; auth=pass; auth=fail",
        "; spf=fail (dmarc=pass header.from=example.com)",
        '; spf=fail smtp.mailfrom="; dmarc=pass header.from=example.com"',
        '; spf=fail smtp.helo="\\"; auth=pass; x=\\""',
        "; spf=fail smtp.mailfrom=a\u00a0; auth=\u00a0pass",
        "; dmarc=pass smtp.mailfrom=a\u2028header.from=example.com",
        "; dmarc=pass smtp.mailfrom=a\x1fheader.from=example.com",
        "; spf=fail smtp.mailfrom==?us-ascii?q?a=3B_auth=3Dpass?=",
        "; spf=fail smtp.mailfrom==?us-ascii?q?a=22=3B?= ; x=y (=?us-ascii?q?=29=3B_auth=3Dpass?=)",
        '; auth=pass (unclosed',
        '; auth=pass "unclosed',
        "; auth=pass )",
        "; auth",
        "; =pass",
        "; auth==pass; ;auth=pass =",
        " 1 2; auth=pass",
        "auth=pass",
    ],
)  # fmt: skip
def test_anything_else_is_not(text: str) -> None:
    assert asked(authres(text)) is None


def test_an_authserv_id_that_only_looks_the_same_is_another() -> None:
    assert asked(authres("; auth=pass", "k.example"), ids="k.example")
    assert asked(authres("; auth=pass", "\u212a.example"), ids="k.example") is None


def test_results_that_differ_say_no() -> None:
    good, bad = authres("; dmarc=pass header.from=example.com"), authres("; dmarc=fail header.from=example.com")
    assert asked(good)
    assert asked(good + good)
    assert asked(good + bad) is None
    assert asked(bad + good) is None
    assert asked(good + authres("; dmarc=fail", "evil.example"))


def test_a_subdomain_of_the_author_may_be_the_return_path() -> None:
    assert asked(authres("; dmarc=pass header.from=example.com"), path="b+x@bounces.example.com")
    assert asked(authres("; dmarc=pass header.from=bücher.example"), path="b@xn--bcher-kva.example")
    assert asked(authres("; dmarc=pass header.from=xn--bcher-kva.example"), path="b@bücher.example")
    assert asked(authres("; dmarc=pass header.from=example.com"), path="ann") is None


def test_a_field_taken_apart() -> None:
    raw = (
        b' example.com 1 (x); spf=pass (sender ok) reason="a; b" smtp.mailfrom="a b"@example.net;'
        b" dkim=none; arc=fail header.d=a"
    )
    assert parse(raw) == (
        "example.com",
        (
            Result("spf", "pass", {"reason": "a; b", "smtp.mailfrom": "a b@example.net"}),
            Result("dkim", "none", {}),
            Result("arc", "fail", {"header.d": "a"}),
        ),
    )


def test_the_first_of_two_equal_properties_counts() -> None:
    found = parse(b"a; dmarc=pass header.from=x.example header.from=y.example")
    assert found == ("a", (Result("dmarc", "pass", {"header.from": "x.example"}),))


@given(st.binary(max_size=120))
def test_nothing_is_raised(raw: bytes) -> None:
    parse(raw)
    parse(b"mx.example.org; dmarc=" + raw)


@pytest.mark.parametrize("unit", ["(", ";", '"', "\\", "a=b ", "a=b;", "a ", "=", '("', '\\"', "a/1 =", "/"])
def test_long_fields_take_linear_time(unit: str) -> None:
    parse(b"a; b=" + unit.encode() * 50_000)
    parse(b"a; b=c " + unit.encode() * 50_000 + b"\0")


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
def test_the_corpus_holds_fields_that_are_read() -> None:
    paths = [path for path in CORPUS.rglob("*.eml") if path.is_file()]
    messages = [Message(path.read_bytes()) for path in paths]
    raws = [f.raw.partition(b":")[2] for m in messages for f in m.fields if f.name.lower() == "authentication-results"]
    read = [found for raw in raws if (found := parse(raw))]
    assert len(read) > len(raws) // 2 > 0
    ids = {found[0] for found in read}
    assert any(results(message, ids, "dmarc") for message in messages)
