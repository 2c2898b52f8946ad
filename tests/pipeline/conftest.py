"""Offices with handlers that a test writes down itself."""

import itertools
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from penstock import Message
from penstock.filter.arrival import Arrival
from penstock.filter.clock import FixedClock
from penstock.filter.config import Settings, from_table
from penstock.filter.envelope import Client, Envelope, Recipient
from penstock.filter.judgement import Judgement
from penstock.filter.loading import load_routers
from penstock.filter.pipeline import Pipeline
from penstock.filter.store import Store
from penstock.filter.submission import Submission
from penstock.filter.testing.office import Office
from penstock.filter.verdict import OK, Reply

PLAIN = b"""\
Received: from client.test (client.test [192.0.2.7])\r
\tby mx.test (Postfix) with ESMTP id 4bXyz1\r
\tfor <x@lists.test>; Mon, 5 Jan 2026 09:00:00 +0000 (UTC)\r
From: ann@example.org\r
To: x@lists.test\r
Subject: Hello\r
Date: Mon, 5 Jan 2026 09:00:00 +0000\r
Message-ID: <one@example.org>\r
\r
Hello.\r
"""

_numbers = itertools.count(1)


@pytest.fixture
def office(tmp_path: Path, database: Callable[[], str]) -> Iterator[Callable[..., Office]]:
    """Make an office: `office(source, …)` with the source of a handler, or of several by name (`one=…, two=…`)."""
    made: list[Office] = []

    def make(source: str = "", **more: Any) -> Office:
        settings = _settings(tmp_path, database(), source, more)
        made.append(Office(settings, tmp_path))
        return made[-1]

    yield make
    for each in made:
        each.close()


def _settings(folder: Path, url: str, source: str, more: dict[str, Any]) -> Settings:
    """Settings for handlers with these sources; `more` are tables and `owned`, `options`, `sources`.

    `before` are the sources of handlers that stand before the queue alone, `previewed` the names of others that stand
    there too.
    """
    number = next(_numbers)
    sources = more.pop("sources", None) or {"handler": source}
    names = [_write(folder, f"{name}_pipeline_{number}", text) for name, text in sources.items() if text]
    before = [_write(folder, f"{name}_pipeline_{number}", text) for name, text in more.pop("before", {}).items()]
    before += [f"{name}_pipeline_{number}" for name in more.pop("previewed", ())]
    options = more.pop("options", None)
    return from_table(
        {
            "service": {"path": [str(folder)], "hostname": "mx.test", **more.pop("service", {})},
            "store": {"url": url},
            "filter": {"handlers": names, **more.pop("filter", {})},
            "milter": {"handlers": before},
            "domains": {"owned": list(more.pop("owned", ())), **more.pop("domains", {})},
            "routing": {"host": r"lists\.test", **more.pop("routing", {})},
            "handlers": {names[0]: options} if options else {},
            **more,
        },
        "the test",
    )


def _write(folder: Path, name: str, source: str) -> str:
    (folder / f"{name}.py").write_text("from penstock import *\n" + textwrap.dedent(source), "utf-8")
    templates = folder / "templates" / name
    templates.mkdir(parents=True)
    (templates / "note.txt").write_text("Subject: {{ subject | default('A note') }}\n\nDear {{ sender }},\n", "utf-8")
    return name


@pytest.fixture
def plain() -> bytes:
    """The message that a door brings unless it is told another."""
    return PLAIN


class Door:
    """A door in a test: brings arrivals, and says what Postfix answered to the results."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = FixedClock(datetime(2026, 1, 5, tzinfo=UTC))
        routers = load_routers(settings)
        self.store = Store(settings.store.url)
        self.store.create(*routers.tables)
        self.pipeline = Pipeline(routers, self.store, settings, clock=self.clock)
        self.sent: list[Submission] = []
        self.says: Callable[[str], Reply] = lambda address: OK

    def brings(
        self,
        *to: str | Recipient,
        raw: bytes = PLAIN,
        sender: str = "ann@example.org",
        smtp: bool = False,
        ident: str | None = "4bXyz1",
        source: str = "LOCAL",
        before_settling: Callable[[], None] = lambda: None,
        give_up: Callable[[Reply], None] = lambda reply: None,
    ) -> list[str]:
        """Bring a message; returns the replies as text."""
        envelope = Envelope(sender, client=Client(ident=ident, source=source)).to(*to)
        arrival = Arrival(envelope, Message(raw), "127.0.0.1:10025", "mx.test", replies_each=not smtp)
        decision = self.pipeline.decide(arrival, give_up)
        self.sent += decision.groups
        results = [[self.says(r.address) for r in group.envelope.recipients] for group in decision.groups]
        before_settling()
        return [str(reply) for reply in self.pipeline.settle(decision, results)]

    def judges(
        self, *to: str | Recipient, raw: bytes = PLAIN, sender: str = "ann@example.org", source: str = "REMOTE",
        give_up: Callable[[Reply], None] = lambda reply: None,
    ) -> Judgement:  # fmt: skip
        """What becomes of a message before the queue."""
        envelope = Envelope(sender, client=Client(ident="4bXyz1", source=source)).to(*to)
        arrival = Arrival(envelope, Message(raw), "the milter", "mx.test", replies_each=False)
        return self.pipeline.judge(arrival, give_up)

    def at_rcpt(self, address: str, sender: str = "ann@example.org") -> str | None:
        """What is said to a recipient before the queue, as text."""
        answer = self.pipeline.at_rcpt(Envelope(sender), Recipient(address))
        return None if answer is None else str(answer)

    @property
    def sent_to(self) -> list[list[str]]:
        """Who was on each transaction with Postfix."""
        return [[r.address for r in group.envelope.recipients] for group in self.sent]

    @property
    def letters(self) -> list[tuple[str, str]]:
        """The letters in the outbox: first recipient and subject."""
        return [(w.recipients[0], self.store.letter(w)["Subject"] or "") for w in self.store.waiting()]

    def close(self) -> None:
        self.pipeline.close()
        self.store.close()


@pytest.fixture
def door(tmp_path: Path, database: Callable[[], str]) -> Iterator[Callable[..., Door]]:
    """Make a door with handlers that the test writes down."""
    made: list[Door] = []

    def make(source: str = "", services: int = 0, **more: Any) -> Any:
        """One door, or with `services` a list of so many, each a service of its own on the one store."""
        settings = _settings(tmp_path, database(), source, more)
        new = [Door(settings) for _ in range(services or 1)]
        made.extend(new)
        return new if services else new[0]

    yield make
    for each in made:
        each.close()
