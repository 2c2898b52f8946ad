"""Judging before the queue: what is told there, what is left to the port, and that nothing is kept."""

import logging
import sys

import pytest
from penstock import Message, Recipient
from penstock.filter.config import from_table
from penstock.filter.loading import LoadError, load_routers
from penstock.filter.receipt import Fate
from penstock.filter.store import StoreError, Work
from penstock.filter.store.ledger import LedgerBook
from penstock.filter.verdict import STORE_FAILED
from penstock.filter.watch import GivenUp
from sqlalchemy import text

MARK = """
@stateless
def mark(mail):
    mail.message["X-Mark"] = "yes"
"""
EACH = """
@stateless
@route("{word}@{host}")
def each(mail, word):
    match word:
        case "refused":
            raise Reject(550, "5.7.1", "Not this one")
        case "refused2":
            raise Reject(554, "5.7.2", "Nor this one")
        case "later":
            raise Defer(450, "4.7.1", "Not now")
        case "dropped":
            raise Discard("dropped")
        case "held":
            raise Hold("look")
        case "edited":
            mail.message["X-Mark"] = mail.recipient
        case "broken":
            raise RuntimeError("out of order")
"""


def to(*words):
    return [f"{word}@lists.test" for word in words]


def addresses(found):
    return [recipient.address for recipient in found.envelope.recipients]


# A handler that stands before the queue alone


def test_its_edits_are_made(door, plain):
    found = door(before={"mark": MARK}).judges("x@lists.test")
    assert found.passes
    assert found.message["X-Mark"] == "yes"
    assert bytes(Message.with_edits(plain, found.message.edits)) == bytes(found.message)


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        (["refused"], "550 5.7.1 Not this one"),
        (["refused", "refused2"], "550 5.7.1 550 5.7.1 Not this one\n554 5.7.2 Nor this one"),
        (["refused", "dropped"], "550 5.7.1 Not this one"),
        (["later"], "450 4.7.1 Not now"),
        (["fine", "later", "refused"], "450 4.7.1 Not now"),
        (["fine", "broken"], "451 4.3.0 A handler failed; the message is safe, try again later"),
    ],
)
def test_a_refusal_is_for_all(door, words, reply):
    found = door(before={"each": EACH}).judges(*to(*words))
    assert str(found.reply) == reply
    assert not found.passes


def test_who_is_discarded_is_taken_out(door):
    found = door(before={"each": EACH}).judges(*to("fine", "dropped", "other"))
    assert found.passes
    assert addresses(found) == to("fine", "other")
    shares = found.shares(Recipient(address) for address in to("fine", "dropped"))
    assert [share.fate for share in shares] == [Fate.PASSES, Fate.DISCARDED]


def test_where_all_are_discarded_so_is_the_message(door):
    assert door(before={"each": EACH}).judges(*to("dropped")).discard


def test_nobody_left_since_rcpt_discards_the_message(door):
    assert door(before={"each": EACH}).judges().discard
    assert door().judges().discard


def test_what_is_held_for_all_is_held_by_postfix(door):
    each = door(before={"each": EACH})
    assert each.judges(*to("held")).hold == "look"
    found = each.judges(*to("held", "dropped"))
    assert (found.hold, addresses(found)) == ("look", to("held"))


@pytest.mark.parametrize("words", [["fine", "refused"], ["fine", "held"], ["fine", "edited"], ["held", "refused"]])
def test_what_differs_between_recipients_is_deferred_with_the_mend_in_the_log(door, words, caplog):
    found = door(before={"each": EACH}).judges(*to(*words))
    assert str(found.reply).startswith("451 4.3.0")
    assert "name each_pipeline_" in caplog.text
    assert "in [filter] handlers too" in caplog.text


def test_a_failure_is_logged_once_with_its_traceback(door, caplog):
    door(before={"one": "@stateless\ndef f(mail):\n    raise RuntimeError('out of order')"}).judges(*to("a", "b"))
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "Traceback" in record.getMessage()
    assert "out of order" in record.getMessage()


