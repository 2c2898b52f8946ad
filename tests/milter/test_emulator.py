"""The emulator against what the edits mean, for any message; and against a live Postfix, for 500 at random."""

import os
import pickle
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from penstock.filter.envelope import Envelope, Recipient
from penstock.filter.message import EditError, Message
from penstock.filter.testing.emulator import RECEIVED, QueueFile
from penstock.filter.testing.mailsystem import what_is_missing
from penstock.filter.testing.sink import Delivery, Sink
from penstock.filter.testing.site import smtp_session
from penstock.milter.edits import HEADER_SIZE_LIMIT, operations
from penstock.milter.operation import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    DeleteHeader,
    DeleteRecipient,
    InsertHeader,
    Operation,
    ReplaceBody,
)
from penstock.postfix.private import PrivatePostfix, until

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
CASES = 500
OWN = re.compile(rb"Received: from [^\n]*\n\tby mx\.penstock\.test \(Postfix\) with ESMTP id (\w+);?\r\n\t[^\n]*\n")
NAMES = ["X-A", "X-B", "x-a", "Subject", "Received", "To", "Content-Type", "Comments"]
VALUES = ["", "a", "Grüße", "two words", "word " * 40, "=?utf-8?q?=C3=A4?=", "x" * 990, "; a=b", "\t."]
RAW_VALUES = [
    *(b" a", b"", b" ", b"  ", b"a", b"\tb", b" c\r\n d", b" \r\n\te\r\n f", b" g ", b" \xc3\xa4", b" \xff", b" h\ri"),
    b" n\0l\r\n m",
    b" text/plain; charset=utf-8",
    b" multipart/mixed; boundary=b",
    b" " + b"long " * 600,
    b" " + b"long\r\n " * 20_000,
    b" " + b"l" * 70_000,
]
BODIES = [
    *(b"", b"\r\n", b"text\r\n", b"no end", b".\r\n..\r\n.dot\r\n", b"\r\n\r\nlow\r\n", b"8bit \xff\xe4\r\n"),
    b"n\0l\r\n",
    b"bare\nlines\nand\rCR\r\r\n",
    b"--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>two</p>\r\n--b--\r\n",
    b"line of text\r\n" * 6000,
    b"x" * 70_000 + b"\r\n",
]
ADDRESSES = ["bob@b.test", "Eve@B.test", '"q q"@b.test', "post+tag=x@b.test", "new@b.test"]
NOTIFY = [None, "NEVER", "SUCCESS", "SUCCESS,DELAY", "SUCCESS,FAILURE,DELAY"]


def a_message(random: Random) -> bytes:
    fields = [
        f"{random.choice(NAMES)}{random.choice(['', '', '', ' '])}:".encode() + random.choice(RAW_VALUES) + b"\r\n"
        for _ in range(random.randint(0, 8))
    ]
    return b"".join(fields) + random.choice([b"\r\n", b"\r\n", b"\r\n", b""]) + random.choice(BODIES)


def edit(message: Message, random: Random) -> None:
    for _ in range(random.randint(1, 6)):
        with suppress(EditError):                  # this value for this field: not what is asked here
            random.choice(EDITS)(message, random)


def _of(message: Message, random: Random, change: Callable[..., object]) -> None:
    if message.fields:
        change(random.choice(message.fields))


def _value(random: Random) -> str:
    return random.choice(VALUES)


def _field_value(message: Message, random: Random) -> None:
    _of(message, random, lambda field: setattr(field, "value", _value(random)))


def _text(message: Message, random: Random) -> None:
    leaves = [part for part in message.walk() if not part.is_multipart]
    random.choice(leaves or [message]).text = random.choice(["", "short", "long\n" * 30_000, ".\n.."])


EDITS: list[Callable[[Message, Random], object]] = [
    lambda m, r: m.add(r.choice(NAMES), _value(r)),
    lambda m, r: m.add(r.choice(NAMES), _value(r), first=True),
    lambda m, r: m.insert(r.randint(0, len(m.fields)), r.choice(NAMES), _value(r)),
    lambda m, r: m.insert(r.randint(0, len(m.fields)), r.choice(NAMES), _value(r)),
    lambda m, r: m.__setitem__(r.choice(NAMES), _value(r)),
    lambda m, r: m.__delitem__(r.choice(NAMES)),
    lambda m, r: _of(m, r, lambda field: field.remove()),
    _field_value,
    _field_value,
    _text,
    lambda m, r: m.append_text("-- \na footer\n", "<p>a footer"),
    lambda m, r: m.attach(b"%PDF", type="application/pdf", filename="a.pdf"),
    lambda m, r: m.wrap("mixed"),
]


