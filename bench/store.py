"""What a stateful message costs in the store, beside a bare commit of as many bytes, measured in the same run.

    python bench/store.py [--url URL URL] [--stored N]

A *stateful message* moves its conversation on and makes one letter; it goes through the pipeline from arrival to
answer, by 8 senders at once. A *bare commit* writes as many octets into one table: as the transaction of such a
message writes to SQLite's log, and once more with nothing but what is stored of it. Then the time that one sender's
message takes is compared between a store with a thousand conversations and one with a million.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from penstock.filter.arrival import Arrival
from penstock.filter.config import from_table
from penstock.filter.envelope import Client, Envelope
from penstock.filter.loading import load_routers
from penstock.filter.message import Message
from penstock.filter.pipeline import Pipeline
from penstock.filter.store import Store
from penstock.filter.store.schema import conversations
from sqlalchemy import Engine, insert

SENDERS: Final = 8
MESSAGES: Final = 4000
ROUNDS: Final = 5
GOAL: Final = 4.0
GROWTH: Final = 1.2

HANDLER: Final = """
from penstock import route

STATE_KEY = "{name}"

@route("{name}@{host}")
def START(mail):
    mail.reply("bench_handler/letter")
    return TALKING

@route("{name}@{host}")
def TALKING(mail):
    mail.reply("bench_handler/letter")
    return TALKING
"""

MAIL: Final = b"""\
From: ann@example.org\r
To: list@lists.test\r
Subject: bench\r
Message-ID: <%d@example.org>\r
Date: Mon, 5 Jan 2026 09:00:00 +0000\r
\r
""" + b"A line of a message that says nothing of any weight at all.\r\n" * 60


class Bench:
    """A pipeline on a store, and messages for it."""

    def __init__(self, folder: Path, url: str) -> None:
        """`folder` is on the path: the handler's module goes there."""
        (folder / "bench_handler.py").write_text(HANDLER, "utf-8")
        (folder / "templates" / "bench_handler").mkdir(parents=True, exist_ok=True)
        letter = "Subject: Re\n\n" + "Dear {{ sender }}, this is what we have to say.\n" * 30
        (folder / "templates" / "bench_handler" / "letter.txt").write_text(letter, "utf-8")
        settings = from_table(
            {
                "service": {"path": [str(folder)], "hostname": "mx.test"},
                "store": {"url": url},
                "filter": {"handlers": ["bench_handler"]},
            },
            "the bench",
        )
        routers = load_routers(settings)
        self.store = Store(url)
        self.store.create(*routers.tables)
        self.pipeline = Pipeline(routers, self.store, settings)
        self.number = 0

    @property
    def engine(self) -> Engine:
        return self.store.branches()[0].database.engine

    def message(self, number: int) -> None:
        """One message, from arrival to answer."""
        envelope = Envelope(f"ann{number % 997}@example.org", client=Client(ident=f"4b{number}", source="LOCAL"))
        arrival = Arrival(
            envelope.to("list@lists.test"), Message(MAIL % number), "127.0.0.1:10025", "mx.test", replies_each=True
        )
        decision = self.pipeline.decide(arrival)
        [reply] = self.pipeline.settle(decision, [])
        assert reply.code == 250, reply

    def messages(self, count: int, senders: int = SENDERS) -> float:
        """Seconds for each of so many messages, by so many senders at once."""
        first, self.number = self.number, self.number + count
        with ThreadPoolExecutor(senders) as threads:
            began = time.perf_counter()
            list(threads.map(self.message, range(first, first + count)))
            return (time.perf_counter() - began) / count

    def fill(self, count: int) -> None:
        """Store so many conversations."""
        row = {"handler": "bench_handler", "resource": "list", "state": "TALKING", "version": 1, "changed": 0.0}
        with self.engine.begin() as connection:
            for start in range(0, count, 10_000):
                rows = [
                    {**row, "sender": f"member{number}@example.org", "blanks": {"name": "list"}}
                    for number in range(start, min(start + 10_000, count))
                ]
                connection.execute(insert(conversations), rows)

    def close(self) -> None:
        self.pipeline.close()
        self.store.close()


def main() -> None:
    arguments = parsed()
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="penstock-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        sys.path.insert(0, name)
        urls = arguments.url or [f"sqlite:///{folder}/store.db", f"sqlite:///{folder}/large.db"]
        few, many = (stack.enter_context(closing(Bench(folder, url))) for url in urls)
        few.messages(200)
        if not arguments.url:
            beside_a_bare_commit(few, folder)
        growth(few, many, arguments.stored)


def beside_a_bare_commit(bench: Bench, folder: Path) -> None:
    stored, written = octets(bench, folder / "store.db")
    times: dict[str, list[float]] = {"message": [], "as written": [], "as stored": []}
    for _ in range(ROUNDS):
        times["message"].append(bench.messages(MESSAGES // ROUNDS))
        times["as written"].append(bare(folder, written))
        times["as stored"].append(bare(folder, stored))
    message = min(times["message"])
    print(f"{SENDERS} senders, synchronous=FULL      ms   ratio   goal")
    print(f"a stateful message            {message * 1e3:7.3f}")
    for name, size in (("as written", written), ("as stored", stored)):
        one = min(times[name])
        goal = f"{GOAL:6.1f}" if name == "as written" else ""
        print(f"a bare commit of {size:6} octets {one * 1e3:7.3f} {message / one:7.2f} {goal}  ({name})")


def octets(bench: Bench, file: Path) -> tuple[int, int]:
    """How many octets a message stores, and how many its transaction writes to the log."""
    log = Path(f"{file}-wal")
    with bench.engine.connect().execution_options(reads=True) as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        before = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    count = 200
    written = 0
    for _ in range(count // 20):
        bench.messages(20, senders=1)
        written += log.stat().st_size
        with bench.engine.connect().execution_options(reads=True) as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    with bench.engine.connect().execution_options(reads=True) as connection:
        grown = connection.exec_driver_sql("PRAGMA page_count").scalar_one() - before
    return grown * 4096 // count, written // count


def bare(folder: Path, size: int) -> float:
    """Seconds for a bare commit of so many octets."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS bare (id INTEGER PRIMARY KEY, data BLOB)")
    data = os.urandom(size)
    began = time.perf_counter()
    for _ in range(MESSAGES // ROUNDS):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO bare (data) VALUES (?)", (data,))
        connection.execute("COMMIT")
    took = time.perf_counter() - began
    connection.close()
    return took / (MESSAGES // ROUNDS)


def growth(few: Bench, many: Bench, stored: int) -> None:
    """The time of one message with a thousand stored conversations and with many, measured in turn."""
    few.fill(1000)
    many.fill(stored)
    times: dict[Bench, list[float]] = {few: [], many: []}
    for bench in (few, many) * ROUNDS:
        bench.messages(20, senders=1)
        times[bench].append(bench.messages(MESSAGES // ROUNDS // 4, senders=1))
    first, last = (min(times[bench]) for bench in (few, many))
    print(f"\none sender, {1000:9,} stored      {first * 1e3:7.3f} ms")
    print(f"one sender, {stored:9,} stored      {last * 1e3:7.3f} ms   ratio {last / first:.2f}, goal {GROWTH}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--url", nargs=2, help="two empty databases, instead of new SQLite files")
    parser.add_argument("--stored", type=int, default=1_000_000, help="conversations in the large store")
    return parser.parse_args()


if __name__ == "__main__":
    main()