@pytest.mark.parametrize(
    "effect",
    [
        "mail.reply(f'{__name__}/note')",
        "mail.send('bob@example.com', f'{__name__}/note')",
        "mail.redirect('bob@example.com')",
        "mail.keep('look')",
        "mail.db.commit()",
    ],
)
def test_what_it_wants_to_keep_is_a_deferral_with_the_mend_in_the_log(door, effect, caplog):
    found = door(before={"keeper": f"@stateless\ndef keep(mail):\n    {effect}"}).judges("x@lists.test")
    assert str(found.reply).startswith("451")
    assert "name this handler in [filter] handlers too" in caplog.text


def test_its_counts_are_kept_whatever_the_verdict(door):
    source = """
    @stateless
    def count(mail):
        mail.ledger.add("seen")
        raise Defer(450, "4.7.1", f"seen {mail.ledger.count('seen')} times")
    """
    each = door(before={"counter": source})
    assert [each.judges("x@lists.test").reply.text for _ in range(2)] == ["seen 1 times", "seen 2 times"]


def test_one_address_twice_is_run_once_and_stays_twice(door):
    source = "@stateless\n@route('{x}@{host}')\ndef f(mail):\n    mail.ledger.add('runs')\n"
    each = door(before={"twin": source})
    assert addresses(each.judges(*to("a", "a"))) == to("a", "a")
    assert each.store.ledger.counters(each.settings.milter.handlers[0]) == {"runs": 1}


# A handler that stands behind the queue too

DESK = """
from sqlalchemy import Column, MetaData, String, Table, insert
metadata = MetaData()
rows = Table("desk_rows", metadata, Column("address", String, primary_key=True))
STATE_KEY = "desk"
@route("desk@{host}")
def START(mail):
    mail.ledger.add("seen")
    mail.db.execute(insert(rows).values(address=mail.sender))
    mail.reply(f"{__name__}/note")
    mail.keep("the first letter")
    return OPEN
@route("desk@{host}")
def OPEN(mail):
    raise Reject(550, "5.7.1", "It is open already")
"""


def kept(each):
    """All that a run can leave behind: states, letters, held copies, rows, counts."""
    store = each.store
    with store.looking() as db:
        rows = db.execute(text("SELECT * FROM desk_rows")).all()
    counts = store.ledger.counters(each.settings.filter.handlers[0])
    return len(store.conversations()), len(store.waiting()), len(store.held()), len(rows), counts


def test_a_preview_keeps_nothing_and_the_port_does_it_for_real(door):
    each = door(DESK, previewed=["handler"])
    for _ in range(3):
        assert each.judges("desk@lists.test").passes
    assert kept(each) == (0, 0, 0, 0, {})
    assert each.brings("desk@lists.test") == ["250 2.0.0 Ok: handled by penstock"]
    assert kept(each) == (1, 1, 1, 1, {"seen": 1})


def test_a_preview_tells_the_refusal_of_the_state_that_is_stored(door):
    each = door(DESK, previewed=["handler"])
    each.brings("desk@lists.test")
    assert str(each.judges("desk@lists.test").reply) == "550 5.7.1 It is open already"


def test_what_was_foreseen_may_have_changed_when_the_port_decides(door):
    each = door(DESK, previewed=["handler"])
    assert each.judges("desk@lists.test").passes
    each.brings("desk@lists.test", ident="4bXyz2")
    assert each.brings("desk@lists.test") == ["550 5.7.1 It is open already"]