def an_envelope(random: Random, sender: str = "ann@a.test") -> Envelope:
    recipients = tuple(a_recipient(random) for _ in range(random.randint(1, 3)))
    ret, envid = random.choice([(None, None), ("FULL", None), ("HDRS", "id+2B1")])
    return Envelope(sender, recipients, ret=ret, envid=envid)


def a_recipient(random: Random) -> Recipient:
    orcpt = random.choice([None, None, "rfc822;old@c.test"])
    return Recipient(random.choice(ADDRESSES), random.choice(NOTIFY), orcpt)


def changed(envelope: Envelope, random: Random) -> Envelope:
    kept = [recipient for recipient in envelope.recipients if random.random() < 0.7]
    added = [a_recipient(random) for _ in range(random.choice([0, 0, 1, 2]))]
    sender = random.choice([envelope.reverse_path, envelope.reverse_path, "", "Other@a.test", '"o o"@a.test'])
    ret = random.choice([envelope.ret, "FULL", "HDRS"])
    envid = random.choice([envelope.envid, "new+3Did"])
    recipients = tuple(kept + added) or (Recipient("last@b.test"),)
    return replace(envelope, reverse_path=sender, recipients=recipients, ret=ret, envid=envid)


def some_operations(random: Random) -> list[Operation]:
    """Whatever a milter may say, sensible or not."""
    said = [random.choice(SAYINGS)(random) for _ in range(random.randint(1, 8))]
    said = [operation for operation in said if not _passes_for_own(operation)]
    bodies = [operation for operation in said if isinstance(operation, ReplaceBody)]
    return [operation for operation in said if operation not in bodies] + bodies


def _passes_for_own(operation: Operation) -> bool:
    """Whether Postfix takes an inserted field for its own Received: one without a word on its first line."""
    if not isinstance(operation, InsertHeader) or operation.name != "Received":
        return False
    return not operation.value.partition("\n")[0].strip()


def _said_value(random: Random) -> str:
    long = random.choice(["y" * HEADER_SIZE_LIMIT, f"{'y' * 55_000}\n {'z' * 9_000}", f"y\n{'z' * HEADER_SIZE_LIMIT}"])
    return random.choice([*(" a", "", " ", "b", "\tc", " d\n e", " f\ng\n\n h", " ä", " i\rj", " k\r\n l"), f" {long}"])


SAYINGS: list[Callable[[Random], Operation]] = [
    lambda r: AddHeader(r.choice(NAMES), _said_value(r)),
    lambda r: InsertHeader(r.randint(0, 12), r.choice(NAMES), _said_value(r)),
    lambda r: InsertHeader(r.randint(0, 3), r.choice(NAMES), _said_value(r)),
    lambda r: ChangeHeader(r.choice(NAMES), r.randint(1, 4), _said_value(r)),
    lambda r: DeleteHeader(r.choice(NAMES), r.randint(1, 4)),
    lambda r: ReplaceBody((r.choice(BODIES), r.choice(BODIES))),
    lambda r: AddRecipient(f"<{r.choice(ADDRESSES)}>", r.choice(["", "NOTIFY=SUCCESS ORCPT=rfc822;x@c.test"])),
    lambda r: DeleteRecipient(f"<{r.choice(ADDRESSES[1:])}>"),
    lambda r: ChangeSender(r.choice(["<>", "<new@a.test>"]), r.choice(["", "RET=HDRS", "RET=FULL ENVID=e"])),
]


def as_stored(message: Message) -> bytes:
    """The edited message as Postfix stores it: every line ends in CRLF."""
    lines = re.sub(rb"\r?\n", b"\r\n", bytes(message))
    return lines if lines.endswith(b"\r\n") else lines + b"\r\n"


