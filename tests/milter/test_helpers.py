"""Calls in threads of our own."""

import threading

import pytest
from penstock.filter.watch import GivenUp
from penstock.milter.helpers import Helpers


def test_a_call_is_made_in_another_thread_and_the_thread_is_kept() -> None:
    helpers = Helpers()
    threads = [helpers.run(lambda settle: threading.get_ident(), 0) for _ in range(20)]
    assert threading.get_ident() not in threads
    assert len(set(threads)) <= 2  # one may still be on its way back when the next call comes


def test_meanwhile_is_called_until_there_is_an_outcome() -> None:
    enough, calls = threading.Event(), []

    def meanwhile() -> None:
        calls.append(threading.current_thread())
        if len(calls) == 3:
            enough.set()

    assert Helpers().run(lambda settle: enough.wait(20), False, 0.01, meanwhile) is True
    assert len(calls) >= 3
    assert set(calls) == {threading.current_thread()}


def test_what_is_settled_early_is_the_outcome() -> None:
    ended, go_on = threading.Event(), threading.Event()

    def call(settle):
        settle("early")
        go_on.wait(20)
        ended.set()
        raise GivenUp

    assert Helpers().run(call, "otherwise") == "early"
    assert not ended.is_set()
    go_on.set()
    assert ended.wait(20)


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), GeneratorExit()])
def test_a_call_that_raises_comes_to_what_is_said_otherwise(error: BaseException, caplog) -> None:
    def call(settle):
        raise error

    assert Helpers().run(call, "otherwise") == "otherwise"
    assert "event=fault" in caplog.text


def test_what_meanwhile_raises_is_raised() -> None:
    go_on = threading.Event()

    def meanwhile() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        Helpers().run(lambda settle: go_on.wait(20), None, 0.01, meanwhile)
    go_on.set()


def test_calls_at_once_have_a_thread_each() -> None:
    helpers, all_there = Helpers(), threading.Barrier(5)
    callers = [threading.Thread(target=helpers.run, args=(lambda settle: all_there.wait(20), None)) for _ in range(4)]
    for caller in callers:
        caller.start()
    all_there.wait(20)
    for caller in callers:
        caller.join(20)
