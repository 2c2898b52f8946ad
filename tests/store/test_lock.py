"""The fair lock."""

import threading
import time

from penstock.filter.store.lock import FairLock


def test_who_waits_longest_goes_first():
    lock, order = FairLock(), []
    lock.acquire()
    threads = []
    for number in range(5):
        thread = threading.Thread(target=lambda n=number: (lock.acquire(), order.append(n), lock.release()))
        thread.start()
        threads.append(thread)
        while len(lock._waiting) <= number:
            time.sleep(0.001)
    lock.release()
    for thread in threads:
        thread.join(5)
    assert order == [0, 1, 2, 3, 4]


def test_a_turn_that_does_not_come_is_given_up_and_not_kept():
    lock = FairLock()
    assert lock.acquire()
    assert not lock.acquire(0.01)
    lock.release()
    assert lock.acquire(0.01)


def test_any_thread_may_release():
    lock = FairLock()
    lock.acquire()
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join(5)
    assert lock.acquire(0.01)
