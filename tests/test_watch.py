"""Runs that take too long are given up."""

import threading

import pytest
from penstock.filter.verdict import Reject
from penstock.filter.watch import GivenUp, Watch, run_apart


def never():
    raise AssertionError("given up")


def test_returns_what_the_function_returns_and_raises_what_it_raises():
    watch = Watch()
    assert watch.run(lambda: 7, 5, never) == 7

    def refuse():
        raise Reject(550, "5.7.1", "no")

    with pytest.raises(Reject, match="no"):
        watch.run(refuse, 5, never)
    with pytest.raises(SystemExit):
        watch.run(lambda: exit(3), 5, never)
    assert watch.given_up == 0
    watch.close()


def test_a_late_run_is_given_up_from_another_thread_with_its_stack_in_the_log(caplog):
    watch = Watch()
    go_on, givers = threading.Event(), []

    def stuck_here():
        go_on.wait(30)
        return 7

    def give_up():
        givers.append(threading.current_thread())
        go_on.set()

    with pytest.raises(GivenUp):
        watch.run(stuck_here, 0.01, give_up)
    assert givers != [threading.current_thread()]
    assert len(givers) == watch.given_up == 1
    assert "stuck_here" in caplog.text
    assert watch.run(lambda: 8, 5, never) == 8
    watch.close()


def test_giving_up_that_fails_does_not_end_the_watch(caplog):
    watch = Watch()
    for _ in range(2):
        go_on = threading.Event()

        def give_up(go_on=go_on):
            go_on.set()
            raise OSError("the client is gone")

        with pytest.raises(GivenUp):
            watch.run(lambda go_on=go_on: go_on.wait(30), 0.01, give_up)
    assert watch.given_up == 2
    watch.close()


def test_a_watch_that_found_no_thread_tries_again(monkeypatch):
    def no_thread(self):
        raise RuntimeError("can't start new thread")

    watch, go_on = Watch(), threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError):
            watch.run(lambda: 7, 5, never)
    with pytest.raises(GivenUp):
        watch.run(lambda: go_on.wait(30), 0.01, go_on.set)
    watch.close()


def test_a_run_apart_is_given_up_although_it_never_ends():
    assert run_apart(lambda: 7, 5, never) == 7
    with pytest.raises(Reject):
        run_apart(lambda: (_ for _ in ()).throw(Reject(550, "5.7.1", "no")), 5, never)
    go_on, given_up = threading.Event(), []
    with pytest.raises(GivenUp):
        run_apart(lambda: go_on.wait(30), 0.01, lambda: given_up.append(go_on.is_set()))
    assert given_up == [False]
    go_on.set()
