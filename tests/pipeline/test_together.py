"""Many at once: whatever the threads and services, the outcome is one of a serial order."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

DATABASES = ["sqlite", "postgresql"]

STEPS = """
STATE_KEY = "{name}"

@route("{name}@{host}")
def START(mail, name):
    mail.reply(f"{__name__}/note", subject="1")
    return ONE

@route("{name}@{host}")
def ONE(mail, name):
    mail.reply(f"{__name__}/note", subject="2")
    return TWO

@route("{name}@{host}")
def TWO(mail, name):
    mail.reply(f"{__name__}/note", subject="3")
    return THREE

@route("{name}@{host}")
def THREE(mail, name):
    mail.reply(f"{__name__}/note", subject="more")
"""

COUNTER = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    pass

class Count(Base):
    __tablename__ = f"{__name__}_count"
    name: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]

metadata = Base.metadata

@route("{name}@{host}")
def START(mail, name):
    mail.ledger.add("runs")
    count = mail.db.get(Count, name)
    if count is None:
        mail.db.add(Count(name=name, number=1))
    else:
        count.number += 1
"""


def at_once(ports, messages, plain, to):
    """Bring messages through all ports at once, trying again what is deferred, as Postfix does."""

    def bring(number):
        raw = plain.replace(b"<one@", b"<m%d@" % number)
        for attempt in range(200):
            [reply] = ports[(number + attempt) % len(ports)].brings(to, raw=raw, ident=f"4b{number}")
            if reply.startswith("250"):
                return reply
        raise AssertionError(reply)

    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(bring, range(messages)))


@pytest.mark.parametrize("services", [1, 2])
def test_a_conversation_takes_each_step_once(door, plain, services):
    ports = door(STEPS, services=services)
    at_once(ports, 24, plain, "x@lists.test")
    subjects = sorted(subject for _, subject in ports[0].letters)
    assert subjects == ["1", "2", "3", *["more"] * 21]
    assert [conversation.state for conversation in ports[0].store.conversations()] == ["THREE"]


def test_nobody_is_put_off_however_many_there_are_at_one_conversation(door, plain):
    ports = door(STEPS + "    return THREE\n", services=2)

    def bring(number):
        raw = plain.replace(b"<one@", b"<m%d@" % number)
        return ports[number % 2].brings("x@lists.test", raw=raw, ident=f"4b{number}")

    with ThreadPoolExecutor(12) as threads:
        replies = list(threads.map(bring, range(60)))
    assert [reply for [reply] in replies if not reply.startswith("250")] == []
    assert len(ports[0].letters) == 60


@pytest.mark.parametrize("services", [1, 2])
def test_no_row_loses_an_update(door, plain, services):
    ports = door(COUNTER, services=services)
    at_once(ports, 40, plain, "x@lists.test")
    model = ports[0].pipeline.router.handlers[0].module.Count
    with ports[0].store.looking() as db:
        assert db.scalars(select(model.number)).all() == [40]


def test_the_same_message_at_two_doors_at_once_has_its_effects_once(door, plain):
    ports = door(STEPS, services=2)
    barrier = threading.Barrier(2)

    def bring(port):
        barrier.wait(10)
        return port.brings("x@lists.test")

    for _ in range(5):
        with ThreadPoolExecutor(2) as threads:
            replies = list(threads.map(bring, ports))
        assert [reply[0][:3] for reply in replies] == ["250", "250"]
    assert ports[0].brings("x@lists.test")[0].startswith("250")
    assert ports[0].letters == [("ann@example.org", "1")]
