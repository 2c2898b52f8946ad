"""policy: ordered rules, of which the first that holds decides, for each recipient by itself."""

import re
import tomllib
from pathlib import Path

import pytest
from penstock import Client, Envelope, Message
from penstock.filter.config import ConfigError, options
from penstock.filter.reference import as_table, describe
from penstock.handlers.policy import Options, Rule

HANDLER = "penstock.handlers.policy"
PAGE = (Path(__file__).parents[2] / "docs" / "handlers" / "policy.md").read_text("utf-8")
ANN, BOB = "ann@example.org", "bob@example.org"
EVE = {"name": "mail.eve.example", "address": "192.0.2.66", "helo": "eve", "source": "REMOTE"}
MESSAGE = (
    b"From: eve@example.net\r\nTo: ann@example.org\r\nSubject: Buy now\r\nX-Mailer: Bulk 3.1\r\n"
    b"X-Spam-Score: 7.5\r\n\r\nHello\r\n"
)


def site(*rules, handlers=(HANDLER,), **more):
    table = {"rules": [{"name": f"rule {n}", **rule} for n, rule in enumerate(rules, 1)], **more}
    border = {"authserv_ids": ["mx.test"]}
    return pytest.mark.penstock(handlers=list(handlers), options={"policy": table}, filter=border)


def send(penstock, *to, sender="eve@example.net", raw=MESSAGE, **client):
    """Eve's mail. It comes through our own border, which vouches for her, so that refusals are told."""
    told = Client(**{**EVE, **client})
    vouched = b"Authentication-Results: mx.test; auth=pass\r\n" + raw
    return penstock.deliver(Message(vouched), Envelope(sender, client=told).to(*(to or (ANN,))))


def hits(penstock, name="rule 1"):
    return penstock._store.ledger.counters("policy").get(f"hit:{name}", 0)


@site()
def test_without_rules_all_passes(penstock):
    send(penstock).unchanged()


@site({"action": "reject", "client": ["192.0.2.0/24"], "code": 554, "status": "5.7.27", "text": "Not from there"})
def test_a_refusal_has_the_code_and_text_of_its_rule(penstock):
    send(penstock).rejected(554, "5.7.27", "Not from there")
    send(penstock, address="198.51.100.1").unchanged()


@site({"action": "reject", "sender": ["eve@*"]})
def test_a_captured_message_is_refused(penstock):
    penstock.eml("forged-score.eml").rejected(550, "5.7.1", "Refused by policy")


@site({"action": "reject", "sender": ["*"]})
def test_who_is_not_verified_is_not_told(penstock):
    """A refusal of forged mail would go to the one whose name was forged."""
    forged = Envelope("victim@example.com", client=Client(**EVE))
    penstock.deliver(Message(MESSAGE), forged.to(ANN)).held("not verified")
    penstock.no_more_letters()


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        ("accept", "unchanged"),
        ("reject", "rejected"),
        ("defer", "deferred"),
        ("discard", "discarded"),
        ("hold", "held"),
    ],
)
def test_every_action(action, outcome, request):
    request.node.add_marker(site({"action": action, "recipient": [ANN]}))
    penstock = request.getfixturevalue("penstock")
    getattr(send(penstock), outcome)()
    assert hits(penstock) == 1, "counted whatever the verdict"
    send(penstock, BOB).unchanged()
    assert hits(penstock) == 1


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"client": ["10.0.0.0/8", "192.0.2.66"]}, True),
        ({"client": ["10.0.0.0/8"]}, False),
        ({"client": ["2001:db8::/32"]}, False),
        ({"client_name": ["*.EVE.example"]}, True),
        ({"client_name": ["unknown"]}, False),
        ({"source": ["remote"]}, True),
        ({"source": ["local"]}, False),
        ({"helo": ["eve"]}, True),
        ({"helo": ["*.*"]}, False),
        ({"sender": ["*@example.net"]}, True),
        ({"sender": ["<>"]}, False),
        ({"recipient": ["ann@*", "postmaster@*"]}, True),
        ({"recipient": ["postmaster@*"]}, False),
        ({"headers": {"x-mailer": ["*bulk*"]}}, True),
        ({"headers": {"X-Mailer": ["bulk"]}}, False),
        ({"headers": {"X-Mailer": [r"/bulk \d/"]}}, True),
        ({"headers": {"X-Mailer": [r"/^\d/"]}}, False),
        ({"headers": {"Message-ID": [""]}}, True),
        ({"headers": {"Subject": [""]}}, False),
        ({"headers": {"Subject": ["buy*"], "X-Mailer": ["nice*"]}}, False),
        ({"larger_than": 100}, True),
        ({"larger_than": "1k"}, False),
        ({"results": {"dmarc": ["fail"]}}, False),
        ({"score_from": 7.5}, True),
        ({"score_from": 7.6}, False),
        ({"sender": ["eve@*"], "helo": ["other"]}, False),
    ],
)
def test_conditions(condition, holds, request):
    request.node.add_marker(site({"action": "discard", **condition}, score_header="X-Spam-Score"))
    got = send(request.getfixturevalue("penstock"))
    got.discarded("rule 1") if holds else got.unchanged()


@site({"action": "discard", "source": ["remote"]})
def test_a_client_of_whom_nothing_is_known_is_remote(penstock):
    send(penstock, source=None).discarded()
    send(penstock, source="LOCAL").unchanged()


@site({"action": "discard", "client": ["192.0.2.0/24", "2001:db8::/32"]})
@pytest.mark.parametrize("address", ["::ffff:192.0.2.1", "2001:db8::25", "2001:db8::25%eth0"])
def test_addresses_in_all_their_spellings(penstock, address):
    send(penstock, address=address).discarded()