def test_a_preview_makes_no_edit_but_later_previews_see_it_as_the_port_will(door):
    check = "@stateless\ndef check(mail):\n    if mail.message['X-Mark']: raise Reject(550, '5.7.1', 'Marked')"
    found = door(sources={"mark": MARK, "check": check}, previewed=["mark", "check"]).judges("x@lists.test")
    assert str(found.reply) == "550 5.7.1 Marked"
    found = door(sources={"check": check, "mark": MARK}, previewed=["mark", "check"]).judges("x@lists.test")
    assert found.passes
    assert found.message.edits == ()


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        (["refused"], "550 5.7.1 Not this one"),
        (["fine", "refused"], None),
        (["refused", "dropped"], None),
        (["dropped"], None),
        (["held"], None),
        (["edited", "fine"], None),
        (["broken"], None),
        (["fine", "later"], "450 4.7.1 Not now"),
    ],
)
def test_a_preview_refuses_for_all_and_leaves_the_rest_to_the_port(door, words, reply):
    found = door(EACH, previewed=["handler"]).judges(*to(*words))
    assert (str(found.reply) if found.reply else None) == reply
    assert found.passes is (reply is None)
    assert addresses(found) == to(*words)
    assert found.message.edits == ()


def test_previews_run_after_those_that_stand_alone_on_what_they_left(door):
    check = "@stateless\ndef check(mail):\n    if mail.message['X-Mark']: raise Reject(550, '5.7.1', 'Marked')"
    found = door(check, previewed=["handler"], before={"mark": MARK}).judges("x@lists.test")
    assert str(found.reply) == "550 5.7.1 Marked"


def test_who_owns_an_address_is_the_ports_to_say(door):
    """The first in the order of [filter] takes it, also where only the second stands before the queue too."""
    first = "@route('{x}@{host}')\ndef START(mail):\n    pass"
    second = "@route('{x}@{host}')\ndef START(mail):\n    raise Reject(550, '5.7.1', 'Mine')"
    assert door(sources={"first": first, "second": second}, previewed=["second"]).judges("x@lists.test").passes
    assert door(sources={"second": second, "first": first}, previewed=["second"]).judges("x@lists.test").reply


COUNTER = """
@stateless
def count(mail):
    seen = mail.ledger.add("seen")
    mail.ledger.set("last", str(seen))
    assert mail.ledger.get("last") == str(mail.ledger.count("seen")) == str(seen)
    if seen < 3:
        raise Defer(450, "4.7.1", f"seen {seen}")
"""


def test_what_a_preview_counts_is_kept_where_it_refuses_and_else_counted_by_the_port(door):
    """A greylist at both doors would otherwise defer for ever."""
    each = door(COUNTER, previewed=["handler"])
    name = each.settings.filter.handlers[0]
    replies = [each.judges("x@lists.test").reply for _ in range(4)]
    assert [reply and reply.text for reply in replies] == ["seen 1", "seen 2", None, None]
    assert each.store.ledger.counters(name) == {"seen": 2}
    assert each.brings("x@lists.test") == ["250 2.0.0 Ok"]
    assert each.store.ledger.counters(name) == {"seen": 3}


def test_a_preview_knows_that_it_is_one(door):
    source = "@stateless\ndef f(mail):\n    if mail.is_preview: raise Reject(550, '5.7.1', 'a preview')"
    assert door(source, previewed=["handler"]).judges("x@lists.test").reply
    assert door(before={"alone": source}).judges("x@lists.test").passes


def test_a_store_that_is_gone_defers_what_must_count_and_lets_previews_pass(door, monkeypatch):
    """Who counts here alone cannot decide; of the others the port will, and Postfix keeps the mail until then."""

    def gone(*given):
        raise StoreError("gone")

    count = "@stateless\ndef count(mail):\n    mail.ledger.add('seen')"
    alone, both = door(before={"counter": count}), door(DESK, previewed=["handler"])
    monkeypatch.setattr(LedgerBook, "add", gone)
    monkeypatch.setattr(Work, "conversation", gone)
    assert alone.judges("x@lists.test").reply is STORE_FAILED
    assert both.judges("desk@lists.test").passes


