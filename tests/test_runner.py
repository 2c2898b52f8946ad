"""Handlers in threads of their own."""

import threading

import pytest
from penstock.filter.runner import Runner, TimeLimit
from penstock.filter.verdict import Reject


def test_returns_what_the_function_returns_and_raises_what_it_raises():
    runner = Runner()
    assert runner.call(lambda: 7, 5) == 7

    def refuse():
        raise Reject(550, "5.7.1", "no")

    with pytest.raises(Reject, match="no"):
        runner.call(refuse, 5)
    with pytest.raises(SystemExit):
        runner.call(lambda: exit(3), 5)
    assert runner.call(lambda: 8, 5) == 8
    runner.close()


def test_a_run_over_its_limit_is_abandoned_with_its_stack():
    runner = Runner()
    go_on = threading.Event()

    def stuck_here():
        go_on.wait(30)

    with pytest.raises(TimeLimit) as late:
        runner.call(stuck_here, 0.05)
    assert "stuck_here" in late.value.stack
    assert runner.abandoned == 1
    assert runner.call(lambda: threading.current_thread().name, 5)
    go_on.set()
    runner.close()


def test_threads_are_used_again():
    runner = Runner()
    first = runner.call(threading.get_ident, 5)
    assert {runner.call(threading.get_ident, 5) for _ in range(5)} == {first}
    runner.close()
