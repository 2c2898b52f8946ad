"""The client: what it sends, what it makes of the answers, and when it may try again."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest
from penstock.filter.envelope import Client, Envelope, Recipient
from penstock.filter.message import Message
from penstock.filter.port import Reinjector, Timeouts
from penstock.filter.port.endpoint import Endpoint
from penstock.filter.port.pool import Pool
from penstock.filter.submission import Submission
from penstock.filter.verdict import REINJECT_FAILED, REINJECT_LOST, Reply

THREE = ("a@x.test", "b@x.test", "c@x.test")
LATER = "451 4.3.0 Later"
NEVER = "554 5.7.1 Never"
DROP = "DROP"


def submission(
    *recipients: Recipient | str, content: bytes = b"a: b\r\n\r\nhi\r\n", verp: bool = False, **more: Any
) -> Submission:
    envelope = Envelope("ann@example.org", **more).to(*(recipients or ("bob@x.test",)))
    return Submission(envelope, Message(content), verp)


def codes(replies: list[Reply]) -> list[int]:
    return [reply.code for reply in replies]


def test_the_reply_is_the_servers_own(reinjector: Reinjector, sink: Any) -> None:
    assert reinjector.send(submission()) == [Reply(250, "2.0.0", "Ok: queued as 4XYZ")]
    assert sink.commands == [
        b"EHLO filter.example",
        b"MAIL FROM:<ann@example.org> SIZE=12",
        b"RCPT TO:<bob@x.test>",
        b"DATA",
    ]


def test_a_connection_serves_many_messages(reinjector: Reinjector, sink: Any) -> None:
    for _ in range(20):
        assert codes(reinjector.send(submission(*THREE))) == [250] * 3
    assert (sink.connections, len(sink.letters)) == (1, 20)


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(
    ("answers", "expected", "delivered"),
    [
        ({"RCPT": ["250 2.1.5 Ok", "550 5.1.1 No", LATER]}, ["250 2.0.0", "550 5.1.1", "451 4.3.0"], 1),
        ({"RCPT": [NEVER] * 3, "DATA": ["554 5.5.1 No valid recipients"]}, ["554 5.7.1"] * 3, 0),
        ({"RCPT": [NEVER] * 3}, ["554 5.7.1"] * 3, 0),
        ({"MAIL": [LATER], "RCPT": ["503 5.5.1 x"] * 3, "DATA": ["503 5.5.1 x"]}, ["451 4.3.0"] * 3, 0),
        ({"MAIL": ["552 5.3.4 Too big"]}, ["552 5.3.4"] * 3, 0),
        ({"DATA": [LATER]}, ["451 4.3.0"] * 3, 0),
        ({"DATA": [NEVER], "RCPT": ["250 2.1.5 Ok", LATER]}, ["554 5.7.1", "451 4.3.0", "554 5.7.1"], 0),
        ({"DATA": ["250 2.0.0 What?"]}, ["451 4.4.2"] * 3, 0),
        ({"DOT": [LATER]}, ["451 4.3.0"] * 3, 0),
        ({"DOT": ["552 5.3.4 Too big"]}, ["552 5.3.4"] * 3, 0),
        ({"DOT": ["421 4.3.2 Bye"]}, ["451 4.4.2"] * 3, 0),
        ({"DOT": [DROP], "RCPT": ["250 2.1.5 Ok", NEVER]}, ["451 4.4.2", "554 5.7.1", "451 4.4.2"], 0),
        ({"DOT": ["hello?"]}, ["451 4.4.2"] * 3, 0),
        ({"DOT": ["354 Go on"]}, ["451 4.4.2"] * 3, 0),
        ({"CONNECT": ["421 4.7.0 Busy"]}, ["451 4.4.1"] * 3, 0),
        ({"CONNECT": ["554 5.7.1 Not you"]}, ["451 4.4.1"] * 3, 0),
        ({"CONNECT": [DROP]}, ["451 4.4.1"] * 3, 0),
        ({"CONNECT": ["SSH-2.0-x"]}, ["451 4.4.1"] * 3, 0),
        ({"EHLO": [NEVER]}, ["451 4.4.1"] * 3, 0),
        ({"MAIL": [DROP]}, ["451 4.4.2"] * 3, 0),
        ({"MAIL": ["421 4.3.2 Bye"]}, ["451 4.4.2"] * 3, 0),
        ({"RCPT": ["250 2.1.5 Ok", DROP]}, ["451 4.4.2"] * 3, 0),
        ({"DATA": [DROP]}, ["451 4.4.2"] * 3, 0),
        ({"MAIL": ["334 What?"]}, ["451 4.4.2"] * 3, 0),
    ],
)
def test_answers(
    reinjector: Reinjector, sink: Any, pipelining: bool, answers: dict[str, Any], expected: list[str], delivered: int
) -> None:
    if not pipelining:
        sink.extensions.remove("PIPELINING")
    sink.answers = {verb: list(said) for verb, said in answers.items()}
    replies = reinjector.send(submission(*THREE))
    assert [f"{reply.code} {reply.status}" for reply in replies] == expected
    assert len(sink.letters) == delivered
    sink.answers.clear()
    assert codes(reinjector.send(submission(*THREE))) == [250] * 3, "the next message is served"


def test_a_connection_that_died_in_the_pool_is_replaced(reinjector: Reinjector, sink: Any) -> None:
    assert codes(reinjector.send(submission())) == [250]
    sink.drop_all()
    assert codes(reinjector.send(submission())) == [250]
    sink.answers["MAIL"] = ["421 4.4.2 Idle too long"]
    assert codes(reinjector.send(submission())) == [250]
    assert (sink.connections, len(sink.letters)) == (3, 3)


def test_nothing_is_tried_again_once_a_message_was_begun(reinjector: Reinjector, sink: Any) -> None:
    assert codes(reinjector.send(submission())) == [250]
    sink.answers["DOT"] = [DROP]
    assert reinjector.send(submission()) == [REINJECT_LOST]
    assert sink.commands.count(b"DATA") == 2


def test_a_server_that_is_down_or_keeps_silent(stack: ExitStack) -> None:
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    assert (
        Reinjector(address, timeouts=Timeouts(connect=1, reply=0.1)).send(submission(*THREE)) == [REINJECT_FAILED] * 3
    )
    listener.close()
    assert Reinjector(address).send(submission()) == [REINJECT_FAILED]
    assert Reinjector("unix:/nonexistent/socket").send(submission()) == [REINJECT_FAILED]


def test_a_slow_250_is_waited_for_and_a_reply_out_of_time_is_a_loss(sink: Any) -> None:
    class Slow(str):
        def encode(self, *_: Any) -> bytes:  # the sink encodes what it says as it says it
            time.sleep(0.5)
            return super().encode()

    sink.answers["DOT"] = [Slow("250 2.0.0 At last"), Slow("250 2.0.0 Too late")]
    assert Reinjector(sink.address, timeouts=Timeouts(reply=5)).send(submission()) == [Reply(250, "2.0.0", "At last")]
    assert Reinjector(sink.address, timeouts=Timeouts(reply=0.1)).send(submission()) == [REINJECT_LOST]


@pytest.mark.parametrize(
    ("extension", "mail"),
    [
        ("SMTPUTF8", submission(smtputf8=True)),
        ("8BITMIME", submission(body="8BITMIME")),
        ("DSN", submission(ret="HDRS")),
        ("DSN", submission(Recipient("a@x.test", notify="NEVER"))),
        ("XVERP", submission(verp=True)),
    ],
)
def test_what_the_server_lacks_and_the_mail_needs(
    reinjector: Reinjector, sink: Any, extension: str, mail: Submission
) -> None:
    sink.extensions.remove(extension)
    (reply,) = reinjector.send(mail)
    assert (reply.code, reply.status) == (451, "4.3.5")
    assert extension in reply.text
    assert codes(reinjector.send(submission())) == [250]
    assert sink.connections == 1


def test_what_the_server_lacks_and_the_mail_can_do_without(reinjector: Reinjector, sink: Any) -> None:
    sink.extensions[:] = ["XFORWARD ADDR"]
    client = Client(name="a.test", address="192.0.2.1")
    assert codes(reinjector.send(submission(body="7BIT", client=client))) == [250]
    assert sink.letters[0].commands == [
        b"XFORWARD ADDR=192.0.2.1",
        b"MAIL FROM:<ann@example.org>",
        b"RCPT TO:<bob@x.test>",
    ]


def test_xverp_and_a_refused_xforward(reinjector: Reinjector, sink: Any, caplog: pytest.LogCaptureFixture) -> None:
    sink.answers["XFOR"] = ["550 5.7.0 Not you"]
    assert codes(reinjector.send(submission(verp=True, client=Client(ident="4ABC")))) == [250]
    assert sink.letters[0].commands[1] == b"MAIL FROM:<ann@example.org> SIZE=12 XVERP"
    assert "xforward-refused queue_id=4ABC" in caplog.text


@pytest.mark.parametrize(
    "mail",
    [
        submission("bob@x.test>\r\nRCPT TO:<evil@x.test"),
        submission("bob x@x.test"),
        submission("bob@x.test> NOTIFY=NEVER"),
        submission(Recipient("bob@x.test", notify="NEVER\r\nQUIT")),
        submission(envid="a b"),
        Submission(Envelope("a\0b@x.test").to("bob@x.test"), Message(b"")),
    ],
)
def test_nothing_in_an_envelope_makes_another_command(reinjector: Reinjector, sink: Any, mail: Submission) -> None:
    (reply,) = reinjector.send(mail)
    assert reply.code == 501
    assert codes(reinjector.send(submission())) == [250]
    assert sink.connections == 2
    assert len(sink.letters) == 1


def test_a_thousand_recipients_with_long_refusals(reinjector: Reinjector, sink: Any) -> None:
    sink.answers["RCPT"] = [f"550-5.1.1 {'x' * 400}\r\n550 5.1.1 {'x' * 400}"] * 999
    replies = reinjector.send(submission(*(f"r{number}@x.test" for number in range(1000))))
    assert codes(replies) == [550] * 999 + [250]


def test_many_threads_share_the_pool(reinjector: Reinjector, sink: Any) -> None:
    results: list[list[Reply]] = []

    def work() -> None:
        for _ in range(20):
            results.append(reinjector.send(submission(*THREE)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [codes(replies) for replies in results] == [[250] * 3] * 160
    assert len(sink.letters) == 160
    assert sink.connections <= 8


def test_the_pool_keeps_few_and_none_for_long(sink: Any) -> None:
    pool = Pool(Endpoint.parse(sink.address), "filter.example", Timeouts(), size=2, idle=1000)
    connections = [pool.fresh() for _ in range(3)]
    for connection in connections:
        pool.give_back(connection)
    assert [connection.is_open for connection in connections] == [True, True, False]
    connections[0].used_at -= 1001
    assert pool.take() is connections[1]
    assert not connections[0].is_open
    assert pool.take() is None
    pool.close()
    pool.give_back(connections[1])
    assert not connections[1].is_open


def test_closing_takes_leave(reinjector: Reinjector, sink: Any) -> None:
    reinjector.send(submission())
    reinjector.close()
    deadline = time.monotonic() + 10
    while b"QUIT" not in sink.commands and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sink.commands[-1] == b"QUIT"


@pytest.mark.parametrize(
    "address", ["", "localhost", "unix:relative", "127.0.0.1:99999", "::1:25", "host:port", "[::1]"]
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        Reinjector(address)


def test_an_address_that_no_command_can_carry_keeps_the_letter_from_nobody_else(
    reinjector: Reinjector, sink: Any
) -> None:
    answers = reinjector.send(submission("a@x.test", "b c@x.test", "d@x.test\r\nRSET", "e@x.test"))
    assert codes(answers) == [250, 501, 501, 250]
    assert [letter.commands[1:] for letter in sink.letters] == [[b"RCPT TO:<a@x.test>", b"RCPT TO:<e@x.test>"]]
    unfit = Submission(Envelope("a b").to(*THREE), Message(b"\r\n"))
    assert codes(reinjector.send(unfit)) == [501] * 3