def test_a_refusal_whose_counts_cannot_be_written_is_a_deferral(door, monkeypatch):
    def gone(*given):
        raise StoreError("gone")

    each = door(COUNTER, previewed=["handler"])
    monkeypatch.setattr(LedgerBook, "add", gone)
    assert each.judges("x@lists.test").reply is STORE_FAILED


@pytest.mark.parametrize(("word", "line"), [
    ("refused", 'fate=rejected handler=each_pipeline_N reply="550 5.7.1 Not this one"'),
    ("held", "fate=held handler=each_pipeline_N reason=look"),
    ("edited", "fate=passes edited_by=each_pipeline_N"),
    ("dropped", "fate=discarded handler=each_pipeline_N reason=dropped"),
    ("fine", None),
])  # fmt: skip
def test_the_journal_has_what_was_decided(door, word, line, caplog):
    caplog.set_level(logging.INFO)
    each = door(before={"each": EACH})
    each.judges(*to(word))
    told = [record.getMessage() for record in caplog.records if record.name == "penstock.journal"]
    common = f"door=milter queue_id=4bXyz1 sender=<ann@example.org> recipient=<{word}@lists.test>"
    expected = f"{common} message_id=<one@example.org> {line} ms="
    expected = expected.replace("each_pipeline_N", each.settings.milter.handlers[0])
    assert [text.startswith(expected) for text in told] == ([True] if line else [])


def test_a_thousand_recipients_are_no_burden(door):
    """Each is looked up, never searched for."""
    recipients = [Recipient(f"r{number}@lists.test") for number in range(1000)]
    found = door(before={"each": EACH}).judges(*recipients, "dropped@lists.test")
    assert len(found.envelope.recipients) == 1000


# Bounces of our own Postfix


@pytest.mark.parametrize("how", ["hold", "discard"])
def test_a_bounce_of_our_own_postfix_is_never_refused(door, how):
    each = door(before={"each": EACH}, filter={"reject_unverified": how})
    found = each.judges("refused@lists.test", sender="", source="LOCAL")
    assert found.reply is None
    assert (found.discard, found.hold is not None) == (how == "discard", how == "hold")
    later = each.judges("later@lists.test", sender="", source="LOCAL")
    assert (later.reply, later.discard, later.hold is not None) == (None, False, True)
    assert each.judges("refused@lists.test", sender="").reply
    assert door(EACH, previewed=["handler"]).judges("refused@lists.test", sender="", source="LOCAL").passes


# RCPT

AT_RCPT = """
@at_rcpt
def look(rcpt):
    match rcpt.recipient.partition("@")[0]:
        case "refused":
            return Reject(550, "5.7.1", "Not this one")
        case "later":
            raise Defer(450, "4.7.1", f"try {rcpt.ledger.add('tries')}")
        case "dropped":
            return Discard
        case "nonsense":
            return 5
        case "gone":
            raise SystemExit
"""


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("fine", None),
        ("refused", "550 5.7.1 Not this one"),
        ("later", "450 4.7.1 try 1"),
        ("dropped", "discard"),
        ("nonsense", "451 4.3.0 A handler failed; the message is safe, try again later"),
        ("gone", "451 4.3.0 A handler failed; the message is safe, try again later"),
    ],
)
@pytest.mark.parametrize("where", [{"before": {"look": AT_RCPT}}, {"source": AT_RCPT, "previewed": ["handler"]}])
def test_at_rcpt_decides_before_the_queue_at_whichever_doors_its_handler_stands(door, where, word, answer, caplog):
    each = door(**where)
    caplog.set_level(logging.INFO)
    assert each.at_rcpt(f"{word}@lists.test") == answer
    assert ("door=milter" in caplog.text) is (answer is not None)
    assert each.pipeline.wants.rcpt


def test_behind_the_queue_alone_at_rcpt_never_runs(door):
    each = door(AT_RCPT)
    assert each.at_rcpt("refused@lists.test") is None
    assert not each.pipeline.wants.rcpt