def assert_same(raw: bytes, before: Envelope, random: Random) -> None:
    """What Postfix makes of the operations is the edited message, with its own field below what was added first."""
    queued = QueueFile(raw, before)
    bodiless = b"\r\n\r\n" not in bytes(queued)
    message, after = Message(queued.seen), changed(queued.envelope, random)
    edit(message, random)
    said = operations(message, queued.envelope, after)
    queued.apply(said)

    above, _, below = bytes(queued).partition(RECEIVED.replace(b"\n", b"\r\n"))
    below += b"\r\n" if bodiless and not any(isinstance(each, ReplaceBody) for each in said) else b""
    assert above + below == as_stored(message)
    assert above == added_first(message)
    assert replace(queued.envelope, recipients=()) == replace(after, recipients=())
    assert set(queued.envelope.recipients) == set(after.recipients)
    assert any(edit.body for edit in message.edits) == any(isinstance(each, ReplaceBody) for each in said)


def added_first(message: Message) -> bytes:
    """The fields that were added before the first one that came, if any came."""
    came = message.body_start > len(b"\r\n")
    return b"".join(edit.data for edit in message.edits if came and edit.end == 0)


@given(st.randoms(use_true_random=False))
@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
def test_operations_make_the_edited_message(random: Random) -> None:
    assert_same(a_message(random), an_envelope(random), random)


