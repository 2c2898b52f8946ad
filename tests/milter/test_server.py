"""The server with the real libmilter, driven by an MTA side that is not libmilter's."""

import itertools
import os
import socket
import stat
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from miltertest import MilterConnection, constants
from penstock.milter.context import Answer

import milter

from .mta import ACTIONS, NO_REPLY, STEPS, Served

END = [("c", b"")]


def test_the_answers_have_libmilters_numbers() -> None:
    assert {name: int(answer) for name, answer in Answer.__members__.items()} == {
        name: getattr(milter, name) for name in Answer.__members__
    }


def test_miltertest_goes_through_a_session(served: Served) -> None:
    """PyPI's miltertest knows of no steps without an answer: libmilter gives them one."""
    mta = MilterConnection(served.connect().socket)
    mta.optneg_mta(actions=ACTIONS, protocol=STEPS & ~NO_REPLY)
    mta.send(constants.SMFIC_CONNECT, hostname="mail.stranger.test", family="4", port=25, address="192.0.2.25")
    mta.send(constants.SMFIC_HELO, helo="client.test")
    for number in (1, 2):
        mta.send(constants.SMFIC_MAIL, args=["<ann@a.test>", "BODY=8BITMIME"])
        mta.send(constants.SMFIC_RCPT, args=["<bob@b.test>", "NOTIFY=NEVER"])
        mta.send_headers([("From", " ann@a.test"), ("X-Do", f" add X-Number-{number}")])
        mta.send_body("text\r\n" * 20_000)
        (command, added), last = mta.send_eom()
        assert (command, added["name"], last[0]) == (constants.SMFIR_ADDHEADER, f"X-Number-{number}", "c")
    head = b"From: ann@a.test\r\nX-Do: add X-Number-1\r\n\r\n"
    assert [len(arrival) for arrival in served.arrivals] == [len(head) + 120_000] * 2