def test_an_address_of_ours_that_no_route_of_the_port_knows_is_refused(door):
    each = door("@route('desk@{host}')\ndef START(mail):\n    pass", owned=["lists.test"])
    assert each.pipeline.wants.rcpt
    assert each.at_rcpt("desk@lists.test") is None
    assert each.at_rcpt("nobody@lists.test") == "550 5.1.1 No such address here"
    assert each.at_rcpt("nobody@else.test") is None


# What stands where


def findings(tmp_path, source, **tables):
    (tmp_path / "stander.py").write_text("from penstock import *\n" + source, "utf-8")
    with pytest.raises(LoadError) as caught:
        load_routers(from_table({"service": {"path": [str(tmp_path)]}, **tables}, "here"))
    return caught.value.findings


def test_states_and_tables_may_not_stand_before_the_queue_alone(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "stander", raising=False)
    source = "metadata = object()\n@route('desk@lists.test')\ndef START(mail):\n    pass\n"
    told = findings(tmp_path, source, milter={"handlers": ["stander", "no_such_module"]})
    assert told[0] == (
        "configuration: [milter] handlers: stander has states (START) and tables of its own, "
        "but before the queue nothing can be kept; name it in [filter] handlers too"
    )
    assert "[milter] handlers: no_such_module does not import" in told[1]


def test_a_module_at_both_doors_is_one_handler(door):
    each = door(MARK, previewed=["handler"], before={"each": EACH})
    routers = load_routers(each.settings)
    assert [handler.name.partition("_")[0] for handler in routers.handlers] == ["each", "handler"]
    assert routers.milter.handlers[1] is routers.filter.handlers[0]


# What Postfix must send


@pytest.mark.parametrize(
    ("where", "wants"),
    [
        ({}, (False, False, False)),
        ({"source": MARK}, (False, False, False)),
        ({"source": MARK, "previewed": ["handler"]}, (False, True, True)),
        ({"before": {"a": AT_RCPT}}, (True, False, False)),
        ({"before": {"a": "@stateless(body=False)\ndef f(mail):\n    pass"}}, (False, True, False)),
        ({"before": {"a": "@stateless(body=False)\ndef f(mail):\n    pass", "b": MARK}}, (False, True, True)),
        ({"source": "@route('a@{host}')\ndef START(mail):\n    pass", "previewed": ["handler"]}, (False, True, True)),
    ],
)
def test_what_the_handlers_use(door, where, wants):
    found = door(**where).pipeline.wants
    assert (found.rcpt, found.header, found.body) == wants


def test_a_body_that_nobody_asked_for_cannot_be_changed(door, caplog):
    source = "@stateless(body=False)\ndef f(mail):\n    mail.message.append_text('footer')"
    found = door(before={"blind": source}).judges("x@lists.test", raw=b"From: a@example.org\r\n\r\n")
    assert str(found.reply).startswith("451")
    assert "@stateless(body=False)" in caplog.text


# Time


@pytest.mark.parametrize("where", ["alone", "previewed"])
def test_who_is_too_slow_is_given_up_and_holds_no_lock(door, where):
    source = """
    import threading
    gate = threading.Event()
    @stateless
    def f(mail):
        if mail.is_preview:
            mail.db
        gate.wait(30)
    """
    placed = {"before": {"handler": source}} if where == "alone" else {"source": source, "previewed": ["handler"]}
    each = door(**placed, service={"handler_time_limit": "1s"})
    module = sys.modules[each.settings.milter.handlers[0]]
    said = []

    def give_up(reply):
        said.append(str(reply))
        module.gate.set()

    with pytest.raises(GivenUp):
        each.judges("x@lists.test", give_up=give_up)
    assert said == ["451 4.3.0 A handler took too long; the message is safe, try again later"]
    assert each.brings("x@lists.test") == ["250 2.0.0 Ok"]