@given(st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_another_milter_before_us_may_have_put_a_field_above_postfix_s_own(random: Random) -> None:
    queued = QueueFile(a_message(random), an_envelope(random))
    queued.apply([InsertHeader(0, "X-Above", " it")])
    message = Message(queued.seen)
    edit(message, random)
    queued.apply(operations(message, queued.envelope, queued.envelope))
    assert bytes(queued).replace(RECEIVED.replace(b"\n", b"\r\n"), b"").rstrip() == as_stored(message).rstrip()


@given(st.integers(min_value=0), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_operations_make_the_edited_message_of_the_corpus(corpus: list[Path], which: int, random: Random) -> None:
    assert_same(corpus[which % len(corpus)].read_bytes()[:200_000], an_envelope(random), random)


@pytest.fixture(scope="module")
def lab() -> Iterator["Lab"]:
    if reason := what_is_missing():
        pytest.skip(reason)
    with Lab() as lab:
        yield lab


class Lab:
    """A private Postfix, the driver as its milter, and a sink behind it."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="penstock-emulator-"))
        self._folder.chmod(0o755)                  # user postfix passes through
        self._cases = self._folder / "cases"
        self._cases.mkdir()
        self._socket = self._folder / "milter.sock"
        self._sink = Sink(self._folder / "sink")
        self._postfix = PrivatePostfix(
            self._folder / "postfix",
            sink=self._sink.address,
            filter=None,
            extra_main={"smtpd_milters": f"unix:{self._socket}", "milter_default_action": "tempfail"},
        )
        self._running = ExitStack()

    def __enter__(self) -> "Lab":
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self._folder)
            stack.enter_context(self._sink)
            command = [sys.executable, Path(__file__).with_name("driver.py"), self._socket, self._cases]
            driver = subprocess.Popen(command)
            stack.callback(driver.wait)
            stack.callback(driver.terminate)
            until(self._socket.exists, 20, lambda: f"no milter: {driver.poll()}")
            stack.enter_context(self._postfix)
            self._smtp = stack.enter_context(smtp_session(self._postfix.outside_port))
            self._running = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._running.close()

    def send(self, raw: bytes, envelope: Envelope, said: Iterable[Operation]) -> str:
        """Send a message whose sender names the case, have the milter say that, and return the queue id."""
        case = envelope.reverse_path.partition("@")[0]
        (self._cases / f"{case}.said").write_bytes(pickle.dumps([_picklable(operation) for operation in said]))
        parameters = _words(RET=envelope.ret, ENVID=envelope.envid)
        self._say(f"MAIL FROM:<{envelope.reverse_path}> BODY=8BITMIME {parameters}")
        for recipient in envelope.recipients:
            parameters = _words(NOTIFY=recipient.notify, ORCPT=recipient.orcpt)
            self._say(f"RCPT TO:<{recipient.address}> {parameters}")
        self._say("DATA")
        stuffed = (b"\n" + raw).replace(b"\n.", b"\n..")[1:]
        self._smtp.send(stuffed + (b".\r\n" if not raw or raw.endswith(b"\n") else b"\r\n.\r\n"))
        code, reply = self._smtp.getreply()
        assert code == 250, (reply, self._postfix.log_end())
        return reply.decode().rpartition(" ")[2]

    def seen(self, case: str) -> bytes:
        """What the milter saw of the message."""
        return (self._cases / f"{case}.seen").read_bytes()

    def delivered(self, count: int) -> dict[str, Delivery]:
        """What arrives, `count` messages, by queue id."""
        return {_queue_id(delivery.content): delivery for delivery in self._sink.wait(count)}

    def _say(self, command: str) -> None:
        code, reply = self._smtp.docmd(command.strip())
        assert code < 400, (command, reply)


def _words(**parameters: str | None) -> str:
    return " ".join(f"{name}={value}" for name, value in parameters.items() if value is not None)


def _picklable(operation: Operation) -> Operation:
    return ReplaceBody(tuple(operation.chunks())) if isinstance(operation, ReplaceBody) else operation


def _queue_id(content: bytes) -> str:
    found = OWN.search(content)
    assert found, content[:2000]
    return found[1].decode()


def test_the_emulator_is_postfix(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Cases at random: half are edits of messages, half whatever a milter may say. `PENSTOCK_SEED` repeats a run."""
    seed = int(os.environ.get("PENSTOCK_SEED") or random.randrange(1 << 32))
    queued: dict[str, QueueFile] = {}
    kinds: Counter[str] = Counter()
    for number in range(CASES):
        case = Random(f"{seed}-{number}")
        raw, before = a_message(case), an_envelope(case, f"case{number}@a.test")
        file = QueueFile(raw, before)
        seen = file.seen
        if number % 2:
            message = Message(seen)
            edit(message, case)
            said = operations(message, file.envelope, changed(file.envelope, case))
        else:
            said = tuple(some_operations(case))
        kinds.update(type(operation).__name__ for operation in said)
        queue_id = lab.send(raw, before, said)
        assert_equal(lab.seen(f"case{number}"), seen, number)
        file.apply(said)
        queued[queue_id] = file
    with capsys.disabled():
        print(f"\n{CASES} cases, PENSTOCK_SEED={seed}: {', '.join(f'{n} {kind}' for kind, n in kinds.most_common())}")
    assert len(kinds) == len(get_args(Operation))
    arrived = lab.delivered(sum(1 for file in queued.values() if file.envelope.recipients))
    for number, (queue_id, file) in enumerate(queued.items()):
        if file.envelope.recipients:
            assert_delivered(arrived[queue_id], file, number)


def assert_delivered(delivery: Delivery, file: QueueFile, number: int) -> None:
    """What arrived is what the emulator says, but for the text of Postfix's own field."""
    assert_equal(OWN.sub(RECEIVED.replace(b"\n", b"\r\n"), delivery.content, count=1), bytes(file), number)
    envelope = file.envelope
    sent = delivery.mail_parameters
    assert (delivery.sender, sent.get("RET"), sent.get("ENVID")) == (
        envelope.reverse_path, envelope.ret, envelope.envid,
    ), number  # fmt: skip
    assert sorted(map(_rcpt, delivery.rcpts)) == sorted(map(_expected_rcpt, envelope.recipients)), number


def assert_equal(postfix: bytes, emulator: bytes, number: int) -> None:
    """Told by the first octets that differ: a message may be long."""
    at = next((at for at, pair in enumerate(zip(postfix, emulator, strict=False)) if pair[0] != pair[1]), 0)
    around = slice(max(0, at - 60), at + 60)
    if postfix != emulator:
        pytest.fail(f"case {number}, octet {at}: Postfix {postfix[around]!r}, emulator {emulator[around]!r}")


def _rcpt(argument: str) -> tuple[str, str, list[str]]:
    delivery = Delivery(0, "", (argument,), b"")
    [address] = delivery.recipients
    parameters = delivery.rcpt_parameters(address)
    return address, parameters["ORCPT"], sorted(parameters.get("NOTIFY", "").split(","))


def _expected_rcpt(recipient: Recipient) -> tuple[str, str, list[str]]:
    orcpt = recipient.orcpt or "rfc822;" + re.sub(r"[^!-*,-<>-~]", lambda at: f"+{ord(at[0]):02X}", recipient.address)
    return recipient.address, orcpt, sorted((recipient.notify or "").split(","))
