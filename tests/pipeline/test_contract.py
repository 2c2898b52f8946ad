"""The acknowledgement contract: what is committed, reinjected, recorded and answered, in that order."""

import re

import pytest
from penstock.filter.envelope import Recipient
from penstock.filter.store import StoreError
from penstock.filter.verdict import Reply
from penstock.filter.watch import GivenUp

DATABASES = ["sqlite", "postgresql"]

LATER = Reply(451, "4.3.0", "later")
NEVER = Reply(552, "5.3.4", "too large")

COUNTING = """
@route("{what}@{host}")
def START(mail, what):
    return answers(mail, what)

@route("{what}@{host}")
def AGAIN(mail, what):
    return answers(mail, what)

def answers(mail, what):
    mail.ledger.add(what)
    if what == "letter":
        mail.reply(f"{__name__}/note", subject="A letter")
        return AGAIN
    if what == "pass":
        mail.message["X-Seen"] = "yes"
        return Accept(then=AGAIN)
    if what == "reject":
        return Reject(550, "5.7.1", "not you")
    if what == "defer":
        return Defer(451, "4.7.1", "not now")
    if what == "fail":
        raise ValueError("a mistake")
    if what == "hold":
        return Hold("look at it")
    if what == "drop":
        return Discard("dropped")
"""


def runs(door, what):
    [handler] = door.pipeline.router.handlers
    return door.store.ledger.page(handler.name, door.clock.now()).count(what)


def test_mail_that_no_route_matches_passes_byte_for_byte_without_a_receipt(door):
    port = door(COUNTING)
    assert port.brings("bob@else.test") == ["250 2.0.0 Ok"]
    [submission] = port.sent
    assert submission.message.edits == ()
    assert port.brings("bob@else.test") == ["250 2.0.0 Ok"]
    assert len(port.sent) == 2


def test_a_letter_is_written_once_however_often_the_message_comes(door):
    port = door(COUNTING)
    for _ in range(3):
        assert port.brings("letter@lists.test") == ["250 2.0.0 Ok: handled by penstock"]
    assert port.letters == [("ann@example.org", "A letter")]
    assert runs(port, "letter") == 1


def test_another_message_under_the_same_queue_id_is_another_message(door, plain):
    port = door(COUNTING)
    port.brings("letter@lists.test")
    port.brings("letter@lists.test", raw=plain.replace(b"Hello.", b"Hello again."))
    port.brings("letter@lists.test", raw=plain.replace(b"<one@", b"<two@"))
    assert len(port.letters) == 3


def test_a_result_that_could_not_be_reinjected_is_replayed_without_running_the_handler(door):
    port = door(COUNTING)
    port.says = lambda address: LATER
    assert port.brings("pass@lists.test") == ["451 4.3.0 later"]
    port.says = lambda address: Reply(250, "2.0.0", "Ok: queued as 7")
    assert port.brings("pass@lists.test") == ["250 2.0.0 Ok: queued as 7"]
    first, second = port.sent
    assert bytes(first.message) == bytes(second.message)
    assert b"X-Seen: yes" in bytes(second.message)
    assert runs(port, "pass") == 1
    assert port.brings("pass@lists.test") == ["250 2.0.0 Ok: queued as 7"]
    assert len(port.sent) == 2


def test_postsuper_adds_a_received_and_the_result_is_still_the_recorded_one(door, plain):
    port = door(COUNTING)
    port.says = lambda address: LATER
    port.brings("pass@lists.test")
    requeued = b"Received: by mx.test (Postfix, from userid 105)\r\n\tid 9REQ; Mon, 5 Jan 2026 10:00:00 +0000 (UTC)\r\n"
    port.says = lambda address: Reply(250, "2.0.0", "Ok")
    assert port.brings("pass@lists.test", raw=requeued + plain) == ["250 2.0.0 Ok"]
    first, second = port.sent
    assert bytes(first.message) == bytes(second.message)
    assert runs(port, "pass") == 1


def test_a_result_that_postfix_refuses_for_good_is_held_and_answered_250(door):
    port = door(COUNTING)
    port.says = lambda address: NEVER
    assert port.brings("pass@lists.test") == ["250 2.0.0 Ok: held for review"]
    [held] = port.store.held()
    assert b"X-Seen: yes" in bytes(held.mail.message)
    assert "too large" in held.mail.reason
    assert port.brings("pass@lists.test") == ["250 2.0.0 Ok: held for review"]
    assert len(port.store.held()) == 1


def test_a_refusal_by_postfix_without_effects_is_a_reject(door):
    port = door(COUNTING)
    port.says = lambda address: NEVER
    assert port.brings("bob@else.test") == ["552 5.3.4 too large"]
    assert port.brings("bob@else.test", source="REMOTE", ident="4bOther") == ["250 2.0.0 Ok: held for review"]
    [held] = port.store.held()
    assert "not verified" in held.mail.reason