@site({"action": "discard", "client": ["0.0.0.0/0", "::/0"]})
@pytest.mark.parametrize("address", [None, "", "unknown", "192.0.2.256"])
def test_a_client_without_address_is_in_no_network(penstock, address):
    send(penstock, address=address).unchanged()


@site({"action": "discard", "sender": ["<>"]})
def test_the_null_reverse_path_is_a_value_of_its_own(penstock):
    send(penstock, sender="").discarded()
    send(penstock).unchanged()


@site({"action": "discard", "score_from": 5})
def test_a_score_in_a_header_is_not_believed_unless_asked_for(penstock):
    send(penstock).unchanged()


@site({"action": "discard", "score_from": 5}, score_header="X-Spam-Score")
@pytest.mark.parametrize("score", ["nan", "inf", "", "high", "4.9", "-12"])
def test_a_score_that_is_no_number_or_too_low_does_nothing(penstock, score):
    send(penstock, raw=f"X-Spam-Score: {score}\r\n\r\nHello\r\n".encode()).unchanged()


@site(
    {"action": "discard", "results": {"dmarc": ["fail", "temperror"]}},
    {"action": "hold", "score_from": 5},
    handlers=["tests_handlers_findings", HANDLER],
)
def test_results_of_earlier_handlers(request, tmp_path, monkeypatch):
    (tmp_path / "tests_handlers_findings.py").write_text(
        "from penstock import Mail, stateless\n\n\n"
        "@stateless\ndef find(mail: Mail) -> None:\n"
        "    mail.results.update(dmarc='Fail' if 'x-bad' in mail.message else 'pass', score=9)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    penstock = request.getfixturevalue("penstock")
    send(penstock, raw=b"X-Bad: 1\r\n\r\n").discarded("rule 1")
    send(penstock).held("rule 2")


@site(
    {"action": "accept", "sender": ["boss@*"]},
    {"action": "reject", "recipient": [ANN]},
    {"action": "hold", "recipient": ["carol@*"]},
)
def test_each_recipient_by_itself_and_the_first_rule_decides(penstock):
    got = send(penstock, ANN, BOB, "carol@example.org")
    got.asserted = True
    assert [str(got[address].fate) for address in got] == ["rejected", "sent", "held"]
    send(penstock, ANN, sender="boss@example.net").unchanged()
    assert [hits(penstock, f"rule {n}") for n in (1, 2, 3)] == [1, 1, 1]


@site({"action": "defer", "rate": "2/1h", "sender": ["*@example.net"], "code": 451, "status": "4.7.28", "text": "Slow"})
def test_a_rate_counts_only_what_the_rest_fits(penstock):
    send(penstock, sender="ann@example.com").unchanged()
    send(penstock).unchanged()
    send(penstock).unchanged()
    send(penstock).deferred(451, "4.7.28", "Slow")
    send(penstock, address="198.51.100.1").unchanged()
    penstock.advance("1h")
    send(penstock).unchanged()
    assert hits(penstock) == 1


@pytest.mark.parametrize(("by", "other"), [("sender", {"sender": "x@example.net"}), ("recipient", {"to": BOB})])
def test_a_rate_by_sender_or_recipient(by, other, request):
    request.node.add_marker(site({"action": "discard", "rate": "1/1d", "rate_by": by}))
    penstock = request.getfixturevalue("penstock")
    send(penstock).unchanged()
    send(penstock, other.get("to", ANN), sender=other.get("sender", "eve@example.net")).unchanged()
    send(penstock, address="198.51.100.9").discarded()


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"action": "bounce"}, "expected .accept. or .reject."),
        ({"action": "reject", "client": ["192.0.2.0/33"]}, "item 1: '192.0.2.0/33' is not a network"),
        ({"action": "reject", "headers": {"Subject": ["/(/"]}}, "is not a regular expression"),
        ({"action": "reject", "code": 450}, "code from 500"),
        ({"action": "defer", "status": "5.7.1"}, "enhanced status like 4.7.1"),
        ({"action": "reject", "text": "a\r\n250 ok"}, "control character"),
        ({"action": "hold", "code": 550}, "for reject and defer"),
        ({"action": "reject", "rate": "many"}, "is not a rate; write it like 100/1h"),
        ({"action": "reject", "rate": "5/60"}, "is not a duration"),
        ({"action": "reject", "sendr": ["x"]}, "did you mean sender"),
        ({"action": "reject", "name": ""}, "needs a name"),
    ],
)
def test_mistakes_are_told_at_start(rule, reason):
    with pytest.raises(ConfigError, match=reason):
        options(Options, {"rules": [{"name": "a", **rule}]}, Path("penstock.toml"), "policy")


def test_two_rules_need_two_names():
    rule = {"name": "a", "action": "discard"}
    with pytest.raises(ConfigError, match="two rules are called 'a'"):
        options(Options, {"rules": [rule, rule]}, Path("penstock.toml"), "policy")


@pytest.mark.parametrize("by", ["sender", "recipient"])
def test_a_rate_takes_addresses_with_stray_octets(by, request):
    request.node.add_marker(site({"action": "discard", "rate": "1/1d", "rate_by": by}))
    penstock = request.getfixturevalue("penstock")
    for got in (send(penstock, "a\udcff@example.org", sender="\udcfe@example.net") for _ in range(2)):
        last = got
    last.discarded()


def test_the_page_says_what_the_code_says():
    assert as_table(describe(Options)) in PAGE
    assert as_table(describe(Rule)) in PAGE


def test_the_example_of_the_page_is_read():
    example = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[-1]
    table = tomllib.loads(example)["handlers"]["policy"]
    options(Options, table, Path("penstock.toml"), "policy")
