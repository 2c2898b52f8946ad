"""One conversation hit from several workers at once: the outcome is that of some serial order of the messages.

The workers are threads of two services on one store, and processes of their own. What the messages do depends on what
others did before them: they move the state, number rows of the handler's own, refuse and move.
"""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

DATABASES = ["sqlite", "postgresql"]

HANDLER = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy import func, select

class Base(DeclarativeBase):
    pass

class Row(Base):
    __tablename__ = f"{__name__}_rows"
    name: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str]

metadata = Base.metadata
STATE_KEY = "{name}"
SENDER_KEY = None

@route("{name}-{what}@{host}")
def START(mail, name, what):
    return do(mail, name, what, "START", ONE)

@route("{name}-{what}@{host}")
def ONE(mail, name, what):
    return do(mail, name, what, "ONE", TWO)

@route("{name}-{what}@{host}")
def TWO(mail, name, what):
    return do(mail, name, what, "TWO", START)

def do(mail, name, what, state, following):
    mail.reply(f"{__name__}/note", subject=f"{name} {what} {state}")
    if what == "row":
        number = mail.db.scalar(select(func.count()).select_from(Row).where(Row.name == name))
        mail.db.add(Row(name=name, number=number, state=state))
        return None
    if what == "refuse":
        return Reject(550, "5.7.1", "no", then=TWO)
    if what == "reset":
        return START
    return following
"""

WORKER = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from penstock.filter.arrival import Arrival
from penstock.filter.config import from_table
from penstock.filter.envelope import Client, Envelope
from penstock.filter.loading import load_routers
from penstock.filter.message import Message
from penstock.filter.pipeline import Pipeline
from penstock.filter.store import Store

settings = from_table(json.loads(sys.argv[1]), "the test")
pipeline = Pipeline(load_routers(settings), Store(settings.store.url), settings)

def bring(job):
    to, ident, raw = job
    envelope = Envelope("ann@example.org", client=Client(ident=ident, source="LOCAL")).to(to)
    while True:
        arrival = Arrival(envelope, Message(raw.encode()), "127.0.0.1:10025", "mx.test", replies_each=True)
        [reply] = pipeline.settle(pipeline.decide(arrival), [])
        if reply.code != 451:
            return str(reply)

with ThreadPoolExecutor(4) as threads:
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(list(threads.map(bring, json.loads(line)))), flush=True)
"""

Job = tuple[str, str, str]
Workers = Callable[[Sequence[Sequence[Job]]], None]
Outcome = tuple[str, tuple[tuple[int, str], ...], tuple[str, ...]]

_names = (f"c{number}" for number in itertools.count())
_follows = {"START": "ONE", "ONE": "TWO", "TWO": "START"}


def serial(name: str, whats: Sequence[str]) -> Outcome:
    """What comes of these messages, one after the other."""
    state, rows, letters = "START", [], []
    for what in whats:
        letters.append(f"{name} {what} {state}")
        match what:
            case "row":
                rows.append((len(rows), state))
            case "refuse":
                state = "TWO"
            case "reset":
                state = "START"
            case _:
                state = _follows[state]
    return state, tuple(rows), tuple(sorted(letters))


class Pair:
    """Two services on one store, and how messages are brought to both at once."""

    def __init__(self, doors: list[Any], bring: Workers) -> None:
        self.doors = doors
        self.bring = bring
        self._seen = 0

    def outcome(self, name: str) -> Outcome:
        store = self.doors[0].store
        model = self.doors[0].pipeline.router.handlers[0].module.Row
        [state] = [c.state for c in store.conversations() if c.key.resource == name] or ["START"]
        with store.looking() as db:
            rows = db.execute(select(model.number, model.state).where(model.name == name).order_by(model.number)).all()
        new = [letter for letter in store.waiting() if letter.number > self._seen]
        self._seen = max(letter.number for letter in new)
        subjects = sorted(str(store.letter(letter)["Subject"]) for letter in new)
        return state, tuple(map(tuple, rows)), tuple(subjects)


@pytest.fixture
def threads(door: Callable[..., Any]) -> Iterator[Pair]:
    doors = door(HANDLER, services=2)

    def bring(job: Job, port: Any) -> None:
        to, ident, raw = job
        while port.brings(to, raw=raw.encode(), ident=ident)[0].startswith("451"):
            pass

    with ThreadPoolExecutor(10) as pool:

        def both(jobs: Sequence[Sequence[Job]]) -> None:
            futures = [pool.submit(bring, job, port) for port, own in zip(doors, jobs, strict=True) for job in own]
            for future in futures:
                future.result()

        yield Pair(doors, both)


@pytest.fixture
def processes(door: Callable[..., Any], tmp_path: Path) -> Iterator[Pair]:
    [port] = door(HANDLER, services=1)
    given = port.settings
    table = {
        "service": {"path": [str(tmp_path)], "hostname": "mx.test"},
        "store": {"url": given.store.url},
        "filter": {"handlers": list(given.filter.handlers)},
        "routing": dict(given.routing),
    }
    command = [sys.executable, "-c", WORKER, json.dumps(table)]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [worker.stdout and worker.stdout.readline() for worker in workers] == ["ready\n", "ready\n"]

    def both(jobs: Sequence[Sequence[Job]]) -> None:
        for worker, own in zip(workers, jobs, strict=True):
            assert worker.stdin is not None
            worker.stdin.write(json.dumps(own) + "\n")
            worker.stdin.flush()
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline().startswith("[")

    yield Pair([port], both)
    for worker in workers:
        worker.communicate(timeout=60)


def same_as_serial(pair: Pair, plain: bytes, whats: list[list[str]], twice: bool) -> None:
    """Bring these messages by the two workers at once; with `twice` the first one by both."""
    name = next(_names)
    jobs = [
        [job(name, what, f"{worker}x{number}", plain) for number, what in enumerate(own)]
        for worker, own in enumerate(whats)
    ]
    if twice:
        jobs[1].append(jobs[0][0])
    pair.bring(jobs)
    found = pair.outcome(name)
    orders = set(itertools.permutations(whats[0] + whats[1]))
    assert found in {serial(name, order) for order in orders}, (whats, found)


def job(name: str, what: str, ident: str, plain: bytes) -> Job:
    raw = plain.replace(b"<one@", f"<{name}-{ident}@".encode())
    return f"{name}-{what}@lists.test", f"4b{name}{ident}", raw.decode()


QUICK = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HALF = st.lists(st.sampled_from(["on", "row", "refuse", "reset"]), min_size=1, max_size=3)


@QUICK
@given(st.tuples(HALF, HALF), st.booleans())
def test_two_services_of_one_process(
    threads: Pair, plain: bytes, whats: tuple[list[str], list[str]], twice: bool
) -> None:
    same_as_serial(threads, plain, [*whats], twice)


@QUICK
@given(st.tuples(HALF, HALF), st.booleans())
def test_two_processes(processes: Pair, plain: bytes, whats: tuple[list[str], list[str]], twice: bool) -> None:
    same_as_serial(processes, plain, [*whats], twice)