@pytest.mark.parametrize(("policy", "reply", "kept"), [("hold", "held for review", 1), ("discard", "discarded", 0)])
def test_an_unverified_sender_is_told_nothing(door, policy, reply, kept):
    port = door(COUNTING, filter={"reject_unverified": policy})
    assert port.brings("reject@lists.test") == ["550 5.7.1 not you"]
    assert port.brings("reject@lists.test", source="REMOTE", ident="4bOther") == [f"250 2.0.0 Ok: {reply}"]
    assert len(port.store.held()) == kept
    assert port.letters == []


def test_three_recipients_with_three_verdicts_over_lmtp(door):
    port = door(COUNTING)
    to = ("pass@lists.test", "reject@lists.test", "defer@lists.test", "bob@else.test")
    assert port.brings(*to) == ["250 2.0.0 Ok", "550 5.7.1 not you", "451 4.7.1 not now", "250 2.0.0 Ok"]
    assert port.sent_to == [["pass@lists.test"], ["bob@else.test"]]
    assert port.brings("defer@lists.test") == ["451 4.7.1 not now"]
    assert runs(port, "pass") == 1
    assert runs(port, "defer") == 2


def test_three_recipients_with_three_verdicts_over_smtp(door):
    port = door(COUNTING)
    to = ("pass@lists.test", "reject@lists.test", "defer@lists.test")
    assert port.brings(*to, smtp=True) == ["451 4.3.0 Some recipients could not be served now; try again later"]
    assert port.sent_to == [["pass@lists.test"]]
    assert port.brings(*to, smtp=True) == ["451 4.3.0 Some recipients could not be served now; try again later"]
    assert port.sent_to == [["pass@lists.test"]]
    assert (runs(port, "pass"), runs(port, "reject"), runs(port, "defer")) == (1, 1, 2)
    assert port.letters == []


def test_over_smtp_a_refusal_that_the_one_reply_cannot_tell_is_told_by_a_notice(door):
    port = door(COUNTING)
    to = ("pass@lists.test", "reject@lists.test")
    assert port.brings(*to, smtp=True) == ["250 2.0.0 Ok"]
    [(recipient, _)] = port.letters
    assert recipient == "ann@example.org"
    assert "not you" in _text_of_the_letter(port)
    assert port.brings(*to, smtp=True)[0].startswith("250")
    assert len(port.letters) == 1


def _text_of_the_letter(port):
    [waiting] = port.store.waiting()
    assert waiting.envelope.is_null
    return bytes(port.store.letter(waiting)).decode()


def test_notify_never_suppresses_the_notice(door):
    port = door(COUNTING)
    port.brings("pass@lists.test", Recipient("reject@lists.test", notify="NEVER"), smtp=True)
    assert port.letters == []


def test_over_smtp_all_refused_and_verified_is_a_5xx(door):
    port = door(COUNTING, filter={"reject_unverified": "discard"})
    assert port.brings("reject@lists.test", "reject@lists.test", smtp=True) == ["550 5.7.1 not you"]
    assert port.brings("reject@lists.test", smtp=True, source="REMOTE", ident="4bO") == ["250 2.0.0 Ok: discarded"]
    assert port.letters == []


def test_twins_run_once_and_get_the_same_reply_unless_their_parameters_differ(door):
    port = door(COUNTING)
    twin = Recipient("letter@lists.test")
    assert len(port.brings(twin, twin)) == 2
    assert runs(port, "letter") == 1
    port.brings(twin, Recipient("letter@lists.test", notify="NEVER"), ident="4bOther")
    assert runs(port, "letter") == 3


def test_equal_results_share_one_transaction_with_all_parameters(door):
    port = door(COUNTING)
    port.brings(Recipient("a@else.test", notify="NEVER"), "b@else.test", "pass@lists.test")
    assert port.sent_to == [["a@else.test", "b@else.test"], ["pass@lists.test"]]
    assert port.sent[0].envelope.recipients[0].notify == "NEVER"
    assert port.sent[0].envelope.client.ident == "4bXyz1"


def test_a_partial_refusal_by_postfix_is_that_recipients_alone(door):
    port = door(COUNTING)
    port.says = lambda address: LATER if address.startswith("a") else Reply(250, "2.0.0", "Ok")
    assert port.brings("a@else.test", "b@else.test") == ["451 4.3.0 later", "250 2.0.0 Ok"]
    assert port.brings("a@else.test", "b@else.test", smtp=True, ident="4bO")[0].startswith("451")
    port.says = lambda address: Reply(250, "2.0.0", "Ok")
    assert port.brings("a@else.test", "b@else.test", smtp=True, ident="4bO") == ["250 2.0.0 Ok"]
    assert port.sent_to[-1] == ["a@else.test"]


