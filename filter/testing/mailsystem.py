"""The mail system behind `pytest --live`: a private Postfix and a sink, for as many tests as there are.

Only the owned domains are wired into Postfix, so there is one for each set of them. What our port defers
stays in the queue until a test has it tried again, or ends.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from ...postfix.private import PrivatePostfix
from ..message import Message
from ..received import own_received
from .sink import Delivery, Sink

PEER: Final = "mx.penstock.test"
"""The private Postfix's own name."""

_NEVER: Final = "10h"
_EXTRA_MAIN: Final = {
    # A test says by XFORWARD who brings its mail.
    "smtpd_authorized_xforward_hosts": "127.0.0.0/8",
    "inet_protocols": "all",  # for clients with an IPv6 address; our ports are on 127.0.0.1
    # No queue id twice, whatever the number of messages.
    "enable_long_queue_ids": "yes",
    # What is deferred is tried again when a test says so, not before.
    "queue_run_delay": _NEVER,
    "minimal_backoff_time": _NEVER,
    "maximal_backoff_time": _NEVER,
}


class MailSystem:
    """Postfix and the sink. A context manager: inside it both run."""

    def __init__(self, owned: tuple[str, ...]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="penstock-live-"))
        self._folder.chmod(0o755)  # user postfix passes through
        self._sink = Sink(self._folder / "sink")
        self.postfix = PrivatePostfix(
            self._folder / "postfix", sink=self._sink.address, owned=owned, extra_main=_EXTRA_MAIN
        )
        self._running = ExitStack()

    def __enter__(self) -> MailSystem:
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self._folder)
            stack.enter_context(self._sink)
            stack.enter_context(self.postfix)
            self._running = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._running.close()

    def delivered(self) -> dict[str, list[Delivery]]:
        """What the sink took, by the queue id under which Postfix sent it."""
        by_id: dict[str, list[Delivery]] = {}
        for delivery in self._sink.deliveries:
            if passes := own_received(Message(delivery.content), PEER).passes:
                by_id.setdefault(passes[0].queue_id, []).append(delivery)
        return by_id

    def retry(self, queue_id: str) -> bool:
        """Have a deferred message tried again; False where Postfix has it no more."""
        if not any(item["queue_id"] == queue_id for item in self.postfix.queue()):
            return False
        self.postfix.retry(queue_id)
        return True

    def rest(self, seen: Callable[[], bool], timeout: float = 30.0) -> None:
        """Wait until `seen()`, and then until Postfix has nothing left but what it deferred.

        The order matters: showq(8) may overlook a message on its way from queue `incoming` to `active`, but not
        one that was seen beyond. Raises AssertionError with the end of Postfix's log after `timeout` seconds.
        """
        end = time.monotonic() + timeout
        while not (seen() and self._is_idle()):
            if time.monotonic() > end:
                queue, log = self.postfix.queue(), self.postfix.log_end()
                raise AssertionError(f"the mail does not come to rest in {timeout:.0f} s; queue: {queue}\n{log}")
            time.sleep(0.01)

    def clear(self) -> None:
        """Forget all mail."""
        if self.postfix.queue():
            self.postfix.delete("ALL")
        self._sink.clear()

    def _is_idle(self) -> bool:
        return all(item["queue_name"] in ("deferred", "hold") for item in self.postfix.queue())


def what_is_missing() -> str | None:
    """Why there can be no mail system here, and what to do about it; None if there can be one."""
    if shutil.which("postfix") is None:
        return "there is no postfix command here; install the package postfix (apt-get install postfix)"
    if os.geteuid() != 0:
        return "a private Postfix needs root, since its master starts as root to give privileges up; try sudo"
    return None
