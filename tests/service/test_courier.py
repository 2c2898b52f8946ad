"""The courier: letters to very many, slow transactions, two couriers at one outbox, clocks that step."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
from penstock import Message
from penstock.filter.clock import FixedClock
from penstock.filter.config import Settings
from penstock.filter.letters import Letter
from penstock.filter.service import Courier
from penstock.filter.store import Store
from penstock.filter.submission import Submission
from penstock.filter.verdict import OK, Reply

LATER = Reply(451, "4.3.0", "later")
NEVER = Reply(550, "5.1.1", "never")


class Postfix:
    """Takes submissions; `says` is the reply to each address, `takes` how long one transaction lasts."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.sent: list[list[str]] = []
        self.says: Callable[[str], Reply] = lambda address: OK
        self.takes = timedelta()
        self.meanwhile: Callable[[], object] = lambda: None

    def send(self, submission: Submission) -> Sequence[Reply]:
        addresses = [recipient.address for recipient in submission.envelope.recipients]
        self.sent.append(addresses)
        self.clock.advance(self.takes)
        self.meanwhile()
        return [self.says(address) for address in addresses]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 1, 5, tzinfo=UTC))


@pytest.fixture
def postfix(clock: FixedClock) -> Postfix:
    return Postfix(clock)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path}/penstock.db")
    store.create()
    yield store
    store.close()


@pytest.fixture
def courier(store: Store, postfix: Postfix, clock: FixedClock) -> Courier:
    return Courier(store, postfix, Settings(), clock)


def post(store: Store, clock: FixedClock, *recipients: str) -> None:
    letter = Letter(Message(b"Subject: x\r\n\r\nx\r\n"), "list@lists.test", recipients)
    store.settle("", "", [], now=clock.now(), letters=[letter])


def members(count: int) -> list[str]:
    return [f"member{number}@x.test" for number in range(count)]


def test_what_came_of_one_transaction_is_recorded_before_the_next(
    store: Store, clock: FixedClock, courier: Courier, postfix: Postfix
) -> None:
    post(store, clock, *members(1200))
    waiting: list[int] = []
    postfix.meanwhile = lambda: waiting.append(len(store.waiting()[0].recipients))
    while courier.send_due():
        pass
    assert waiting == [1200, 700, 200]
    assert sorted(address for sent in postfix.sent for address in sent) == sorted(members(1200))
    assert store.waiting() == []


def test_the_many_do_not_wait_for_some_that_are_put_off(
    store: Store, clock: FixedClock, courier: Courier, postfix: Postfix
) -> None:
    post(store, clock, *members(1200))
    postfix.says = lambda address: {"member0@x.test": LATER, "member1@x.test": NEVER}.get(address, OK)
    while courier.send_due():
        pass
    [letter] = store.waiting()
    assert (letter.recipients, letter.attempts, letter.due > clock.now()) == (("member0@x.test",), 1, True)
    assert [held.mail.envelope.recipients[0].address for held in store.held()] == ["member1@x.test"]


def test_a_refusal_for_now_of_all_is_put_off_however_many_they_are(
    store: Store, clock: FixedClock, courier: Courier, postfix: Postfix
) -> None:
    post(store, clock, *members(1200))
    postfix.says = lambda address: LATER
    assert [courier.send_due(), courier.send_due()] == [1, 0]
    assert store.waiting()[0].due == clock.now() + timedelta(seconds=5)


def test_slow_transactions_let_no_other_courier_send_the_same_letters(
    store: Store, clock: FixedClock, courier: Courier, postfix: Postfix
) -> None:
    for number in range(40):
        post(store, clock, f"member{number}@x.test")
    other = Courier(store, Postfix(clock), Settings(), clock)
    postfix.takes = timedelta(minutes=2)
    postfix.meanwhile = other.send_due
    while courier.send_due():
        pass
    assert isinstance(other._sender, Postfix)
    assert sorted([*postfix.sent, *other._sender.sent]) == sorted([m] for m in members(40))


def test_a_courier_that_is_to_stop_leaves_the_rest_to_others(
    store: Store, clock: FixedClock, courier: Courier, postfix: Postfix
) -> None:
    for number in range(3):
        post(store, clock, f"member{number}@x.test")
    stopping = Event()
    postfix.meanwhile = stopping.set
    courier.call()
    courier.run(stopping)
    assert len(postfix.sent) == 1
    Courier(store, postfix, Settings(), clock).send_due()
    assert len(postfix.sent) == 3


def test_the_letters_of_a_courier_that_died_do_not_wait_for_its_lease(
    store: Store, clock: FixedClock, postfix: Postfix
) -> None:
    for number in range(3):
        post(store, clock, f"member{number}@x.test")
    store.claim("dead", clock.now(), 2)
    store.claim("alive", clock.now(), 1)
    stopping = Event()
    postfix.meanwhile = lambda: stopping.set() if len(postfix.sent) == 2 else None
    Courier(store, postfix, Settings(), clock, "heir", ["dead"]).run(stopping)
    assert sorted(postfix.sent) == [["member0@x.test"], ["member1@x.test"]]


def test_who_was_slower_than_the_lease_takes_no_other_letter_away(store: Store, clock: FixedClock) -> None:
    """SQLite gives the number of a letter that is gone to the next one."""
    post(store, clock, "ann@x.test")
    (late,) = store.claim("slow", clock.now())
    clock.advance(timedelta(hours=1))
    (again,) = store.claim("quick", clock.now())
    store.settle_letter(late, [LATER], clock.now(), None)
    assert [letter.owner for letter in store.waiting()] == ["quick"]
    store.settle_letter(again, [OK], clock.now(), None)
    post(store, clock, "bob@x.test")
    (other,) = store.claim("quick", clock.now())
    store.settle_letter(late, [OK], clock.now(), None)
    store.settle_letter(again, [OK], clock.now(), None)
    assert [letter.recipients for letter in store.waiting()] == [("bob@x.test",)]
    assert other.number == late.number


def test_letters_from_before_the_clock_was_set_back_do_not_wait_for_years(
    store: Store, clock: FixedClock, courier: Courier, postfix: Postfix
) -> None:
    post(store, clock, "ann@x.test")
    store.claim("who died", clock.now())
    post(store, clock, "bob@x.test")
    clock.advance(-timedelta(days=3000))
    assert courier.send_due() == 2
