"""A child process, and the lifeline between it and the supervisor.

The lifeline is a pair of sockets: each end finds the end of the stream when the other process is gone,
however it died. So nobody waits for the dead, and workers do not outlive a supervisor that was killed.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable

from .signals import SERVED, nothing

log = logging.getLogger("penstock.service")

Body = Callable[[socket.socket], int]
"""What a child does with its end of the lifeline; returns its exit status."""


class Child:
    """A child process. `status` is its exit status once it is gone, negative for a signal, else None."""

    def __init__(self, body: Body, strangers: Iterable[socket.socket] = ()) -> None:
        """Fork a process that runs `body` and nothing else.

        `strangers` are sockets that it must not hold, such as the lifelines of others, whose ends would never come.
        For a process with one thread. Raises OSError.
        """
        self.lifeline, other_end = socket.socketpair()
        self.status: int | None = None
        gc.freeze()  # what parent and child share is not written to by the collector, and so stays shared
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, SERVED)  # until the child has handlers of its own
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _be_child(body, other_end, [self.lifeline, *strangers])
        except OSError:
            self.lifeline.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SERVED)
            other_end.close()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it is not gone yet."""
        if self.is_alive():
            os.kill(self.pid, number)

    def is_alive(self) -> bool:
        """Whether it runs; the first look after its end sets `status`."""
        if self.status is None:
            gone, status = os.waitpid(self.pid, os.WNOHANG)
            if gone:
                self._ended(status)
        return self.status is None

    def kill(self) -> None:
        """End it now, and wait until it is gone."""
        self.send(signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """Wait for its end; returns its exit status."""
        if self.status is None:
            self._ended(os.waitpid(self.pid, 0)[1])
        assert self.status is not None
        return self.status

    @property
    def end(self) -> str:
        """How it ended, in words."""
        assert self.status is not None
        if self.status >= 0:
            return f"exit status {self.status}"
        return f"signal {-self.status} ({signal.strsignal(-self.status)})"

    def _ended(self, status: int) -> None:
        self.status = os.waitstatus_to_exitcode(status)
        self.lifeline.close()


def _be_child(body: Body, lifeline: socket.socket, others: Iterable[socket.socket]) -> None:
    """Never returns: what the parent had begun, its `with` blocks included, is not the child's to end."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in (signal.SIGINT, signal.SIGHUP):  # a terminal tells all its processes; here the parent decides
            signal.signal(number, nothing)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SERVED)
        for other in others:
            other.close()
        status = body(lifeline)
    except BaseException:
        log.exception("event=fault at=child")
    finally:
        logging.shutdown()
        os._exit(status)
