"""Parse once: of a message that arrives there is one scan, whoever looks at it for whomever."""

import threading
from pathlib import Path

import pytest
from penstock import Message
from penstock.filter.arrival import Arrival
from penstock.filter.config import from_table
from penstock.filter.envelope import Client, Envelope
from penstock.filter.loading import load_routers
from penstock.filter.pipeline import Pipeline
from penstock.filter.store import Store
from penstock.filter.tally import MESSAGES, SCANS, Tally
from penstock.filter.verdict import OK

INVOICE = (Path(__file__).parent / "handlers" / "captured" / "invoice.eml").read_bytes()
HANDLERS = [f"penstock.handlers.{name}" for name in ("attachments", "policy", "autoreply", "tea")]


def test_many_threads_count():
    tally = Tally()
    threads = [threading.Thread(target=lambda: [tally.add() for _ in range(5000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.value == 20_000


@pytest.mark.parametrize("door", ["filter", "milter"])
def test_each_arrival_is_scanned_once(tmp_path, door):
    rules = [{"name": "never", "action": "reject", "headers": {"Subject": ["*nothing*"]}, "larger_than": "1G"}]
    settings = from_table(
        {
            "store": {"url": f"sqlite:///{tmp_path}/penstock.db"},
            "filter": {"handlers": HANDLERS},
            "milter": {"handlers": HANDLERS},
            "routing": {"host": r"lists\.test"},
            "handlers": {"policy": {"rules": rules}},
        }
    )
    routers = load_routers(settings)
    store = Store(settings.store.url)
    store.create(*routers.tables)
    pipeline = Pipeline(routers, store, settings)
    before = SCANS.value, MESSAGES.value
    for number in range(5):
        client = Client(ident=f"4bXyz{number}", source="REMOTE")
        envelope = Envelope("ann@example.org", client=client).to("bob@example.com", "carol@example.com")
        arrival = Arrival(envelope, Message(INVOICE), "here", "mx.penstock.test", replies_each=True)
        if door == "milter":
            assert pipeline.judge(arrival).passes
        else:
            decision = pipeline.decide(arrival)
            assert decision.groups[0].message.edits
            pipeline.settle(decision, [[OK, OK]])
    assert (SCANS.value - before[0], MESSAGES.value - before[1]) == (5, 5)
    pipeline.close()
    store.close()
