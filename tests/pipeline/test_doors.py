"""Same mail, same handlers, whichever door: what is delivered, written and remembered is the same.

Each message goes through three offices: all handlers behind the queue; all at both doors; and, as a site would have it,
those that keep nothing before the queue alone. The clock is the same in all of them; Message-IDs and tokens of letters
are made at random, and taken off.
"""

import json
import re
from pathlib import Path

import pytest
from penstock import Envelope, Message
from penstock.filter.config import from_table
from penstock.filter.receipt import Fate
from penstock.filter.testing.emulator import QueueFile

pytestmark = pytest.mark.not_live("tests/live/test_doors.py compares the doors through a Postfix")

CAPTURED = Path(__file__).parents[1] / "handlers" / "captured"
CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
EVERY = 6
"""Of the corpus every so many-th file is taken."""

LARGEST = 200_000
ANN, BOB = "ann@example.org", "bob@example.com"
OPTIONS = {
    "policy": {
        "rules": [
            {"name": "robots", "action": "discard", "headers": {"Auto-Submitted": ["auto-*"]}},
            {"name": "answers", "action": "defer", "headers": {"Subject": ["/^re: /"]}},
            {"name": "large", "action": "reject", "larger_than": "60k", "code": 552, "text": "Too large"},
            {"name": "html", "action": "hold", "headers": {"Content-Type": ["text/html*"]}},
        ]
    },
    "autoreply": {"away": {ANN: {"text": "I am back on Monday.", "aliases": [BOB]}}},
    "attachments": {
        "rules": [
            {"name": "programs", "action": "replace", "content": ["application/vnd.microsoft.portable-executable"]},
            {"name": "pictures", "action": "rename", "types": ["image/*", "text/x-*"]},
            {"name": "files", "action": "replace", "names": ["*.txt", "*.pdf", "*.eml", "*.html"]},
            {"name": "archives", "action": "drop", "names": ["*.zip"]},
            {"name": "papers", "action": "reject", "names": ["*.doc"]},
        ]
    },
}
KEEPING = ("autoreply", "tea")
SETS = [("attachments",), ("policy",), ("autoreply",), ("tea",), ("attachments", "policy", "autoreply", "tea")]


@pytest.fixture(scope="module")
def samples():
    """Envelopes and messages: those that were captured behind a Postfix, and every so many-th of the corpus."""
    found = {}
    for file in sorted(CAPTURED.glob("*.eml")):
        envelope = Envelope.from_dict(json.loads(file.with_name(f"{file.name}.json").read_text("utf-8")))
        found[file.name] = (envelope, file.read_bytes())
    if not CORPUS.is_dir():
        pytest.skip(f"no corpus at {CORPUS}")
    files = sorted(path for path in CORPUS.rglob("*") if path.is_file() and path.stat().st_size < LARGEST)
    for number, file in enumerate(files[::EVERY]):
        envelope = Envelope(f"sender{number}@example.net").to(ANN)
        found[str(file.relative_to(CORPUS))] = (envelope, QueueFile(file.read_bytes(), envelope).seen)
    return found


@pytest.fixture
def outcome(penstock_office, tmp_path, samples):
    """What becomes of all samples, with these handlers at the doors."""

    def run(behind, before):
        tables = {
            "store": {"url": f"sqlite:///{tmp_path}/{len(before)}-{len(behind)}.db"},
            "filter": {"handlers": [f"penstock.handlers.{name}" for name in behind]},
            "milter": {"handlers": [f"penstock.handlers.{name}" for name in before]},
            "routing": {"host": r"lists\.test"},
            "handlers": {name: OPTIONS[name] for name in {*behind, *before} if name in OPTIONS},
        }
        office = penstock_office(from_table(tables))
        sent = {name: sent_on(office.deliver(Message(octets), path)) for name, (path, octets) in samples.items()}
        inside = office._inside
        letters = sorted((letter.recipient, letter.sender, plain(letter.message)) for letter in inside.unread)
        states = {conversation.key: conversation.state for conversation in inside.store.conversations()}
        return sent, letters, states

    return run


def sent_on(got):
    """For each recipient the message as it is delivered, or why it is not."""
    got.asserted = True
    fates = {address: fate(got[address]) for address in got}
    return {address: bytes(got[address].message) if fates[address] is Fate.SENT else fates[address] for address in got}


def fate(outcome):
    """A refusal that nobody may be told behind the queue is a hold; before it, it is a refusal."""
    return Fate.REJECTED if outcome.fate is Fate.HELD and outcome.reason.startswith("refused (") else outcome.fate


def plain(message):
    """A letter without what is random."""
    octets = re.sub(rb"(?m)^(Message-ID|References|In-Reply-To): .*?$(?:\n[ \t].*$)*", b"", bytes(message))
    return re.sub(rb"\+[a-z2-7]{16,}", b"+token", octets)


@pytest.mark.parametrize("handlers", SETS, ids="+".join)
def test_the_door_makes_no_difference(outcome, handlers):
    expected = outcome(handlers, ())
    assert outcome(handlers, handlers) == expected
    keeping = tuple(name for name in handlers if name in KEEPING)
    if keeping != handlers:
        assert outcome(keeping, handlers) == expected


def test_the_samples_have_something_of_everything(outcome, samples):
    """Else the comparison would compare nothing."""
    sent, letters, states = outcome(SETS[-1], ())
    came = {name: Message(octets) for name, (_, octets) in samples.items()}
    ends = [each for recipients in sent.values() for each in recipients.values()]
    changed = [name for name, each in sent.items() if isinstance(next(iter(each.values())), bytes)]
    assert {Fate.REJECTED, Fate.HELD, Fate.DISCARDED, Fate.DEFERRED, Fate.CONSUMED} <= {*map(str, ends)}
    assert sum(bytes(came[name]) not in sent[name].values() for name in changed) >= 10
    assert len(samples) > 150
    assert letters
    assert states