def test_a_failing_handler_defers_changes_nothing_and_is_held_in_the_end(door, plain):
    port = door(COUNTING, service={"max_attempts": 3})
    for _ in range(2):
        [reply] = port.brings("fail@lists.test")
        assert reply.startswith("451 4.3.0")
        assert "mistake" not in reply
    assert port.brings("fail@lists.test") == ["250 2.0.0 Ok: held for review"]
    [held] = port.store.held()
    assert "ValueError: a mistake" in held.mail.reason
    assert "answers(mail, what)" in held.mail.traceback
    assert bytes(held.mail.message) == plain
    assert held.mail.expires is None


def test_held_mail_keeps_the_original_its_envelope_and_the_reason(door):
    port = door(COUNTING)
    assert port.brings("hold@lists.test", "bob@else.test") == ["250 2.0.0 Ok: held for review", "250 2.0.0 Ok"]
    [held] = port.store.held()
    assert (held.mail.reason, held.mail.envelope.reverse_path) == ("look at it", "ann@example.org")
    assert [r.address for r in held.mail.envelope.recipients] == ["hold@lists.test"]
    assert held.mail.envelope.client.ident == "4bXyz1"


def test_a_store_that_fails_is_a_451_and_no_attempt(door, monkeypatch):
    port = door(COUNTING, service={"max_attempts": 1})

    def gone(*args, **kwargs):
        raise StoreError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr("penstock.filter.store.work.outbox.add", gone)
        for _ in range(3):
            [reply] = port.brings("letter@lists.test")
            assert reply.startswith("451 4.3.0 The store")
    assert port.brings("letter@lists.test") == ["250 2.0.0 Ok: handled by penstock"]
    assert len(port.letters) == 1


def test_what_went_out_stays_out_when_it_cannot_be_recorded(door, monkeypatch):
    port = door(COUNTING)

    def gone(*args, **kwargs):
        raise StoreError("the disk is full")

    def breaks():
        monkeypatch.setattr(port.store, "settle", gone)

    assert port.brings("pass@lists.test", before_settling=breaks) == ["250 2.0.0 Ok"]


def test_a_slow_handler_is_a_451_and_what_it_does_later_is_never_committed(door):
    port = door(
        """
import threading
STATE_KEY = ""
go_on, done = threading.Event(), threading.Event()

@route("x@{host}")
def START(mail):
    mail.reply(f"{__name__}/note")
    go_on.wait(20)
    done.set()
    return LATER

@route("x@{host}")
def LATER(mail):
    pass
""",
        service={"handler_time_limit": "1s"},
    )
    module = port.pipeline.router.handlers[0].module

    def give_up(reply):
        port.given_up = str(reply)
        module.go_on.set()

    with pytest.raises(GivenUp):
        port.brings("x@lists.test", give_up=give_up)
    assert port.given_up.startswith("451 4.3.0 A handler took too long")
    assert module.done.is_set()
    assert port.letters == []
    assert port.store.conversations() == []
    assert port.brings("x@lists.test") == ["250 2.0.0 Ok: handled by penstock"]


def test_notify_success_is_answered_for_consumed_mail(door):
    port = door(COUNTING)
    port.brings(Recipient("letter@lists.test", notify="SUCCESS,FAILURE"))
    notices = [w for w in port.store.waiting() if w.handler == "penstock"]
    [notice] = notices
    text = bytes(port.store.letter(notice)).decode()
    assert re.search(r"(?m)^Action: delivered\r?$", text)
    assert re.search(r"(?m)^Final-Recipient: rfc822; ?letter@lists.test\r?$", text)


def test_in_a_domain_of_ours_nothing_is_accepted_without_a_destination(door):
    port = door(COUNTING, owned=("lists.test",), service={"max_attempts": 1})
    assert port.brings("pass@lists.test") == ["250 2.0.0 Ok: held for review"]
    [held] = port.store.held()
    assert "nowhere to go" in held.mail.reason


def test_an_address_of_ours_that_no_route_knows_is_refused_at_rcpt(door):
    port = door('@route("x@{host}")\ndef START(mail): pass\n', owned=("lists.test",))
    refuse = port.pipeline.router.refuse
    assert str(refuse("y@lists.test")) == "550 5.1.1 No such address here"
    assert refuse("X@Lists.TEST") is None
    assert refuse("y@else.test") is None


def test_mail_that_goes_round_through_our_own_postfix_is_held_as_a_loop(door, plain):
    port = door('@route("x@{host}")\ndef START(mail): pass\n', domains={"max_hops": 3})
    own = plain[: plain.index(b"From:")]
    assert port.brings("bob@else.test", raw=own * 2 + plain) == ["250 2.0.0 Ok"]
    assert port.brings("bob@else.test", raw=own * 3 + plain) == ["250 2.0.0 Ok: held for review"]
    [held] = port.store.held()
    assert "does [filter] reinject lead to the filter again" in held.mail.reason