def test_debians_miltertest_goes_through_its_script(served: Served) -> None:
    script = Path(__file__).with_name("session.lua")
    command = ["miltertest", "-s", str(script), "-D", f"socket=unix:{served.address}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    served.is_well()


# -- negotiation


@pytest.mark.parametrize(
    ("wants", "left_out"),
    [
        ("rcpt,header,body", 0),
        ("header,body", milter.P_NR_RCPT),
        ("rcpt,header", milter.P_NOBODY),
        ("rcpt", milter.P_NOHDRS | milter.P_NOBODY),
    ],
)
def test_only_what_is_wanted_is_asked_for(serve: Callable[..., Served], wants: str, left_out: int) -> None:
    with serve(wants=wants).connect() as mta:
        actions, steps = mta.negotiate()
    optional = milter.P_NR_RCPT | milter.P_NOHDRS | milter.P_NOBODY
    assert steps & optional == left_out
    always = milter.P_NOUNKNOWN | milter.P_NODATA | milter.P_NOEOH | milter.P_HDR_LEADSPC
    assert steps & always == always
    unanswered = milter.P_NR_CONN | milter.P_NR_MAIL | milter.P_NR_HDR | milter.P_NR_BODY
    assert steps & unanswered == unanswered
    assert not steps & (milter.P_NOHELO | milter.P_NOCONNECT | milter.P_NOMAIL | milter.P_NORCPT)
    assert actions == ACTIONS


def test_without_the_body_the_header_is_judged(serve: Callable[..., Served]) -> None:
    served = serve(wants="header")
    with served.session() as mta:
        assert mta.mail(b"X-Do: refuse no") == [("y", b"550 5.7.1 no\0")]
    assert served.arrivals == [b"X-Do: refuse no\r\n\r\n"]


def test_the_macros_that_are_read_are_asked_for(served: Served) -> None:
    with served.connect() as mta:
        _, reply = mta.ask("O", struct.pack("!LLL", 6, ACTIONS | milter.SETSYMLIST, NO_REPLY))
    asked = (b"j", b"{tls_version} {cipher}", b"{auth_type} {auth_authen}", b"i")
    stages = [struct.pack("!L", stage) + names + b"\0" for stage, names in enumerate(asked)]
    assert reply[12:] == b"".join(stages) + b"\0\0\0\5i\0"


def test_what_postfix_does_not_offer_is_not_asked_for(served: Served) -> None:
    with served.session(actions=milter.ADDHDRS, steps=0) as mta:
        assert mta.steps == 0
        assert mta.mail(b"X-Do:discard\r\n") == [("d", b"")]
        assert mta.mail(b"X-Do:sender x@a.test\r\n")[-1] == ("y", b"451 4.3.0 The filter failed; try again later\0")
    assert served.arrivals[0] == b"X-Do: discard\r\n\r\nhi\r\n"


# -- what is not in the book


def test_a_name_in_helo_that_is_no_utf8_is_a_4xx_and_the_session_goes_on(served: Served) -> None:
    with served.session() as mta:
        assert mta.ask("H", b"\xff\xfe\0") == ("y", b"451 4.3.0 pymilter: untrapped exception in penstock\0")
        assert mta.ask("H", b"client.test\0") == ("c", b"")
        assert mta.mail() == END
    assert "event=unreadable" in served.log()
    assert "0xff" in served.log()
    assert "Traceback" not in served.log()


MALFORMED: list[list[tuple[str, bytes]]] = [
    [("Q", b"")],
    [("E", b"")],
    [("?", b"what")],
    [("O", b"")],
    [("O", b"\0\0\0\6")],
    [("M", b"")],
    [("M", b"\0")],
    [("R", b"<bob@b.test>\0")],
    [("M", b"<ann@a.test>\0"), ("E", b"")],
    [("M", b"<ann@a.test>\0"), ("M", b"<ann@a.test>\0"), ("A", b""), ("A", b"")],
    [("M", b"no end"), ("R", b"no end")],
    [("L", b"X\0")],
    [("L", b"X\0Y")],
    [("M", b"<ann@a.test>\0"), ("R", b"<bob@b.test>\0"), ("L", b"X-\xff\0 y\0")],
    [("M", b"<ann@a.test>\0"), ("R", b"<bob@b.test>\0"), ("B", b"\0\xff\r\n"), ("Q", b"")],
    [("D", b"Mi\0")],
    [("D", b"MM\xff\0\xff\0"), ("M", b"<ann@a.test>\0")],
    [("C", b"x\0004")],
    [("C", b"\xff\0U\0\0\xff\0")],
    [("H", b"no end")],
]


def test_malformed_packets_end_at_most_their_own_session(serve: Callable[..., Served]) -> None:
    served = serve()
    for packets, negotiated in itertools.product(MALFORMED, (False, True)):
        with served.session() if negotiated else served.connect() as mta:
            with suppress(ConnectionError):  # it may be over before we have said all
                for command, data in packets:
                    mta.send(command, data)
                mta.socket.shutdown(socket.SHUT_WR)
            while mta.receive()[0]:
                pass
    served.is_well()
    served.tell_to_stop()
    assert served.stopped()  # no session is left, and no thread


@pytest.mark.parametrize("length", [0, 2**32 - 1])
def test_a_packet_of_an_impossible_length_ends_its_session(served: Served, length: int) -> None:
    with served.session() as mta:
        mta.socket.sendall(struct.pack("!L", length) + b"L")
        mta.socket.shutdown(socket.SHUT_WR)
        assert mta.receive() == ("", b"")
    served.is_well()


@pytest.mark.parametrize("size", [70_000, 102_400, 1_000_000])
def test_a_long_field_is_seen_whole(served: Served, size: int) -> None:
    with served.session() as mta:
        assert mta.mail(b"X-Long: " + b"x" * size) == END
    assert served.arrivals == [b"X-Long: " + b"x" * size + b"\r\n\r\nhi\r\n"]


def test_a_hundred_thousand_fields(served: Served) -> None:
    with served.session() as mta:
        assert mta.mail(b"X: y\r\n" * 100_000) == END
    assert served.arrivals == [b"X: y\r\n" * 100_000 + b"\r\nhi\r\n"]


def test_a_message_above_the_limit_is_refused_and_the_next_is_not(served: Served) -> None:
    with served.session() as mta:
        assert mta.mail(body=b"x" * (4 << 20)) == [("y", b"552 5.3.4 Message too big\0")]
        assert mta.mail(body=b"x" * (3 << 20)) == END
    assert [len(arrival) for arrival in served.arrivals] == [(3 << 20) + 2]


def test_recipients_are_octets(served: Served) -> None:
    latin, utf8, quoted = b"<j\xf6rg@b.test>", "<jörg@straße.test>".encode(), b'<"a b"@b.test>'
    recipients = (latin, utf8, quoted, b"<@hop.test,@x.test:bob@b.test>")
    with served.session() as mta:
        assert mta.mail(to=recipients) == END
    addresses = [recipient["address"] for recipient in served.envelopes[0]["recipients"]]
    assert addresses == ["j\udcf6rg@b.test", "jörg@straße.test", '"a b"@b.test', "bob@b.test"]


# -- threads and time


def test_recipients_one_by_one(served: Served) -> None:
    words = [b"bob", b"refused", b"later", b"dropped", b"fault", b"slow", b"carl"]
    with served.session() as mta:
        mta.say("M", b"<ann@a.test>\0")
        replies = [mta.ask("R", b"<%s@b.test>\0" % word) for word in words]
        mta.content(b"hi\r\n")
        assert mta.end() == [("-", b"<dropped@b.test>\0"), ("c", b"")]
    assert replies == [
        ("c", b""),
        ("y", b"550 5.1.1 No such address here\0"),
        ("y", b"450-4.2.0 Come back in 5%% of the time\r\n450 4.2.0 or so\0"),
        ("c", b""),
        ("y", b"451 4.3.0 The filter failed; try again later\0"),
        ("y", b"451 4.3.0 A handler took too long; the message is safe, try again later\0"),
        ("c", b""),
    ]
    assert [recipient["address"] for recipient in served.envelopes[0]["recipients"]] == ["bob@b.test", "carl@b.test"]
    assert 'time.sleep(3600)' in served.log()  # its stack, and no other thread's


def test_a_message_whose_recipients_are_all_dropped_is_discarded(served: Served) -> None:
    with served.session() as mta:
        assert mta.mail(to=(b"<dropped@b.test>", b"<dropped@c.test>")) == [("d", b"")]
    assert served.arrivals == []


def test_postfix_is_told_of_progress(served: Served) -> None:
    with served.session() as mta:
        assert mta.mail(b"X-Do: sleep 0.5") == END
    assert mta.progress > 1


def test_postfix_vanishes_while_a_handler_takes_its_time(serve: Callable[..., Served]) -> None:
    served = serve()
    with served.session() as mta:
        mta.mail(b"X-Do: add X")
        mta.say("M", b"<ann@a.test>\0")
        mta.say("R", b"<bob@b.test>\0")
        mta.say("L", b"X-Do\0 sleep 0.5\0")
        mta.send("E")
    served.is_well()
    served.tell_to_stop()
    assert served.stopped()


@pytest.mark.parametrize(
    ("asked", "replies"),
    [
        (b"refuse 100% no", [("y", b"550 5.7.1 100%% no\0")]),
        (b"defer later", [("y", b"451 4.7.1 later\0")]),
        (b"discard", [("d", b"")]),
        (b"hold by \xc3\xbcs", [("q", "by üs\0".encode()), ("c", b"")]),
        (b"late", [("y", b"451 4.3.0 Too slow\0")]),
        (b"raise", [("y", b"451 4.3.0 The filter failed; try again later\0")]),
        (b"exit", [("y", b"451 4.3.0 The filter failed; try again later\0")]),
        (b"sender carl@c.test", [("e", b"<carl@c.test>\0"), ("c", b"")]),
        (b"footer bye", [("b", b"hi\r\nbye"), ("c", b"")]),
    ],
)
def test_what_a_judgement_comes_to(served: Served, asked: bytes, replies: list[tuple[str, bytes]]) -> None:
    with served.session() as mta:
        assert mta.mail(b"X-Do: " + asked) == replies
        assert mta.mail() == END


def test_a_change_that_cannot_be_made_is_a_451_and_says_why(served: Served) -> None:
    with served.session() as mta:
        [(command, text)] = mta.mail(b"X-Do: inexpressible")
    assert (command, text[:10]) == ("y", b"451 4.3.0 ")
    assert "event=inexpressible" in served.log()
    assert "X-Long" in served.log()


def test_many_sessions_at_once(served: Served) -> None:
    """The callbacks of a session hop threads."""
    failed: list[object] = []

    def talk(number: int) -> None:
        with served.session() as mta:
            for turn in range(20):
                replies = mta.mail(b"X-Do: add X-%d-%d" % (number, turn), b"x" * 1000 * turn)
                if replies != [("h", b"X-%d-%d\0 added\0" % (number, turn)), ("c", b"")]:
                    failed.append(replies)

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(served.arrivals) == 300


def test_too_many_connections_are_turned_away(served: Served) -> None:
    held = [served.session() for _ in range(20)]
    with served.connect() as mta:
        assert mta.ask("O", struct.pack("!LLL", 6, ACTIONS, 0)) == ("", b"")
    held[0].socket.close()
    for mta in held[1:]:
        assert mta.mail() == END
        mta.socket.close()
    served.is_well()


# -- the socket, and the end


def test_a_unix_socket_is_for_its_folders_group_alone(serve: Callable[..., Served]) -> None:
    served = serve()
    found = os.stat(served.address)
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o660
    served.tell_to_stop()
    assert served.stopped()
    assert not Path(served.address).exists()


def test_over_ip(serve: Callable[..., Served]) -> None:
    served = serve("127.0.0.1:0")
    served.is_well()
    served.tell_to_stop()
    assert served.stopped()


def test_a_session_in_progress_finishes_and_no_other_begins(serve: Callable[..., Served]) -> None:
    served = serve()
    with served.session() as mta:
        mta.say("M", b"<ann@a.test>\0")
        served.tell_to_stop(20)
        while not served.refuses_connections():  # until it has heard
            time.sleep(0.02)
        mta.say("R", b"<bob@b.test>\0")
        mta.say("L", b"X-Do\0 add X-Last\0")
        mta.content(b"hi\r\n")
        assert mta.end() == [("h", b"X-Last\0 added\0"), ("c", b"")]
        assert mta.mail() == END
    assert served.stopped()


def test_a_session_that_does_not_end_is_broken_off(serve: Callable[..., Served]) -> None:
    served = serve()
    with served.session():
        served.tell_to_stop(0.2)
        assert not served.stopped()
