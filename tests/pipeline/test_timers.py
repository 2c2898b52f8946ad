"""Deadlines whose functions go wrong."""

from datetime import timedelta

from penstock.filter.timers import Timers
from penstock.filter.tokens import Tokens

STUCK = """
import threading
go_on = threading.Event()

@route("{what}@{host}")
def START(mail, what):
    mail.db.connection()
    return WAITING if what == "wait" else None

@timeout("1d", "stick")
@route("{what}@{host}")
def WAITING(mail, what): ...

def stick(timer):
    timer.db.connection()
    go_on.wait(20)
    return START
"""


def test_a_timer_that_never_ends_holds_neither_the_store_nor_the_other_timers(door):
    port = door(STUCK, service={"handler_time_limit": "1s"})
    [handler] = port.pipeline.router.handlers
    timers = Timers(port.pipeline.router, port.store, port.settings, Tokens(b"x" * 32), port.clock)
    for sender in ("ann@example.org", "bob@example.org"):
        port.brings("wait@lists.test", sender=sender)
    port.clock.advance(timedelta(days=2))
    assert timers.run_due() == 0
    assert port.brings("pass@lists.test", sender="carl@example.org") == ["250 2.0.0 Ok: handled by penstock"]
    assert {c.deadline - port.clock.now() for c in port.store.conversations()} == {timedelta(minutes=5)}
    handler.timeouts["WAITING"].function.__globals__["go_on"].set()
    assert [c.state for c in port.store.conversations()] == ["WAITING"] * 2


ONCE = """
@route("{what}@{host}")
def START(mail, what):
    return WAITING

@timeout("1d", "tell")
@route("{what}@{host}")
def WAITING(mail, what): ...

def tell(timer):
    told.append(timer.conversation.deadline)
    meanwhile.pop()() if meanwhile else None
    return START

told, meanwhile = [], []
"""


def test_a_deadline_runs_once_however_many_find_it(door):
    port = door(ONCE)
    [handler] = port.pipeline.router.handlers
    names = handler.timeouts["WAITING"].function.__globals__
    one, other = (
        Timers(port.pipeline.router, port.store, port.settings, Tokens(b"x" * 32), port.clock) for _ in range(2)
    )
    port.brings("wait@lists.test", sender="ann@example.org")
    [before] = port.store.conversations()
    port.clock.advance(timedelta(days=2))
    due = port.store.due_conversations(port.clock.now(), [handler.name])
    names["meanwhile"].append(lambda: names["told"].append(other.run_due()))
    assert one.run_due() == 1
    assert names["told"] == [before.deadline, 0]
    assert port.store.claim_conversation(due[0], port.clock.now(), port.clock.now()) is None
    assert port.store.conversations() == []
