"""The post office of tests: whatever way the mail goes, what a test sees is the same.

All of this runs in memory here, and once more through a real Postfix: see tests/live/test_live_option.py.
"""

from datetime import timedelta
from pathlib import Path

import pytest
from penstock import Message

WHERE = {"path": [str(Path(__file__).parent / "handlers")]}
HOST = {"host": r"desk\.test"}


DOORMAN = {"handlers": ["doorman"]}


def office(**more):
    return pytest.mark.penstock(handlers=["errands"], milter=DOORMAN, service=WHERE, routing=HOST, **more)


pytestmark = office()
owned = office(owned=["desk.test"])


def test_mail_that_no_handler_knows_passes_byte_for_byte(penstock):
    ann = penstock.person("ann@example.org")
    assert ann.writes(["bob@else.test", "eve@else.test"], "Hello").unchanged().message["Subject"] == "Hello"
    penstock.no_more_letters()


def test_a_file_goes_as_its_side_file_says(penstock):
    got = penstock.eml("letter.eml").passed()
    assert list(got) == ["mark@desk.test"]
    assert got.message["X-Client"] == "mail.outside.test 192.0.2.7 REMOTE"
    assert penstock.eml("letter.eml", to=["write@desk.test"], sender="bob@else.test").consumed()
    assert penstock.person("bob@else.test").gets(subject="Written").sender == ""


def test_a_person_is_local_or_from_outside(penstock):
    got = penstock.person("ann@example.org").writes("mark@desk.test")
    assert got.message["X-Client"].endswith(" LOCAL")
    got = penstock.person("ann@example.org", verified=False).writes("mark@desk.test")
    assert got.message["X-Client"] == "outside.test 192.0.2.1 REMOTE"


def test_each_recipient_has_an_outcome_of_its_own_in_the_order_of_the_envelope(penstock):
    words = ("write", "refuse", "drop", "hold", "wait", "take", "closed", "forgotten")
    got = penstock.person("ann@example.org").writes([f"{word}@desk.test" for word in words])
    expected = ["consumed", "rejected", "discarded", "held", "deferred", "sent", "deferred", "discarded"]
    assert [got[address].fate for address in got] == expected
    assert got["take@desk.test"].message["X-Taken"] == "yes"
    assert str(got["closed@desk.test"].reply) == "450 4.7.1 Closed for now"
    with pytest.raises(AssertionError, match="not accepted"):
        got.accepted()
    assert [held.reason for held in penstock.held] == ["look at it"]


def test_a_refusal_has_code_status_and_text(penstock):
    got = penstock.person("ann@example.org").writes("refuse@desk.test").rejected(550, "5.7.1", "by the test")
    for wrong in ((551,), (550, "5.1.1"), (550, "5.7.1", "by nobody")):
        with pytest.raises(AssertionError, match="Refused by the test"):
            got.rejected(*wrong)
    penstock.no_more_letters()


def test_who_is_not_verified_is_not_told(penstock):
    penstock.person("ann@example.org", verified=False).writes("refuse@desk.test").held("not verified")
    penstock.no_more_letters()


def test_what_a_handler_raises_is_raised_here(penstock):
    ann = penstock.person("ann@example.org")
    with pytest.raises(ValueError, match="a mistake"):
        ann.writes("fail@desk.test")
    penstock.no_more_letters()
    ann.writes("bob@else.test").unchanged()


def test_deferred_mail_waits_until_it_is_delivered_again(penstock):
    got = penstock.person("ann@example.org").writes(["wait@desk.test", "write@desk.test"])
    assert [got[address].fate for address in got] == ["deferred", "consumed"]
    got.asserted = True
    again = penstock.redeliver(got)
    assert [again[address].fate for address in again] == ["sent", "consumed"]
    penstock.person("ann@example.org").gets(subject="Written")
    penstock.no_more_letters()


def test_who_was_refused_at_rcpt_may_try_again(penstock):
    got = penstock.person("ann@example.org").writes("closed@desk.test").deferred(450)
    penstock.redeliver(got).deferred(450, text="Closed for now")


def test_a_crash_before_the_commit_and_a_lost_answer_do_nothing_twice(penstock):
    ann = penstock.person("ann@example.org")
    penstock.crash_before_commit()
    got = ann.writes("write@desk.test").deferred(451, "4.3.0")
    ann.gets_nothing()
    assert penstock.state("errands", key="errands") == "START"
    for _ in range(3):
        got = penstock.redeliver(got).consumed()
    ann.gets(subject="Written")
    penstock.no_more_letters()


def test_time_moves_when_the_test_says_so(penstock):
    ann = penstock.person("ann@example.org")
    ann.writes("write@desk.test").consumed()
    assert penstock.timers == [("errands", "WRITTEN", penstock.clock.now() + timedelta(days=2))]
    ann.gets(subject="Written")
    penstock.advance("47h")
    penstock.no_more_letters()
    penstock.advance("1h")
    ann.gets(subject="Late")
    assert penstock.timers == []


def test_letters_lie_in_their_boxes_in_the_order_in_which_they_were_written(penstock):
    ann = penstock.person("ann@example.org")
    ann.writes("write@desk.test")
    ann.writes("write@desk.test")
    assert [ann.gets(text="A note for ann").message["Subject"] for _ in range(2)] == ["Written", "Written again"]
    with pytest.raises(AssertionError, match="has no letter with subject 'Written'; unread: none"):
        ann.gets(subject="Written")


def test_a_redirected_message_reaches_everyone_with_its_sender(penstock):
    penstock.person("ann@example.org").writes("spread@desk.test", "For all").consumed()
    for address in ("bob@else.test", "eve@else.test"):
        letter = penstock.person(address).gets(subject="For all")
        assert (letter.sender, letter.verp) == ("errands-bounces@desk.test", True)
    penstock.no_more_letters()


@pytest.mark.parametrize("way", [pytest.param("routed"), pytest.param("owned", marks=owned)])
def test_a_letter_to_an_address_of_ours_comes_back_in(penstock, way):
    ann = penstock.person("ann@example.org")
    ann.writes("pass-on@desk.test").consumed()
    ann.gets(subject="Written")
    penstock.no_more_letters()
    assert penstock.state("errands", key="errands") == "WRITTEN"


@pytest.mark.parametrize("way", [pytest.param("routed"), pytest.param("owned", marks=owned)])
def test_a_loop_of_letters_ends_as_held_mail(penstock, way):
    penstock.person("ann@example.org").writes("round@desk.test").consumed()
    [held] = penstock.held
    assert "a loop" in held.reason


@owned
def test_in_an_owned_domain_an_unknown_address_is_refused(penstock):
    penstock.person("ann@example.org").writes("nobody@desk.test").rejected(550, "5.1.1")
    penstock.no_more_letters()


def test_a_message_is_sent_as_it_is(penstock):
    raw = b"From: ann@example.org\r\nTo: bob@else.test\r\nDate: Mon, 5 Jan 2026 09:00:00 +0000\r\n"
    raw += b"Message-ID: <1@example.org>\r\nSubject: Gr\xc3\xbc\xc3\x9fe\r\n\r\n.\r\n..two\r\n\xff\r\n"
    got = penstock.person("ann@example.org").sends(Message(raw), "bob@else.test").unchanged()
    assert bytes(got.message).endswith(raw)
